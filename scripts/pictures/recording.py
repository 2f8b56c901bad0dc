"""What commands write to a terminal, and when: recorded in one of their own, and kept as JSON."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import time
from codecs import getincrementaldecoder
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

COLUMNS, ROWS = 96, 30


class Recording(NamedTuple):
    """A command and what it has written, with the seconds since its start."""

    command: str
    written: tuple[tuple[float, str], ...]

    @property
    def seconds(self) -> float:
        """How long the command took, to its last word."""
        return self.written[-1][0] if self.written else 0.0


def record(command: str, folder: Path, environment: Mapping[str, str]) -> Recording:
    """Run a command, whose words have no spaces, in a terminal. Raise `SystemExit` with what it said if it fails."""
    terminal, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    spoken = {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    start, written = time.monotonic(), []
    decoder = getincrementaldecoder("utf-8")()  # a character may come in two pieces
    with subprocess.Popen(
        command.split(), cwd=folder, env=spoken, stdin=other, stdout=other, stderr=other, start_new_session=True
    ) as process:
        os.close(other)
        while data := _read(terminal):
            written.append((time.monotonic() - start, decoder.decode(data)))
        os.close(terminal)
    if process.returncode:
        said = "".join(text for _, text in written)
        raise SystemExit(f"{command} in {folder} ended with {process.returncode}: {said[-2000:]}")
    return Recording(command, tuple(written))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # so Linux says that nobody writes any more
        return b""


def keep(recordings: list[Recording], path: Path) -> None:
    """Write recordings as JSON."""
    path.write_text(json.dumps([one._asdict() for one in recordings], indent=1), encoding="utf-8")


def kept(path: Path) -> list[Recording]:
    """Return the recordings in a file."""
    read = json.loads(path.read_text(encoding="utf-8"))
    return [Recording(one["command"], tuple((when, text) for when, text in one["written"])) for one in read]
