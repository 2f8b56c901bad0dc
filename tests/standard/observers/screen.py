"""The programme `steps` on a real pseudo-terminal, and what its screen shows; or on other streams."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).parents[3]
STEPS = [sys.executable, "-m", "standard.observers.steps"]
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}",
    "PYTHONUTF8": "1",
    "TERM": "xterm-256color",
    "GANLAB_STRICT_PLUGINS": "1",
}


class Screen(NamedTuple):
    code: int
    """How the programme ended."""
    lines: list[str]
    cursor: bool
    """Whether it is shown."""


def on_terminal(mode: str, ending: str = "", columns: int = 80, **environment: str) -> Screen:
    """Run the programme on a terminal of `columns` and return what is left there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [*STEPS, mode, ending], stdin=theirs, stdout=theirs, stderr=theirs, env=ENVIRONMENT | environment
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:
        pass  # how Linux says that the other end is closed
    finally:
        os.close(ours)
    return Screen(process.wait(), *shown(written.decode(), columns))


def shown(written: str, columns: int) -> tuple[list[str], bool]:
    """Return what a terminal shows after `written`, and whether it has a cursor."""
    lines, row, column, cursor = [""], 0, 0, True
    for token in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|.|\n", written, re.DOTALL):
        if token == "\r":
            column = 0
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token in ("\x1b[?25l", "\x1b[?25h"):
            cursor = token.endswith("h")
        elif move := re.fullmatch(r"\x1b\[([0-9]*)A", token):
            row = max(0, row - int(move[1] or 1))
        elif token.startswith("\x1b"):
            assert token.endswith("m"), f"not expected: {token!r}"
        else:
            if token == "\n" or column == columns:
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            if token != "\n":
                lines[row] = lines[row].ljust(column)[:column] + token + lines[row][column + 1 :]
                column += 1
    return lines, cursor


def on_pipes(mode: str, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the programme without a terminal, where a stream is not given into a pipe."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run([*STEPS, mode, "quiet"], env=ENVIRONMENT, check=False, **streams)
