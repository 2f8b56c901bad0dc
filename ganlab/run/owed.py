"""A snapshot that a signal has broken off is owed: a note in the run's directory says so until it has been made."""

from __future__ import annotations

import json
from contextlib import suppress

from ganlab.durable import OWN, replacing_file
from ganlab.regular import read_regular
from ganlab.run.directory import RunDirectory

NOTE = f"{OWN}/owed.json"
NOTE_BYTES = 4096


def owe(directory: RunDirectory, iteration: int) -> None:
    """Note that the snapshot of an iteration is still to be made. Raise `RunError` where the disk refuses."""
    with replacing_file(directory.path / NOTE) as temporary:
        temporary.write_text(json.dumps({"iteration": iteration}) + "\n", encoding="ascii")


def is_owed(directory: RunDirectory, iteration: int) -> bool:
    """Tell whether the snapshot of an iteration is still to be made."""
    try:
        table = json.loads(read_regular(directory.path / NOTE, NOTE_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(table, dict) and table.get("iteration") == iteration


def settle(directory: RunDirectory) -> None:
    """Forget what was owed: it has been made."""
    with suppress(OSError):  # then it is made once more, and is the same
        (directory.path / NOTE).unlink()
