"""How a recipe is measured: what is counted is right, and so is what is timed, on a clock that iterations move."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from ganlab_conditional import ConditionalDCGAN
from torch import nn
from toys import tiny

from ganlab import Batch, ImageSpec, Iteration, Loss, Model, Update
from ganlab.bench.measure import _Bench, _Fixed, endless, measure
from ganlab.bench.peak import Peak
from ganlab.bench.report import Lower
from ganlab.data.batches import Batches, Draw
from ganlab.data.packing import pack
from ganlab.errors import GanlabError
from ganlab.recipe.recipe import parse_recipe
from ganlab.registry import registry
from ganlab.standard.losses.bce import BCE

CPU = torch.device("cpu")


def quiet(*_: object) -> None:
    pass


def bench_of(tables: dict[str, Any]) -> _Bench:
    recipe = parse_recipe(tables)
    packed = pack(recipe.dataset, "stripes", quiet)
    return _Bench(endless(recipe), packed, CPU, "fp32", 0.01)


# What is counted


def multiplications(channels: int) -> tuple[list[int], list[int]]:
    """Return those a picture, layer by layer, of the 64 px networks of Radford et al. 2015 with so many channels."""
    c = channels
    G = [100 * 8 * c * 16] + [16 * 4 * 4 * 4**i * (8 * c >> i) * (4 * c >> i) for i in range(3)] + [16 * 32**2 * c * 3]
    D = [16 * 32**2 * 3 * c] + [16 * 4 ** (4 - i) * (c << i) * (2 * c << i) for i in range(3)] + [16 * 8 * c]
    return G, D


def test_a_dcgan_iteration_has_the_arithmetic_of_the_paper_count() -> None:
    assert [round(sum(layers) / 1e6, 1) for layers in multiplications(64)] == [104.6, 103.8]
    G, D = multiplications(8)
    # D(real) and D(fake): forward and both gradients, but none for the pictures; D(fake) again: forward and input
    # gradient; G: forward and both gradients, but none for z.
    paper = 2 * (3 * sum(D) - D[0]) + 2 * sum(D) + 3 * sum(G) - G[0]
    tables = tiny(
        model={"name": "dcgan", "base_channels": 8, "latent_dim": 100},
        dataset={"name": "stripes", "resolution": 64, "channels": 3},
        train={"batch_size": 2},
    )
    assert bench_of(tables).count()[0] == 2 * 2 * paper


def test_the_batches_of_an_iteration_are_counted() -> None:
    bench = bench_of(tiny(loss={"name": "bce", "discriminator_steps": 3}))
    bench.count()
    assert bench.batches_per_iteration == 3


class TakingTurns(Loss):
    """Updates the discriminator and the generator in turns."""

    api = 1
    period: ClassVar[int] = 2

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        batch = next(batches)
        fake = networks["generator"](batch.inputs["z"])
        if iteration.phase == 0:
            yield Update("discriminator", networks["discriminator"](fake.detach()).mean())
        else:
            yield Update("generator", -networks["discriminator"](fake).mean())


class Penalised(Loss):
    """Brings the slope of one layer without a bias to 0, by a gradient in a gradient."""

    api = 1

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        D, batch = networks["discriminator"], next(batches)
        real = batch.real.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(D(real).sum(), real, create_graph=True)
        yield Update("discriminator", gradient.square().sum())
        yield Update("generator", networks["generator"](*batch.inputs.values()).mean())


class OneLayer(Model):
    """A linear layer each way."""

    api = 1

    def check(self, images: ImageSpec) -> None:
        pass

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {
            "generator": nn.Sequential(nn.Linear(self.latent_dim, 64, bias=False), nn.Unflatten(1, images[:3])),
            "discriminator": nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False), nn.Flatten(0)),
        }


def test_a_loss_that_takes_a_gradient_itself_is_counted() -> None:
    registry.add("loss", "penalised", Penalised)
    registry.add("model", "one_layer", OneLayer)
    try:
        bench = bench_of(tiny(model={"name": "one_layer", "latent_dim": 6}, loss={"name": "penalised"}))
        # D: forward, the gradient for pictures, and that one's for the weights. G: forward, and its gradient for the
        # weights. A multiplication and an addition for each weight and each of 8 pictures.
        assert bench.count()[0] == 2 * 8 * (3 * 64 + 2 * 6 * 64)
    finally:
        registry.remove("loss", "penalised")
        registry.remove("model", "one_layer")


def test_what_an_iteration_costs_is_the_mean_over_the_period() -> None:
    registry.add("loss", "taking_turns", TakingTurns)
    try:
        bench = bench_of(tiny(loss={"name": "taking_turns"}))
        flops, _ = bench.count()
        assert bench._trainer.state.iteration == 4, "one period is timed, one is counted"
        assert flops * 2 == int(flops * 2) > 0
    finally:
        registry.remove("loss", "taking_turns")


def test_a_model_with_labels_is_measured() -> None:
    registry.add("model", "with_labels", ConditionalDCGAN)
    try:
        model = {"name": "with_labels", "base_channels": 4, "latent_dim": 6}
        bench = bench_of(tiny(model=model, dataset={"resolution": 16, "classes": 3}))
        assert bench.count()[0] > 0
        mine, fixed = bench.race(0.1, quiet)
        assert min(len(mine), len(fixed)) >= 2
    finally:
        registry.remove("model", "with_labels")


def test_the_fixed_batch_stands_for_batches() -> None:
    bench = bench_of(tiny())
    fixed = _Fixed(bench._trainer.batches)
    batches = [next(fixed), next(fixed), fixed.made_of(fixed.draw())]
    assert all(batch is batches[0] for batch in batches)
    assert fixed.drawn == 3
    missing = {name for name in vars(type(bench._trainer.batches)) if not name.startswith("_")} - set(dir(fixed))
    assert not missing, "the loop may ask for these"


# What is timed


class Slow(BCE):
    """Takes half a second and a 64th of one for each picture, on a clock of its own, in bfloat16 half as long."""

    api = 1
    bf16: bool = True

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        def timed(batch: Batch) -> Batch:
            half = torch.is_autocast_enabled("cpu")
            if half and not self.bf16:
                raise RuntimeError("\"svd_cpu\" not implemented for 'BFloat16'")
            NOW[0] += (0.5 + len(batch.real) / 64) / (2 if half else 1)
            return batch

        return super().updates(networks, map(timed, batches), iteration)


NOW = [0.0]
DRAW = Batches.draw


def slow_draw(batches: Batches) -> Draw:
    """Take a quarter of a second for each batch of the data's."""
    NOW[0] += 0.25
    return DRAW(batches)


