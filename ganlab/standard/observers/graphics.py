"""Pictures in terminals that can show them, by the three protocols that they speak."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

Protocol = Literal["kitty", "iterm", "sixel"]

CHUNK = 4096
"""Characters of base64 in one of kitty's messages, at most."""
KONSOLE_WITH_SIXEL = 220400
COLOURS = 255
BAND = 6
"""Rows of pixels that a line of sixels has."""


def protocol(environment: Mapping[str, str]) -> Protocol | None:
    """Return what the terminal speaks by what it says of itself, None where it does not say so.

    Nothing is asked of it: the answer would come by the keyboard, among what is typed.
    """
    terminal, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment or terminal.startswith(("screen", "tmux")):
        return None  # they pass on what they know
    if "KITTY_WINDOW_ID" in environment or terminal in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    if program in ("iTerm.app", "WezTerm"):
        return "iterm"
    konsole = environment.get("KONSOLE_VERSION", "")
    with_sixel = konsole.isdecimal() and int(konsole) >= KONSOLE_WITH_SIXEL
    return "sixel" if with_sixel or terminal.startswith(("foot", "mlterm", "contour", "yaft")) else None


def message(picture: Image.Image, spoken: Protocol) -> str:
    """Return what a terminal must be sent to show a picture where its cursor is."""
    if spoken == "sixel":
        return "\x1bPq" + _sixels(picture) + "\x1b\\"
    file = io.BytesIO()
    picture.save(file, "PNG")
    text = b64encode(file.getvalue()).decode()
    if spoken == "iterm":
        return f"\x1b]1337;File=inline=1;size={len(file.getvalue())}:{text}\x07"
    chunks = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    # f=100 is PNG, a=T shows it at once, q=2 wants no answer, and m says whether more follows.
    keys = ["f=100,a=T,q=2,", *[""] * (len(chunks) - 1)]
    more = [1] * (len(chunks) - 1) + [0]
    return "".join(f"\x1b_G{key}m={m};{chunk}\x1b\\" for key, m, chunk in zip(keys, more, chunks, strict=True))


def _sixels(picture: Image.Image) -> str:
    """Return a picture as DEC's terminals have it: six rows at a time, a line for each colour, in runs."""
    import numpy as np

    indexed = picture.convert("RGB").quantize(COLOURS)
    palette = np.array(indexed.getpalette() or [], int).reshape(-1, 3)
    places = np.asarray(indexed)
    colours = "".join(
        "#{};2;{};{};{}".format(index, *(round(level * 100 / 255) for level in palette[index]))
        for index in np.unique(places)
    )
    bands = [places[top : top + BAND] for top in range(0, places.shape[0], BAND)]
    height, width = places.shape
    return f'"1;1;{width};{height}{colours}' + "-".join("$".join(_band(band)) for band in bands)


def _band(band: np.ndarray[Any, Any]) -> Iterator[str]:
    """Yield for each colour which of the rows have it, column by column."""
    import numpy as np

    bits = 1 << np.arange(len(band))
    for colour in np.unique(band):
        columns = ((band == colour) * bits[:, None]).sum(0)
        runs = [(chr(63 + int(value)), len(list(same))) for value, same in groupby(columns)]
        yield f"#{colour}" + "".join(f"!{count}{sixel}" if count > 3 else sixel * count for sixel, count in runs)
