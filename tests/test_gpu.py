"""What only a CUDA device can show; each of these skips by itself where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ganlab_dcgan import DCGAN
from torch import nn
from torch.nn.functional import softplus
from toys import tiny

import ganlab
from ganlab import Batch, ImageSpec, Iteration, Loss, Update
from ganlab.hardware.device import tf32
from ganlab.registry import registry
from ganlab.standard.losses.bce import BCE
from ganlab.training.cuda_graphs import CudaGraph

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

HARD: dict[str, Any] = {
    "model": {"generator_dropout": 0.3, "discriminator_dropout": 0.2},
    "dataset": {"flip": True},
    "loss": {"discriminator_steps": 2, "real_label": 0.9},
    "optimizer": {"lr": {"from": 2e-4, "to": 0.0, "after": 0.3, "progress": 0.7}},
}


def on_cuda(**tables: Any) -> dict[str, Any]:
    train = {"device": "cuda"} | tables.pop("train", {})
    return tiny(train=train, **tables)


def state_bytes(run: Path) -> bytes:
    return (max((run / "checkpoints").iterdir()) / "state.safetensors").read_bytes()


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16", "auto"])
def test_a_run_on_cuda_leaves_a_generator_that_exports(precision: str) -> None:
    run = ganlab.train(on_cuda(**HARD, train={"precision": precision}))
    from ganlab.generator.export import export

    exported = export(run.generator, "onnx")
    assert exported.max_difference <= 1e-5
    z = ganlab.load_generator(run.generator, device="cpu").draw(range(5))
    on_gpu = ganlab.load_generator(run.generator, device="cuda")(z)
    np.testing.assert_allclose(on_gpu, ganlab.load_generator(exported.path, device="cpu")(z), atol=1e-4)


@pytest.mark.parametrize("stop", [3, 6])
def test_deterministic_resume_on_cuda_is_bit_identical(stop: int) -> None:
    deterministic = {"deterministic": True}
    whole = ganlab.train(on_cuda(**HARD, train=deterministic), out="whole")
    again = ganlab.train(on_cuda(**HARD, train=deterministic), out="again")
    assert state_bytes(whole.directory) == state_bytes(again.directory)

    # Extending a run is a resume; without a falling learning rate its bits do not depend on where it was to end.
    constant = {name: table for name, table in HARD.items() if name != "optimizer"}
    at_once = ganlab.train(on_cuda(**constant, train=deterministic), out="at-once")
    ganlab.train(on_cuda(**constant, train=deterministic | {"iterations": stop}), out="in-parts")
    in_parts = ganlab.train(on_cuda(**constant, train=deterministic), out="in-parts")
    assert state_bytes(in_parts.directory) == state_bytes(at_once.directory)


def test_the_generator_of_a_checkpoint_is_that_of_its_snapshot_and_nearly_so_on_the_cpu() -> None:
    from ganlab.run.remade import generator_of

    run = ganlab.train(on_cuda(**HARD, train={"deterministic": True}), out="run")
    newest = max((run.directory / "checkpoints").iterdir())
    assert generator_of(newest, "auto").data == run.generator.read_bytes()
    on_cpu, shipped = (ganlab.load_generator(place, device="cpu") for place in (newest, run))
    z = shipped.draw(range(5))
    np.testing.assert_allclose(on_cpu(z), shipped(z), atol=1e-3)


def test_the_nth_batch_is_the_same_pictures_as_on_the_cpu() -> None:
    from ganlab.data.batches import Batches
    from ganlab.data.packing import pack
    from ganlab.interfaces import Normal
    from ganlab.recipe.recipe import parse_recipe

    recipe = parse_recipe(tiny(dataset={"count": 100}))
    packed = pack(recipe.dataset, "stripes", lambda *_: None)
    devices = [torch.device("cpu"), torch.device("cuda", 0)]
    sources = [
        Batches(packed, {"z": Normal((4,))}, batch_size=8, conditional=False, flip=True, seed=3, device=device)
        for device in devices
    ]
    for _ in range(30):
        one, other = (next(source).real.cpu() for source in sources)
        # A GPU divides by multiplying, so the last digit of a float may be another; the pixels are the same.
        torch.testing.assert_close(one, other, rtol=0.0, atol=2 * torch.finfo(torch.float32).eps)
        assert torch.equal((one + 1).mul(127.5).round(), (other + 1).mul(127.5).round())


def no_graphs(self: CudaGraph, work: Any) -> None:
    raise RuntimeError("no graphs here")


def noted(run: ganlab.Run) -> str:
    return (run.directory / "log.txt").read_text()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_iterations_are_captured(precision: str, deterministic: bool) -> None:
    train = {"precision": precision, "deterministic": deterministic, "iterations": 40}
    run = ganlab.train(on_cuda(**HARD, train=train, observers={"log": {}}))
    assert "eagerly" not in noted(run)


def test_networks_are_compiled_and_captured_on_request() -> None:
    run = ganlab.train(on_cuda(**HARD, train={"compile": True, "iterations": 40}, observers={"log": {}}))
    assert "torch.compile builds" in noted(run)
    assert "not compiled" not in noted(run)
    assert "eagerly" not in noted(run)


def test_both_batches_have_in_one_pass_the_logits_of_two_on_cuda() -> None:
    torch.manual_seed(0)
    network = DCGAN().build(ImageSpec(3, 64, 64))["discriminator"].to("cuda").to(memory_format=torch.channels_last)
    real, fake = torch.randn(2, 128, 3, 64, 64, device="cuda")
    places = [Iteration(0, torch.tensor(0.0), one_pass) for one_pass in (False, True)]
    with tf32(allowed=False):
        apart, together = (ganlab.apart(network, [real, 3.0 * fake + 1.0], (), place) for place in places)
    for one, other in zip(apart, together, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def test_replayed_iterations_leave_the_bits_of_eager_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run with and without capture, in the deterministic mode: same weights, optimizer, average, buffers."""
    train = {"deterministic": True, "iterations": 40}
    captured = ganlab.train(on_cuda(**HARD, train=train, observers={"log": {}}), out="captured")
    assert "eagerly" not in noted(captured)

    monkeypatch.setattr(CudaGraph, "record", no_graphs)
    eager = ganlab.train(on_cuda(**HARD, train=train, observers={"log": {}}), out="eager")
    assert "computed eagerly, not as CUDA graphs: an iteration cannot be captured (no graphs here)" in noted(eager)
    assert state_bytes(captured.directory) == state_bytes(eager.directory)