@pytest.fixture
def _slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    NOW[0] = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: NOW[0])
    monkeypatch.setattr(Batches, "draw", slow_draw)
    monkeypatch.setattr("ganlab.bench.measure.measure_peak", lambda *_: Peak(1e6, "matmul"))
    monkeypatch.setattr("ganlab.hardware.load.Load.crowded", lambda self, threads: None)  # whatever runs beside it
    monkeypatch.setattr("ganlab.hardware.device._cpu_has_bf16", lambda: False)
    registry.add("loss", "slow", Slow)
    yield
    registry.remove("loss", "slow")


@pytest.mark.usefixtures("_slow")
@pytest.mark.parametrize("batch_size", [8, 16])
def test_what_is_reported_is_what_iterations_took_and_nothing_is_kept(batch_size: int, tmp_path: Path) -> None:
    said: list[str] = []
    tables = tiny(loss={"name": "slow"}, train={"batch_size": batch_size})
    report = measure(parse_recipe(tables), 40.0, lambda work, done, total: said.append(work))
    seconds = 0.5 + batch_size / 64 + 0.25
    assert report.iteration_seconds == (seconds, seconds, seconds)
    assert report.images_per_second.median == batch_size / seconds
    assert report.iterations >= report.blocks >= 4, "two legs of two at least"
    assert report.data_share == pytest.approx(0.25 / seconds)
    assert report.limit == "data"
    assert report.floor_seconds == report.flops / 1e6
    # What is left where a batch has no pictures; of 8 an eighth is too few to be told from them.
    assert report.host_seconds == (None if batch_size == 8 else pytest.approx(0.75))
    assert (report.batch_size, report.pictures) == (batch_size, (40, 1, 8, 8))
    assert report.memory_bytes > 1e7
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}
    assert list(dict.fromkeys(said))[-2:] == ["measuring", "measuring the peak"]
    assert report.lower is None


@pytest.mark.usefixtures("_slow")
@pytest.mark.parametrize("trains", [True, False])
def test_a_lower_precision_that_the_processor_has_is_measured_too(
    trains: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganlab.hardware.device._cpu_has_bf16", lambda: True)
    recipe = parse_recipe(tiny(loss={"name": "slow", "bf16": trains}, train={"batch_size": 16}))
    report = measure(recipe, 40.0, quiet)
    assert (report.precision, report.iteration_seconds.median) == ("fp32", 1.0)
    assert report.lower == (Lower("bf16", 1.0 / 0.625) if trains else None)


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(GanlabError, match="one process"):
        measure(parse_recipe(tiny()), 1.0, quiet)
