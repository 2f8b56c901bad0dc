"""losses.png: what the plot asks the chart to draw, and when."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from standard.observers.events import REALS, STATS, a_run, a_snapshot, a_tick, watched

from ganlab import Scores
from ganlab.standard.observers.chart import Series, draw
from ganlab.standard.observers.metrics import Metrics
from ganlab.standard.observers.plot import Plot


@pytest.mark.parametrize(
    ("stats", "panels"),
    [
        (STATS, [["loss_discriminator", "loss_generator"], ["D(x)", "D(G(z))"]]),
        ({"error": 0.5}, [["error"]]),
        ({"loss_generator": 1.0}, [["loss_generator"]]),
    ],
    ids=len,
)
def test_losses_lie_above_the_other_statistics(
    stats: dict[str, float], panels: list[list[str]], tmp_path: Path
) -> None:
    run, host = a_run(tmp_path), watched(Plot())
    host.run_start(run, REALS)
    for iteration in range(1, 41):
        host.tick(run, a_tick(iteration, **{name: value / iteration for name, value in stats.items()}))
    host.run_end(run, "finished")

    x = np.arange(1.0, 41.0)
    expected = [[Series(name, x * 128, stats[name] / x) for name in panel] for panel in panels]
    with Image.open(tmp_path / "losses.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(picture), np.asarray(draw("faces", expected, "images seen")))


def test_nothing_is_drawn_before_there_is_something_to_see(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Plot())
    host.run_start(run, REALS)
    host.snapshot(run, a_snapshot(1))
    host.run_end(run, "interrupted")
    assert list(tmp_path.iterdir()) == []


def test_it_is_drawn_at_snapshots_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    run, host, path = a_run(tmp_path), watched(Plot(every_seconds=1000.0)), tmp_path / "losses.png"
    host.run_start(run, REALS)
    host.tick(run, a_tick(1, loss_generator=1.0))
    assert not path.exists()
    host.snapshot(run, a_snapshot(1))
    first = path.read_bytes()
    host.tick(run, a_tick(2, loss_generator=2.0))
    host.snapshot(run, a_snapshot(1))
    assert path.read_bytes() == first
    host.run_end(run, "interrupted")
    assert path.read_bytes() != first


def test_a_continued_run_gives_the_plot_of_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    ticks = [
        a_tick(i, **{"loss_generator": math.sin(i), "D(x)": math.nan if i == 5 else 0.5, "images": 0.1})
        for i in range(1, 31)
    ]
    for directory, count in ((undisturbed, 30), (killed, 25)):
        directory.mkdir()
        run, host = a_run(directory), watched(Metrics(), Plot())
        host.run_start(run, REALS)
        for tick in ticks[:count]:
            host.tick(run, tick)
            host.scored(run, Scores(tick.iteration, tick.images, tick.epoch, {"kid": 0.5}, {"kid": 0.0}, best=True))
        host.run_end(run, "finished")

    # The last checkpoint was of iteration 20, and the plot may be told before metrics.jsonl is cut to it.
    run, host = a_run(killed, first_iteration=20), watched(Plot(), Metrics())
    host.run_start(run, REALS)
    for tick in ticks[20:]:
        host.tick(run, tick)
    host.run_end(run, "finished")
    assert (killed / "losses.png").read_bytes() == (undisturbed / "losses.png").read_bytes()


def test_a_second_run_of_the_same_recipe_starts_with_an_empty_plot(tmp_path: Path) -> None:
    plot, pictures = Plot(), []
    for name in ("first", "second"):
        run, host = a_run(tmp_path / name), watched(plot)
        host.run_start(run, REALS)
        host.tick(run, a_tick(1, loss_generator=1.0))
        host.run_end(run, "finished")
        pictures.append((tmp_path / name / "losses.png").read_bytes())
    assert pictures[0] == pictures[1]
