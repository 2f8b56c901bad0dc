"""H1 to H3: what is not finite is named and never saved, tries are counted, and a collapse is told once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toys import tiny

import ganlab
from durable.conftest import Tally
from durable.runs import end, newest
from ganlab import Batch, Iteration, RunError, Update
from ganlab.errors import NonFiniteError
from ganlab.events import Snapshot, Tick
from ganlab.health import looks
from ganlab.health.advice import Options
from ganlab.health.signs import LONG
from ganlab.health.watch import Data, Watch
from ganlab.interfaces import Position
from ganlab.recipe.recipe import parse_recipe
from ganlab.registry import registry
from ganlab.standard.losses.bce import BCE
from ganlab.training.average import MovingAverage

BREAKS: dict[str, Any] = {}
"""Which way, at which iteration and with which value; empty for a loss that is sound."""


def set_first(tensor: torch.Tensor, value: float) -> None:
    tensor[(0,) * tensor.ndim] = value


class Breaking(BCE):
    """Breaks as `BREAKS` says, which is no option, so that the repaired run is the same recipe."""

    api = 1

    def updates(
        self, networks: Mapping[str, torch.nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        now = round(float(iteration.progress) * 12)
        way, value = (BREAKS["way"], BREAKS["value"]) if BREAKS and now in BREAKS["at"] else ("", 0.0)
        if way == "data":
            batch = next(batches)
            broken = batch.real.clone()
            broken[0, 0, 0, 0] = value
            batches = iter([batch._replace(real=broken), *(next(batches) for _ in range(3))])
        for update in super().updates(networks, batches, iteration):
            if way == "loss" and update.networks == "generator":
                yield Update("generator", update.loss * value)
            elif way == "gradient" and update.networks == "generator":
                # Its value is 0, and its slope there is infinite.
                zero = (update.loss - update.loss.detach()).abs().sqrt()
                yield Update("generator", update.loss.detach() + zero)
            else:
                yield update
        with torch.no_grad():
            if way == "weight":
                set_first(next(networks["generator"].parameters()), value)
            elif way == "buffer":
                set_first(next(networks["generator"].buffers()), value)


@pytest.fixture
def _breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    registry.add("loss", "breaking", Breaking)
    begin, update = MovingAverage.begin, MovingAverage.update
    current = [0]

    def noting(self: MovingAverage, position: Position) -> None:
        current[0] = int(position.iterations)
        begin(self, position)

    def poisoned(self: MovingAverage) -> None:
        update(self)
        if BREAKS.get("way") == "average" and current[0] in BREAKS["at"]:
            with torch.no_grad():
                set_first(next(self.tensors())[1], BREAKS["value"])

    monkeypatch.setattr(MovingAverage, "begin", noting)
    monkeypatch.setattr(MovingAverage, "update", poisoned)
    yield
    BREAKS.clear()
    registry.remove("loss", "breaking")


NAMES = {
    "loss": "the loss of the generator became NaN or infinite at iteration 5;",
    "gradient": "the gradient of the generator became NaN or infinite at iteration 5;",
    "weight": "networks/generator/",
    "buffer": "networks/generator/",
    "average": "average/",
    "data": "of the discriminator became NaN or infinite at iteration 5;",
}


UNDISTURBED: dict[float, tuple[str, str]] = {}
"""What the recipe ends with, at each pace of ticks, when nothing breaks."""


def finite(run: Path) -> bool:
    tensors = [load_file(path) for path in run.glob("checkpoints/*/state.safetensors")]
    return all(bool(tensor.isfinite().all()) for state in tensors for tensor in state.values())


@pytest.mark.usefixtures("_breaking")
@pytest.mark.parametrize("way", NAMES)
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("tick_seconds", [1e-9, 1000.0])
def test_h1_what_is_not_finite_is_named_and_never_saved(
    tally: Tally, way: str, value: float, tick_seconds: float
) -> None:
    table = tiny(loss={"name": "breaking"}, train={"tick_seconds": tick_seconds})
    BREAKS.update(way=way, at={5}, value=value)
    with pytest.raises(NonFiniteError, match=r"became NaN or infinite at iteration \d+; nothing was saved") as caught:
        ganlab.train(table, out="run")
    assert caught.value.exit_code == 1
    if tick_seconds < 1 or way in ("loss", "gradient", "data"):
        assert NAMES[way] in str(caught.value)
    # At the tick after the iteration, or at the snapshot after it where no tick comes before.
    assert caught.value.iteration <= (6 if tick_seconds < 1 else 8)
    assert newest(Path("run")).name == "00000004"
    assert finite(Path("run"))
    BREAKS.clear()
    if tick_seconds not in UNDISTURBED:
        UNDISTURBED[tick_seconds] = end(ganlab.train(table, out="undisturbed").directory)
    assert end(ganlab.train(table, out="run").directory) == UNDISTURBED[tick_seconds]
    tally("values that are not finite", 1)


@pytest.mark.usefixtures("_breaking")
def test_h1_large_values_are_finite() -> None:
    """Their squares are not."""
    BREAKS.update(way="buffer", at={5}, value=1e30)
    ganlab.train(tiny(loss={"name": "breaking"}), out="run")


@pytest.mark.usefixtures("_breaking")
def test_h2_rollbacks_are_counted_over_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    table = tiny(loss={"name": "breaking"}, train={"on_nonfinite": "rollback"})
    tries = []

    class Twice(set[int]):
        def __contains__(self, now: object) -> bool:
            if now in (5, 9):
                tries.append(now)
            return (now == 5 and tries.count(5) <= 2) or now == 9

    BREAKS.update(way="loss", at=Twice(), value=math.nan)
    with pytest.raises(RunError, match=r"at iteration 9, after 3 rollbacks; .* Start a new run with a lower"):
        ganlab.train(table, out="run")
    assert tries == [5, 5, 5, 9, 9]
    manifest = json.loads((newest(Path("run")) / "manifest.json").read_text())
    assert (manifest["iteration"], manifest["rollbacks"]) == (8, 2)
    with pytest.raises(RunError, match="after 3 rollbacks"):
        ganlab.train(table, out="run")
    assert tries == [5, 5, 5, 9, 9, 9, 9], "two of the three were used up before"


# H3


def pictures(spread: float, count: int = 16) -> Any:
    noise = np.random.default_rng(0).normal(128, spread, (count, 8, 8, 1))
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8)


def watch(spread: float = 60) -> Watch:
    options = Options(parse_recipe(tiny()).table, ("generator", "discriminator"))
    return Watch(options, Data(10_000, pictures(spread), None))


def at(iteration: int, **stats: float) -> Tick:
    return Tick(iteration, 8 * iteration, iteration / 5, 0.5, 100.0, 1.0, 1.0, stats)


def seen(watch: Watch, iteration: int, samples: Any) -> list[str]:
    return [finding.evidence for finding in watch.snapshot(Snapshot(iteration, 0, 0.0, samples, 4))]


def test_h3_samples_that_are_all_alike_are_told_once() -> None:
    over = watch()
    assert seen(over, 0, pictures(0)) == [], "before the training they are alike"
    assert seen(over, LONG - 1, pictures(0)) == []
    assert seen(over, LONG, pictures(0)) == [], "one snapshot is no proof"
    assert seen(over, 2 * LONG, pictures(0)) == [
        "the samples of iteration 2,000 are all but the same picture; they differ among each other by 0.0% of what the "
        "data's do"
    ]
    assert seen(over, 3 * LONG, pictures(0)) == [], "once"


def test_h3_data_that_are_all_alike_are_no_collapse() -> None:
    for reals, samples in ((0, pictures(0)), (60, pictures(0, count=1))):
        over = watch(reals)
        assert [seen(over, iteration, samples) for iteration in (LONG, 2 * LONG)] == [[], []]


def test_h3_a_discriminator_with_nothing_left_to_learn_is_told() -> None:
    over = watch()
    losses = {100: 0.5, 300: 1e-5, 500: 1e-4, 600: 0.2, 700: 1e-9, 1000: 1e-9, 1599: 1e-9}
    for iteration, loss in losses.items():
        assert over.tick(at(iteration, loss_discriminator=loss)) == []
    (told,) = over.tick(at(1700, loss_discriminator=-1e-9))
    assert told.name == "discriminator_wins"
    assert "the discriminator tells all pictures apart since iteration 600: its loss is" in told.evidence
    assert all(watch().tick(at(iteration, loss_flow=0.0)) == [] for iteration in range(0, 5000, 500))


def test_h3_a_finding_does_not_end_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "LONG", 1)
    monkeypatch.setattr(looks, "LEAST_SPREAD", 9.0)
    ganlab.train(tiny(), out="run")
    log = Path("run/log.txt").read_text()
    assert log.count("warning: generator collapse: the samples of iteration 8") == 1
    assert log.count("generator collapse") == 1
