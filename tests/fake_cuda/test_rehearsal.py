"""The benchmark on a GPU, gone through before anybody pays for one."""

from __future__ import annotations

import pytest

from fake_cuda.child import FakeGPUs
from fake_cuda.programs import rehearsal

MINUTES = 10


@pytest.mark.long
def test_the_benchmark_of_a_gpu_comes_to_its_end(fake_gpus: FakeGPUs) -> None:
    found = fake_gpus.ask(rehearsal.benchmark, seconds=60 * MINUTES)
    assert found.parts == [
        "machine",
        "quick",
        "gate",
        "device",
        "comparisons",
        "runs",
        "inference",
        "curves",
        "batch_size",
        "celeba",
    ]
    assert found.gates == 5
    variants = {"G-exact", "G-fp32", "G-eager", "G-fast", "G-compiled"}
    assert {leg.name for leg in found.legs} == {"R-mem", "R-e2e", *variants}
    for leg in found.legs:
        assert leg.blocks == 2, leg
        # No kernel can be built for a GPU that is none; what is to be captured is.
        assert not any("eagerly" in note for note in leg.notes), leg
        assert leg.name == "G-compiled" or leg.notes == [], leg
    assert found.images == [20 * 16, 20 * 16, 40 * 16, 40 * 16, 25 * 256]
    assert found.notes == []
    assert found.inference == [
        f"{leg} {size}" for size in (1, 64, 1024) for leg in ("torch", "onnxruntime", "onnxruntime", "torch")
    ]
