"""Pictures for terminals: which protocol is spoken, and what a terminal reads of it."""

from __future__ import annotations

import io
import re
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from ganlab.standard.observers.graphics import message, protocol

SPOKEN = [
    ({"TERM": "xterm-kitty"}, "kitty"),
    ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
    ({"TERM": "xterm-ghostty"}, "kitty"),
    ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
    ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
    ({"TERM": "foot"}, "sixel"),
    ({"TERM": "xterm-256color", "KONSOLE_VERSION": "230804"}, "sixel"),
    ({"TERM": "xterm-256color", "KONSOLE_VERSION": "210400"}, None),
    ({"TERM": "xterm-256color", "KONSOLE_VERSION": "new"}, None),
    ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, None),
    ({"TERM": "screen.xterm-kitty", "KITTY_WINDOW_ID": "1"}, None),
    ({"TERM": "xterm-256color"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("environment", "expected"), SPOKEN)
def test_a_terminal_is_known_by_what_it_says_of_itself(environment: dict[str, str], expected: str | None) -> None:
    assert protocol(environment) == expected


def picture(width: int = 90, height: int = 70) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def test_kitty_gets_a_png_in_chunks() -> None:
    sent = message(picture(), "kitty")
    chunks = re.findall(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", sent)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in chunks) == sent
    assert [keys[-3:] for keys, _ in chunks] == ["m=1"] * (len(chunks) - 1) + ["m=0"]
    assert len(chunks) > 1
    assert chunks[0][0].startswith("f=100,a=T,")
    assert all(len(data) <= 4096 for _, data in chunks)
    shown = Image.open(io.BytesIO(b64decode("".join(data for _, data in chunks))))
    assert (np.asarray(shown) == np.asarray(picture())).all()


def test_iterm_gets_a_png_with_its_size() -> None:
    sent = re.fullmatch(r"\x1b\]1337;File=inline=1;size=([0-9]+):([A-Za-z0-9+/=]*)\x07", message(picture(), "iterm"))
    assert sent is not None
    file = b64decode(sent[2])
    assert len(file) == int(sent[1])
    assert (np.asarray(Image.open(io.BytesIO(file))) == np.asarray(picture())).all()


@pytest.mark.parametrize(("width", "height"), [(5, 6), (9, 13), (1, 1), (40, 7)])
def test_sixels_show_the_picture(width: int, height: int) -> None:
    """Of few colours, none is lost but by DEC's hundred levels; read as a VT340 would."""
    levels = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 255], [255, 255, 255]], np.uint8)
    pixels = levels[np.random.default_rng(1).integers(0, 4, (height, width))]
    pixels[:, width // 3 :] = levels[2]
    shown = read_sixels(message(Image.fromarray(pixels), "sixel"))
    assert shown.shape == pixels.shape
    assert (shown == pixels).all()


def read_sixels(sent: str) -> np.ndarray:
    body = re.fullmatch(r'\x1bPq"1;1;(\d+);(\d+)(.*)\x1b\\', sent, re.DOTALL)
    assert body is not None
    width, height = int(body[1]), int(body[2])
    shown = np.full((height, width, 3), 77, np.uint8)
    palette: dict[int, list[int]] = {}
    x = y = colour = 0
    for token in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|([$-])", body[3]):
        if token[1] is not None:
            colour = int(token[1])
            if token[2] is not None:
                palette[colour] = [round(int(level) * 255 / 100) for level in token.group(2, 3, 4)]
        elif token[8] is not None:
            x, y = 0, y + 6 * (token[8] == "-")
        else:
            bits, count = ord(token[6] or token[7]) - 63, int(token[5] or 1)
            for row in range(6):
                if bits >> row & 1:
                    shown[y + row, x : x + count] = palette[colour]
            x += count
    return shown
