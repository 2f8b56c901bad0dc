"""The record in a run's directory of what ganlab has written and may delete again: a name alone proves nothing."""

from __future__ import annotations

import json
from pathlib import Path

from ganlab.durable import OWN, replacing_file
from ganlab.errors import ArtefactError, RunError
from ganlab.messages import option
from ganlab.regular import read_regular

RECORD = f"{OWN}/written.json"
RECORD_BYTES = 1 << 20


class Record:
    """Names of files and folders, relative to a run's directory: ganlab's own, which it may delete.

    A name is recorded before it appears on the disk, and forgotten after it is gone. So what a killed process leaves is
    known, too, and what somebody else has put in its place later is not taken for it.
    """

    def __init__(self, run: Path) -> None:
        """`run` is the run's directory."""
        self._run = run
        self._path = run / RECORD

    def begin(self) -> None:
        """Write an empty record where there is none. Raise `RunError` where the disk refuses."""
        if not self._path.exists():
            self._write(set())

    def names(self) -> set[str]:
        """Return what is recorded. Raise `RunError` where that cannot be read, `ArtefactError` where it is damaged."""
        try:
            names = json.loads(read_regular(self._path, RECORD_BYTES))
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise RunError(f"cannot read {self._path}: {error.strerror or error}") from error
        except (ValueError, RecursionError):
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ArtefactError(
                f"{self._path} is damaged, so which files of the run are ganlab's own is not known; "
                f"start anew in another directory, {option('out')}"
            )
        return set(names)

    def add(self, name: str) -> None:
        """Record what is about to be written. Raise `RunError` where the disk refuses."""
        if name not in (names := self.names()):
            self._write(names | {name})

    def forget(self, *gone: str) -> None:
        """Take out what has been deleted. Raise `RunError` where the disk refuses."""
        if not (names := self.names()).isdisjoint(gone):
            self._write(names.difference(gone))

    def _write(self, names: set[str]) -> None:
        with replacing_file(self._path) as temporary:
            temporary.write_text(json.dumps(sorted(names)) + "\n", encoding="ascii")
