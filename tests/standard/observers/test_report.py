"""report.html while a run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from standard.observers.events import REALS, STATS, a_run, a_snapshot, a_tick, watched

from ganlab.errors import PluginError
from ganlab.events import Scores
from ganlab.standard.observers.metrics import Metrics
from ganlab.standard.observers.report import Report
from ganlab.standard.observers.samples import Samples


def test_it_is_written_at_snapshots_and_at_the_end_and_says_how_that_was(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Metrics(), Samples(), Report(every_seconds=0))
    page = tmp_path / "report.html"
    host.run_start(run, REALS)
    assert not page.exists()
    host.tick(run, a_tick(10, **STATS))
    host.snapshot(run, a_snapshot(10))
    first = page.read_text()
    assert "iteration 10, epoch 0.25, 1,280 images seen" in first
    assert "loss_generator" in first
    host.tick(run, a_tick(20, **STATS))
    host.snapshot(run, a_snapshot(20))
    assert page.read_text() == first, "it takes no more than a fiftieth of the time"
    host.scored(run, Scores(20, 2560, 0.5, {"kid": 0.125}, {"kid": 0.0}, True))
    host.run_end(run, "failed")
    last = page.read_text()
    assert "iteration 20, epoch 0.5, 2,560 images seen" in last
    assert "0.125" in last
    assert '<strong class="state failed">failed</strong>' in last


def test_a_page_of_the_users_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    run, host = a_run(tmp_path), watched(Metrics(), Report())
    host.run_start(run, REALS)
    host.tick(run, a_tick(10, **STATS))
    with pytest.raises(PluginError, match=r"report\.html is there and is no report of ganlab's"):
        host.run_end(run, "finished")
    assert (tmp_path / "report.html").read_text() == "mine"


def test_a_folder_that_is_also_a_short_name_is_meant_as_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/faces/0002", "faces/2"):
        Path(folder).mkdir(parents=True)
    run, host = a_run(Path("faces/2")), watched(Metrics(), Report())
    host.run_start(run, REALS)
    host.tick(run, a_tick(10, **STATS))
    host.run_end(run, "finished")
    assert Path("faces/2/report.html").exists()
