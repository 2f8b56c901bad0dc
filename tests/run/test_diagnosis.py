"""A run is diagnosed by what it has left, however little that is."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import tiny

import ganlab
from ganlab.errors import GanlabError
from ganlab.run.diagnosis import Diagnosis, diagnose
from ganlab.run.directory import RunDirectory


def look(path: Path) -> Diagnosis:
    return diagnose(RunDirectory(path), lambda *_: None)


def test_a_run_that_has_all_is_looked_at_in_full() -> None:
    assert look(ganlab.train(tiny(), out="run").directory) == Diagnosis([], [])


def test_what_is_missing_is_said() -> None:
    run = ganlab.train(tiny(), out="run").directory
    (run / "generator.safetensors").unlink()
    assert look(run).notes == ["there is no generator.safetensors yet, so copies of the data were not looked for"]
    (run / "reals.png").unlink()
    assert look(run).notes[-1] == "its samples were not looked at: there is no reals.png to compare them with"
    (run / "metrics.jsonl").unlink()
    assert look(run).findings == []


def test_a_folder_that_is_no_run_is_refused() -> None:
    Path("empty").mkdir()
    with pytest.raises(GanlabError, match=r"has no recipe\.toml, which a run begins with"):
        look(Path("empty"))


def test_damaged_samples_are_passed_over() -> None:
    run = ganlab.train(tiny(), out="run").directory
    for path in (run / "samples").glob("*.png"):
        path.write_bytes(b"no picture")
    assert look(run).findings == []
