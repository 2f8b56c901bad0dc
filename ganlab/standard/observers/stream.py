"""The standard streams, as a run may use them."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import TextIO


class Stream(io.TextIOBase):
    """A standard stream that cannot hurt a run: what nobody reads, or no disk takes, is lost without an error."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has a variable here
        return (self._stream.encoding if self._stream is not None else None) or "utf-8"

    def say(self, line: str) -> None:
        """Write a line that is there at once."""
        self.write(f"{line}\n")
        self.flush()

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
            except (OSError, ValueError) as error:  # a closed stream is a ValueError
                self._lose(self._stream, error)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(self._stream, error)

    def isatty(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def _lose(self, stream: TextIO, error: OSError | ValueError) -> None:
        if isinstance(error, BlockingIOError | ValueError):  # it takes it later; it is closed
            return
        # What is left in the buffer would fail again when Python exits, and spoil the exit code.
        with suppress(OSError):
            kept, nowhere = os.dup(stream.fileno()), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            stream.flush()
            if not isinstance(error, BrokenPipeError):
                os.dup2(kept, stream.fileno())  # a disk may have room again
            os.close(kept)
            os.close(nowhere)
