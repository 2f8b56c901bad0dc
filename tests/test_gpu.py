"""What only a CUDA device can show; each of these skips by itself where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import tiny

import ganlab
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
    "optimizer": {"decay_from": 0.3},
}


def on_cuda(**tables: Any) -> dict[str, Any]:
    train = {"device": "cuda"} | tables.pop("train", {})
    return tiny(train=train, **tables)


def state_bytes(run: Path) -> bytes:
    return (max((run / "checkpoints").iterdir()) / "state.safetensors").read_bytes()


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "auto"])
def test_a_run_on_cuda_leaves_a_generator_that_exports(precision: str) -> None:
    run = ganlab.train(on_cuda(**HARD, train={"precision": precision}))
    from ganlab.generator.export import export

    exported = export(run.generator, "onnx")
    assert exported.max_difference <= 1e-5
    z = ganlab.load_generator(run.generator, device="cpu").latents(range(5))
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


def test_the_nth_batch_is_the_same_pictures_as_on_the_cpu() -> None:
    from ganlab.data.batches import Batches
    from ganlab.data.latents import Latent
    from ganlab.data.packing import pack
    from ganlab.recipe.recipe import parse_recipe

    recipe = parse_recipe(tiny(dataset={"count": 100}))
    packed = pack(recipe.dataset, "stripes", lambda *_: None)
    devices = [torch.device("cpu"), torch.device("cuda", 0)]
    sources = [
        Batches(packed, Latent(4, "normal"), batch_size=8, conditional=False, flip=True, seed=3, device=device)
        for device in devices
    ]
    for _ in range(30):
        one, other = (next(source).real.cpu() for source in sources)
        assert torch.equal(one, other)


def noted(run: ganlab.Run) -> str:
    return (run.directory / "log.txt").read_text()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_iterations_are_captured(precision: str, deterministic: bool) -> None:
    train = {"precision": precision, "deterministic": deterministic, "iterations": 40}
    run = ganlab.train(on_cuda(**HARD, train=train, observers={"log": {}}))
    assert "eagerly" not in noted(run)


def test_replayed_iterations_leave_the_bits_of_eager_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run with and without capture, in the deterministic mode: same weights, optimizer, average, buffers."""
    train = {"deterministic": True, "iterations": 40}
    captured = ganlab.train(on_cuda(**HARD, train=train, observers={"log": {}}), out="captured")
    assert "eagerly" not in noted(captured)

    def refuse(self: CudaGraph, work: Any) -> None:
        raise RuntimeError("no graphs here")

    monkeypatch.setattr(CudaGraph, "record", refuse)
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


@pytest.mark.parametrize("deterministic", [False, True])
def test_lazy_penalties_have_a_graph_a_phase(deterministic: bool) -> None:
    model = {"discriminator_batchnorm": False}
    loss = {"name": "logistic", "r1": 1.0, "penalty_every": 4}
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


def test_pictures_that_do_not_fit_on_the_device_are_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    train = {"deterministic": True, "iterations": 40}
    resident = ganlab.train(on_cuda(**HARD, train=train), out="resident")
    monkeypatch.setattr("ganlab.data.batches.MEMORY_SHARE", 0.0)
    streamed = ganlab.train(on_cuda(**HARD, train=train), out="streamed")
    assert state_bytes(resident.directory) == state_bytes(streamed.directory)
