"""Who says how a run ends: one process of a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlab.distributed.speaker import another_speaks, speaks_first


def test_one_process_of_a_machine_speaks_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, first in ((1, True), (0, False), (1, False)):
        folder = tmp_path / "attempt_0" / str(rank)  # as torchrun lays them out
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(folder / "error.json"))
        assert speaks_first() == first
        assert another_speaks()


def test_without_torchrun_a_process_speaks_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_ERROR_FILE", raising=False)
    assert speaks_first()
    assert not another_speaks()
    assert speaks_first()
