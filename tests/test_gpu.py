"""What only a CUDA device can show; each of these skips by itself where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import tiny

import ganlab

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
    from ganlab.export import export

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
    from ganlab.data.batches import Batches, Latent
    from ganlab.data.packing import pack
    from ganlab.recipe import parse_recipe

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
