"""metrics.jsonl as curves and scores, whatever stands in it."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from left_runs import left_run

from ganlab.run import history as module
from ganlab.run.history import NO_HISTORY, columns, read_history


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def line(iteration: int, **stats: object) -> dict[str, object]:
    return {"iteration": iteration, "images": iteration * 8, "epoch": iteration / 10, **stats}


def test_ticks_are_curves_and_judged_generators_are_not(tmp_path: Path) -> None:
    first = line(1, seconds=3.0, images_per_second=5.0, **{"D(x)": 0.5, "loss_g": 1})
    scored = {**line(2), "scores": {"kid": 0.25, "lost": None}, "best": True}
    found = read_history(written(tmp_path / "m", first, scored, line(3, loss_g=None, stat_images_per_second=4.0)))
    assert list(found.curves) == ["loss_g", "D(x)", "images_per_second"]
    assert found.curves["D(x)"].images.tolist() == [8.0]
    assert np.array_equal(found.curves["loss_g"].values, [1.0, math.nan], equal_nan=True)
    assert [tuple(one) for one in found.judged] == [(2, 16, 0.2, {"kid": 0.25}, True)]
    assert (found.seen, found.passed_over) == (24, 0)


def test_what_is_damaged_or_not_ours_is_passed_over_and_counted(tmp_path: Path) -> None:
    nested = "[" * 100_000
    damaged = ["{", nested, "[]", "3", '{"iteration": 1}', json.dumps({**line(1), "iteration": True}), "\x00\ufffd"]
    wild = [{**line(2), "images": -1}, {**line(2), "epoch": None}, {**line(2), "iteration": 2**60}]
    huge = (
        '{"iteration": 4, "images": 32, "epoch": 0.4, "a": 1e999, "b": ' + "9" * 400 + ', "c": NaN, "d": "x", "e": {}}'
    )
    found = read_history(written(tmp_path / "m", line(1, a=1.0), *damaged, *wild, "", huge))
    assert found.passed_over == len(damaged) + len(wild)
    assert set(found.curves) == {"a", "b", "c"}
    assert np.array_equal(found.curves["a"].values, [1.0, math.nan], equal_nan=True)
    assert np.isnan(found.curves["b"].values[0])


def test_lines_may_be_in_any_order_and_of_one_iteration_the_last_counts(tmp_path: Path) -> None:
    found = read_history(written(tmp_path / "m", line(4, a=4.0), line(2, a=2.0), {**line(4, a=5.0), "epoch": 0.5}))
    assert found.curves["a"].images.tolist() == [16.0, 32.0, 32.0]
    assert found.curves["a"].values.tolist() == [2.0, 4.0, 5.0]
    place = found.at(3)
    assert place is not None
    assert (place.images, round(place.epoch, 6)) == (24, 0.35)
    start = found.at(0)
    assert start is not None
    assert (start.images, start.epoch) == (0, 0.0)
    assert found.at(5) is None
    assert NO_HISTORY.at(0) is None


def test_names_are_shown_as_they_can_be_and_are_not_without_number(tmp_path: Path) -> None:
    many = {f"n{number}": 1.0 for number in range(500)}
    found = read_history(written(tmp_path / "m", line(1, **{"\x1b[2J": 1.0, "x" * 500: 2.0, " ": 3.0}, **many)))
    assert len(found.curves) == module.NUMBERS
    names = list(found.curves)
    assert (names[0], len(names[1]), names[2]) == ("\\x1b[2J", module.LETTERS, "(no name)")


def test_no_file_a_link_a_folder_and_a_pipe_are_no_metrics(tmp_path: Path) -> None:
    written(tmp_path / "real", line(1, a=1.0))
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        read_history(tmp_path / "none")
    for name in ("link", "folder", "pipe"):
        with pytest.raises(OSError, match=r"link|folder|pipe|directory"):
            read_history(tmp_path / name)


def test_no_more_than_a_bounded_part_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = left_run(tmp_path / "run", ticks=50)
    monkeypatch.setattr(module, "FILE_BYTES", 2000)
    assert 0 < len(read_history(run / "metrics.jsonl").iterations) < 50
    monkeypatch.setattr(module, "FILE_BYTES", 1 << 20)
    monkeypatch.setattr(module, "LINE_BYTES", 1000)
    path = written(tmp_path / "m", "x" * 2500, line(7, a=1.0))
    assert read_history(path).iterations.tolist() == [7.0]


def test_columns_have_a_number_for_every_tick(tmp_path: Path) -> None:
    lines = [
        {"iteration": 1, "images": 8, "epoch": 0.1, "loss": 2.0},
        {"iteration": 2, "images": 16, "epoch": 0.2, "loss": None, "D(x)": 0.5},
        {"iteration": 2, "images": 16, "epoch": 0.2, "scores": {"kid": 1.0}, "best": True},
        {"iteration": 3, "images": 24, "epoch": 0.3, "loss": 1.0},
    ]
    (tmp_path / "m").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"iteration": 4, "ima')
    found = columns(tmp_path / "m")
    assert list(found) == ["iteration", "images", "epoch", "loss", "D(x)"]
    assert found["iteration"] == [1, 2, 3]
    assert np.array_equal(found["loss"], [2.0, math.nan, 1.0], equal_nan=True)
    assert found["D(x)"][1] == 0.5
    with pytest.raises(FileNotFoundError):
        columns(tmp_path / "none")
