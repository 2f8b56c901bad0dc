"""Counts the file calls of this process below a folder, and lets the n-th one kill it, tear, or fail.

What Python does itself is seen through its audit events; writing, flushing and closing have none, and are seen by
files and functions put in their places. It cannot be undone: for processes that end after it.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

Way = Literal["kill", "tear", "fail"]

EVENTS = {
    "open": ("open", None),
    "os.rename": ("rename", 2),
    "os.remove": ("unlink", 1),
    "os.mkdir": ("mkdir", 2),
    "os.rmdir": ("rmdir", 1),
    "os.chmod": ("chmod", 2),
    "os.truncate": ("truncate", None),
    "os.listdir": ("list", None),
    "os.scandir": ("list", None),
    "fcntl.flock": ("lock", None),
}
"""Python's audit events: what they are called here, and which argument is the folder that the first is relative to."""


class FileCalls:
    """The file calls so far."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        """Each call as `what name`."""
        self._below, self._at, self._way, self._error = "", 0, "kill", 0
        self._fsync, self._write = os.fsync, os.write

    def expect(self, below: Path, at: int = 0, way: Way = "kill", error: int = 0) -> None:
        """Count anew, below this folder, and let call number `at`, from 1, go wrong; with 0 none does."""
        self.seen = []
        self._below, self._at, self._way, self._error = f"{below.resolve()}/", at, way, error

    def watch(self) -> None:
        """Begin."""
        sys.addaudithook(self._audit)
        os.fsync, os.write = self._flush, self._write_through  # type: ignore[assignment]  # nobody here gives another kind
        builtins.open = io.open = self._open

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if found := EVENTS.get(event):
            what, base = found
            place = arguments[0]
            if base is not None and arguments[base] != -1:
                place = os.path.join(os.readlink(f"/proc/self/fd/{arguments[base]}"), os.fsdecode(place))
            self._hit(what, place)

    def _hit(self, what: str, place: object, tear: Callable[[], object] = lambda: None) -> None:
        """Count a call and let it go wrong where it is the one. `tear` does a part of it."""
        path = self._path(place)
        if path is None:
            return
        self.seen.append(f"{what} {os.path.relpath(path, self._below)}")
        if len(self.seen) != self._at:
            return
        if self._way == "fail":
            raise OSError(self._error, os.strerror(self._error), path)
        if self._way == "tear":
            tear()
        os.kill(os.getpid(), signal.SIGKILL)

    def _path(self, place: object) -> str | None:
        if isinstance(place, int):
            place = os.readlink(f"/proc/self/fd/{place}")
        path = os.path.abspath(place.decode() if isinstance(place, bytes) else str(place))
        return path if self._below and f"{path}/".startswith(self._below) else None

    def _flush(self, descriptor: int) -> None:
        self._hit("flush", descriptor)
        self._fsync(descriptor)

    def _write_through(self, descriptor: int, data: bytes) -> int:
        self._hit("write", descriptor, lambda: self._write(descriptor, data[: len(data) // 2]))
        return self._write(descriptor, data)

    def _open(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if self._path(file) is None or not set(mode) & set("wax+"):
            return REAL_OPEN(file, mode, *arguments, **options)
        # What Python's own open would make, over a raw file that reports each call to the system.
        raw = _Raw(file, mode.replace("b", "").replace("t", ""))
        raw.hit = self._hit
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        encoding = options.get("encoding", arguments[1] if len(arguments) > 1 else None)
        return io.TextIOWrapper(buffered, encoding, options.get("errors"))


REAL_OPEN = io.open


class _Raw(io.FileIO):
    """A file whose writes and whose closing are counted."""

    hit: Callable[..., None]

    def write(self, data: Any) -> int:
        half = bytes(data)[: len(data) // 2]
        self.hit("write", self.name, lambda: super(_Raw, self).write(half))
        return super().write(data)

    def close(self) -> None:
        if not self.closed:
            try:
                self.hit("close", self.name)
            finally:
                super().close()
