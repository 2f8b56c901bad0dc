"""What a terminal shows while recordings are played: the screens of a film, each with how long it stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pictures.recording import COLUMNS, ROWS, Recording

FRAMES = 40
"""Screens of a command that takes longer than so many tenths of a second."""
FRAME_SECONDS = 0.4
KEY_SECONDS = 0.04
READING_SECONDS = 2.0
"""So long the end of a command stays."""
PROMPT = "$ "
GROUND = "#1b1f27"
PALETTE = {
    "default": "#d8dee9",
    "black": "#3b4252",
    "red": "#e06c75",
    "green": "#8fce7a",
    "brown": "#e5c07b",  # what pyte calls yellow
    "blue": "#6cb0f5",
    "magenta": "#c793e0",
    "cyan": "#6fcbd2",
    "white": "#e5e9f0",
    "brightblack": "#7c869a",
}


class Cell(NamedTuple):
    """A character and its colours, as `#rrggbb`; no ground is that of the terminal."""

    text: str
    colour: str
    ground: str
    bold: bool


Row = tuple[Cell, ...]


class Screen(NamedTuple):
    """What is seen, and for how long."""

    rows: tuple[Row, ...]
    seconds: float


def screens(recordings: list[Recording]) -> Iterator[Screen]:
    """Yield what is seen of commands that are typed one after the other; a long one is played faster."""
    try:
        import pyte
    except ImportError as error:
        raise SystemExit("the recording is drawn with pyte, which is not installed: pip install pyte") from error
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)

    def seen(seconds: float) -> Screen:
        rows = (tuple(_cell(screen.buffer[row][column]) for column in range(COLUMNS)) for row in range(ROWS))
        return Screen(tuple(rows), seconds)

    for recording in recordings:
        stream.feed(PROMPT)
        for letter in recording.command:
            stream.feed(letter)
            yield seen(KEY_SECONDS)
        stream.feed("\r\n")
        yield seen(FRAME_SECONDS)
        frames = max(1, min(FRAMES, int(10 * recording.seconds)))
        due = 1
        for when, text in recording.written:
            while due < frames and when > recording.seconds * due / frames:
                yield seen(FRAME_SECONDS)
                due += 1
            stream.feed(text.replace("\x1b[2m", "\x1b[90m"))  # pyte knows no dim: it becomes grey
        yield seen(READING_SECONDS)
    stream.feed(PROMPT)
    yield seen(READING_SECONDS)


def _cell(char: Any) -> Cell:
    """Return one of pyte's characters as what is drawn."""
    colour, ground = _colour(char.fg) or PALETTE["default"], _colour(char.bg)
    if char.reverse:
        colour, ground = ground or GROUND, colour
    return Cell(char.data, colour, ground, char.bold)


def _colour(name: str) -> str:
    """Return one of pyte's colours as `#rrggbb`; nothing for that which is not said."""
    return "" if name == "default" else PALETTE.get(name, f"#{name}")
