"""metrics.jsonl, read back as a program would read it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from standard.observers.events import REALS, a_run, a_tick, watched

from ganlab import Scores
from ganlab.standard.observers.metrics import Metrics, is_scored


def read_lines(path: Path) -> list[dict[str, float | None]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def test_metrics_has_a_line_per_tick_at_once(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Metrics())
    host.run_start(run, REALS)
    host.tick(run, a_tick(10, loss_generator=0.5))
    assert read_lines(tmp_path / "metrics.jsonl") == [
        {
            "iteration": 10,
            "images": 1280,
            "epoch": 0.25,
            "seconds": 1.0,
            "images_per_second": 1234.4,
            "loss_generator": 0.5,
        }
    ]
    host.tick(run, a_tick(20, loss_generator=0.25))
    lines = read_lines(tmp_path / "metrics.jsonl")
    assert [line["loss_generator"] for line in lines] == [0.5, 0.25]
    assert list(lines[1])[:5] == ["iteration", "images", "epoch", "seconds", "images_per_second"]


def test_metrics_writes_null_for_what_json_cannot_say_and_hides_no_counter(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Metrics())
    host.run_start(run, REALS)
    host.tick(run, a_tick(10, loss=math.nan, gap=math.inf, images=3.5))
    (line,) = read_lines(tmp_path / "metrics.jsonl")
    assert (line["loss"], line["gap"], line["images"], line["stat_images"]) == (None, None, 1280, 3.5)


def test_metrics_of_a_continued_run_read_as_one_undisturbed_run(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for directory in (undisturbed, killed):
        directory.mkdir()
        run, host = a_run(directory), watched(Metrics())
        host.run_start(run, REALS)
        for iteration in (10, 20, 30):
            host.tick(run, a_tick(iteration, loss=1 / iteration))
    # Killed after iteration 30, in the middle of a line, when the last checkpoint was of iteration 20.
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 40, "images": 1')
    host.tick(run._replace(directory=undisturbed), a_tick(40, loss=1 / 40))

    run, host = a_run(killed, first_iteration=20), watched(Metrics())
    host.run_start(run, REALS)
    assert [line["iteration"] for line in read_lines(killed / "metrics.jsonl")] == [10, 20]
    for iteration in (30, 40):
        host.tick(run, a_tick(iteration, loss=1 / iteration)._replace(seconds=iteration / 10 - 2))
    assert (killed / "metrics.jsonl").read_bytes() == (undisturbed / "metrics.jsonl").read_bytes()


def test_metrics_that_are_whole_are_not_written_again(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Metrics())
    host.run_start(run, REALS)
    host.tick(run, a_tick(10, loss=0.5))
    before = (tmp_path / "metrics.jsonl").stat()
    watched(Metrics()).run_start(a_run(tmp_path, first_iteration=10), REALS)
    after = (tmp_path / "metrics.jsonl").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_metrics_of_a_run_that_starts_anew_begin_anew(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b'\xff\n[1]\n3\n{"iteration": 5, "seconds": 9}\n{"iteration": "x"}\n')
    watched(Metrics()).run_start(a_run(tmp_path), REALS)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


def test_a_judged_generator_has_a_line_of_its_own_and_time_goes_on_behind_it(tmp_path: Path) -> None:
    scores = Scores(10, 1280, 0.25, {"kid": 0.5}, {"kid": 0.0}, best=True)
    run, host = a_run(tmp_path), watched(Metrics())
    host.run_start(run, REALS)
    host.tick(run, a_tick(10, scores=3.5))
    host.scored(run, scores)
    place = {"iteration": 10, "images": 1280, "epoch": 0.25}
    tick, judged = read_lines(tmp_path / "metrics.jsonl")
    assert judged == {**place, "scores": {"kid": 0.5}, "reference": {"kid": 0.0}, "best": True}
    assert (is_scored(tick), is_scored(judged)) == (False, True), "a loss may report anything under any name"
    again, host = a_run(tmp_path, first_iteration=10), watched(Metrics())
    host.run_start(again, REALS)
    host.tick(again, a_tick(20))
    lines = read_lines(tmp_path / "metrics.jsonl")
    assert lines[:2] == [tick, judged]
    assert lines[2]["seconds"] == 1.0 + a_tick(20).seconds
