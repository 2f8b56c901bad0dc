"""What a capture forbids: the run goes on without graphs, and says for which reason, not for what followed from it."""

from __future__ import annotations

import pytest

from fake_cuda.child import FakeGPUs
from fake_cuda.programs import failures
from fake_cuda.programs.failures import ITERATIONS, WAYS, Drawn, Failure
from ganlab.training.cuda_graphs import PROBES, PROOFS

UNPINNED = (
    "Cannot copy between CPU and CUDA tensors during CUDA graph capture unless the CPU tensor is pinned. Please use "
    "tensor.pin_memory() or allocate the tensor with pin_memory=True."
)
REASONS = {
    "reads": "the host reads the device within an iteration (_local_scalar_dense)",
    "waits for the stream": "CUDA error: operation not permitted when stream is capturing",
    "waits for the device": "CUDA error: operation not permitted when stream is capturing",
    "waits for an event": "CUDA error: operation not permitted on an event last recorded in a capturing stream",
    "waits for another stream": "CUDA error: dependency created on uncaptured work in another stream",
    "forks": "CUDA error: capturing stream has unjoined work",
    "copies to the host": UNPINNED,
    "copies from pageable memory": UNPINNED,
    "raises": "not while it is captured",
}
CALLS = {
    "waits for the stream": "cudaStreamSynchronize",
    "waits for the device": "cudaDeviceSynchronize",
    "waits for an event": "cudaEventSynchronize",
    "waits for another stream": "cudaStreamWaitEvent",
    "forks": "cudaStreamEndCapture",
}


@pytest.fixture(scope="module", params=["0.0", "0.3"])
def found(fake_gpus: FakeGPUs, request: pytest.FixtureRequest) -> dict[str, Failure]:
    return fake_gpus.ask(failures.captures, request.param)


def test_what_cannot_be_captured_is_computed_eagerly_for_its_true_reason(found: dict[str, Failure]) -> None:
    for way, reason in REASONS.items():
        trained, refused, replays = found[way]
        (note,) = trained.notes
        assert note.startswith("iterations are computed eagerly, not as CUDA graphs: "), way
        assert reason in note, way
        assert trained.iterations == ITERATIONS, way
        assert replays == 0, way
        assert [action.name for action in refused] == ([CALLS[way]] if way in CALLS else []), way


def test_what_can_be_captured_is(found: dict[str, Failure]) -> None:
    """Copies from pinned memory, and work on another stream that is joined again."""
    for way in WAYS.keys() - REASONS.keys():
        assert found[way].trained.notes == [], way
        assert found[way].replays == ITERATIONS - 1 - PROBES, way


def test_a_replay_draws_the_random_numbers_of_an_eager_iteration(fake_gpus: FakeGPUs) -> None:
    """torch's generator begins each computation at the same place, and ends there, in proofs and after them."""
    found: list[Drawn] = fake_gpus.ask(failures.random_numbers)
    replayed = [one.replayed for one in found]
    assert replayed == [False] * (1 + PROBES) + [True, False, False] * PROOFS + [True] * (
        ITERATIONS - 1 - PROBES - PROOFS
    )
    assert {one.begin.offset for one in found} == {0}
    assert {one.begin.seed == one.end.seed for one in found} == {True}
    (numbers,) = {one.end.offset for one in found}
    assert numbers > 0
    assert len({one.begin.seed for one in found}) == ITERATIONS, (
        "a proof is of one iteration, and each has its own seed"
    )
