"""Checkpoints of a run on a GPU are written behind its training."""

from __future__ import annotations

from fake_cuda.child import FakeGPUs
from fake_cuda.programs import saving


def test_a_gpu_goes_on_training_while_its_checkpoint_is_written(fake_gpus: FakeGPUs) -> None:
    saved = fake_gpus.ask(saving.run)
    assert saved.iterations == [0, 2, 4, 6]
    assert len(saved.threads) == 4
    assert {name.partition("_")[0] for name in saved.threads} == {"checkpoint"}
    assert saved.devices == ["cpu"]
    assert saved.threads_at_the_end == 0