def test_a_captured_run_resumes_with_the_bits_of_an_undisturbed_one() -> None:
    """Extending a run is a resume: its graphs are captured anew, at another place."""
    constant = {name: table for name, table in HARD.items() if name != "optimizer"}
    train = {"deterministic": True}
    whole = ganlab.train(on_cuda(**constant, train=train | {"iterations": 40}), out="whole")
    ganlab.train(on_cuda(**constant, train=train | {"iterations": 17}), out="parts")
    parts = ganlab.train(on_cuda(**constant, train=train | {"iterations": 40}), out="parts")
    assert state_bytes(parts.directory) == state_bytes(whole.directory)


class LazyPenalty(Loss):
    """The logistic loss, with R1 in every fourth iteration."""

    api = 1

    @property
    def period(self) -> int:
        return 4

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        G, D = networks["generator"], networks["discriminator"]
        batch = next(batches)
        fake, real = G(batch.inputs["z"]), batch.real.requires_grad_(iteration.phase == 0)
        real_logits = D(real)
        loss = softplus(-real_logits).mean() + softplus(D(fake.detach())).mean()
        if iteration.phase == 0:
            (slopes,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
            loss = loss + 2.0 * slopes.square().sum((1, 2, 3)).mean()
        yield Update("discriminator", loss)
        yield Update("generator", softplus(-D(fake)).mean())


@pytest.mark.parametrize("deterministic", [False, True])
def test_lazy_penalties_have_a_graph_a_phase(deterministic: bool) -> None:
    registry.add("loss", "lazy", LazyPenalty)
    model = {"discriminator_batchnorm": False}
    loss = {"name": "lazy"}
    train = {"deterministic": deterministic, "iterations": 60}
    runs = [ganlab.train(on_cuda(model=model, loss=loss, train=train, observers={"log": {}}), out=out) for out in "ab"]
    assert "eagerly" not in noted(runs[0])
    if deterministic:
        assert state_bytes(runs[0].directory) == state_bytes(runs[1].directory)


def test_a_loss_that_reads_the_device_is_computed_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    original = BCE._generator_update

    def reading(self: BCE, *arguments: Any) -> Any:
        update = original(self, *arguments)
        assert update.loss.item() == update.loss.item()
        return update

    monkeypatch.setattr(BCE, "_generator_update", reading)
    run = ganlab.train(on_cuda(train={"iterations": 12}, observers={"log": {}}))
    assert "eagerly, not as CUDA graphs: the host reads the device within an iteration" in noted(run)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_capture_that_cuda_refuses_is_given_up_for_its_true_reason(
    dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has drawn random numbers in the broken capture goes on drawing them."""
    original = BCE._generator_update

    def waiting(self: BCE, *arguments: Any) -> Any:
        update = original(self, *arguments)
        torch.cuda.synchronize()
        return update

    train = {"deterministic": True, "iterations": 12}
    recipe = on_cuda(model={"generator_dropout": dropout}, train=train, observers={"log": {}})
    plain = ganlab.train(recipe, out="plain")
    assert "eagerly" not in noted(plain)
    monkeypatch.setattr(BCE, "_generator_update", waiting)
    run = ganlab.train(recipe, out="waiting")
    assert "computed eagerly, not as CUDA graphs: an iteration cannot be captured (CUDA error: operation not " in noted(
        run
    )
    assert state_bytes(run.directory) == state_bytes(plain.directory)


def test_a_run_ends_or_says_that_memory_is_out_however_little_there_is() -> None:
    """From enough for nothing to enough for all; what ends, ends with a generator."""
    total = torch.cuda.get_device_properties(0).total_memory
    model = {"base_channels": 64, "generator_dropout": 0.1}
    train = {"iterations": 12, "batch_size": 64}
    recipe = on_cuda(model=model, train=train, dataset={"count": 64}, observers={"log": {}})
    outcomes = []
    try:
        for megabytes in (2, 8, 16, 24, 32, 40, 48, 64, 1024):
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(megabytes * 2**20 / total, 0)
            said = ""
            try:
                run = ganlab.train(recipe, out=f"run-{megabytes}")
            except ganlab.GanlabError as error:
                said = str(error)
            assert not said or said.startswith("out of memory")
            if not said:
                assert run.generator.is_file()
            outcomes.append("refused" if said else "eager" if "eagerly" in noted(run) else "captured")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    assert outcomes[0] == "refused"
    assert outcomes[-1] == "captured"
    assert outcomes == sorted(outcomes, key=["refused", "eager", "captured"].index), (
        "what fits into less fits into more"
    )


@pytest.mark.parametrize("deterministic", [False, True])
def test_what_proves_a_captured_iteration_is_given_back(deterministic: bool) -> None:
    """A captured training holds no more memory than an eager one that keeps its activations, and half as much again."""
    held: dict[str, int] = {}

    class Held(ganlab.Observer):
        """Notes the memory that the training holds."""

        api = 1
        where: str

        @ganlab.hookimpl
        def tick(self, tick: ganlab.Tick) -> None:
            held[self.where] = torch.cuda.memory_reserved()

    registry.add("observer", "held", Held)
    model = {"base_channels": 32, "generator_dropout": 0.1}
    train = {"iterations": 40, "batch_size": 256, "deterministic": deterministic, "tick_seconds": 0.001}
    with pytest.MonkeyPatch.context() as patch:
        for where in ("captured", "eager"):
            torch.cuda.empty_cache()
            if where == "eager":
                patch.setattr(CudaGraph, "record", no_graphs)
            ganlab.train(
                on_cuda(model=model, dataset={"count": 256}, train=train, observers={"held": {"where": where}}),
                out=where,
            )
    assert held["captured"] <= 1.5 * held["eager"], held


def test_pictures_that_do_not_fit_on_the_device_are_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    train = {"deterministic": True, "iterations": 40}
    resident = ganlab.train(on_cuda(**HARD, train=train), out="resident")
    monkeypatch.setattr("ganlab.data.batches.MEMORY_SHARE", 0.0)
    streamed = ganlab.train(on_cuda(**HARD, train=train), out="streamed")
    assert state_bytes(resident.directory) == state_bytes(streamed.directory)
