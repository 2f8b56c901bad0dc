"""What a run owes: noted, known for its iteration alone, and forgotten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganlab.run.directory import RunDirectory
from ganlab.run.owed import NOTE, is_owed, owe, settle

RUN = RunDirectory(Path("run"))


def test_a_snapshot_is_owed_until_it_is_settled() -> None:
    assert not is_owed(RUN, 4)
    owe(RUN, 4)
    assert is_owed(RUN, 4)
    assert not is_owed(RUN, 5)
    owe(RUN, 5)
    assert (is_owed(RUN, 4), is_owed(RUN, 5)) == (False, True)
    settle(RUN)
    settle(RUN)
    assert not is_owed(RUN, 5)


@pytest.mark.parametrize("data", [b"", b"[]", b"4", b"\xff", b"[" * 9999, b'{"iteration": "4"}', None])
def test_a_note_that_is_none_owes_nothing(data: bytes | None) -> None:
    note = RUN.path / NOTE
    note.parent.mkdir(parents=True)
    if data is None:
        os.mkfifo(note)
    else:
        note.write_bytes(data)
    assert not is_owed(RUN, 4)
