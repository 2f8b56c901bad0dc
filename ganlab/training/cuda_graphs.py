"""Whole iterations captured in CUDA graphs: recorded once, proven against eager ones, then replayed by one call.

An eager DCGAN iteration launches some hundred kernels, and a GPU waits for the host between them. Replayed, they
follow each other at once. What the host decides is fixed when it is recorded; so an iteration is recorded only if
three iterations on other data have asked the device for the same work, and it is believed only when its first replays
have left what eager iterations leave. The probes are the run's own first iterations, and recording computes nothing,
so there is no warm-up to undo.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from ganlab.messages import one_line
from ganlab.training.operators import Operators, Work, difference
from ganlab.training.statistics import Layout

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE

    from ganlab.data.batches import Draw
    from ganlab.hardware.device import Precision
    from ganlab.training.iteration import WholeIteration

PROBES = 3
"""Eager iterations whose work must be the same before it is recorded."""
PROOFS = 2
"""Replays that must leave what eager iterations leave before the rest are believed."""
TOLERANCE = {"fp32": 1e-3, "tf32": 1e-3, "bf16": 2e-2}
"""How far a replay may differ from an eager iteration, as a share of what the iteration changes. Kernels that add in
another order give other last digits; stale pictures or a missing step differ by the whole."""
NOISE = 10.0
"""How many times as far as two eager iterations from the same state, whichever is more."""


class Graph(Protocol):
    """Work of the device that can be repeated."""

    def record(self, work: Callable[[], object]) -> None:
        """Record what `work` asks of the device. Nothing of it is done."""

    def replay(self) -> None:
        """Do it, in the same memory."""


class CudaGraph:
    """A CUDA graph."""

    def __init__(self, pool: _POOL_HANDLE) -> None:
        self._graph, self._pool = torch.cuda.CUDAGraph(), pool

    def record(self, work: Callable[[], object]) -> None:
        """Capture `work` on the current stream."""
        # "thread_local": what other threads do meanwhile, such as writing pictures, is no part of the capture.
        stream = torch.cuda.current_stream()
        with torch.cuda.graph(self._graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
            work()

    def replay(self) -> None:
        """Launch all of it."""
        self._graph.replay()


def cuda_graphs() -> Callable[[], Graph]:
    """Return what makes CUDA graphs that share their memory: none of them leaves anything in it."""
    pool = torch.cuda.graph_pool_handle()
    return lambda: CudaGraph(pool)


class _Recording(NamedTuple):
    """A recorded iteration, and where it finds its data."""

    graph: Graph
    draws: list[Draw]
    layout: Layout


class Captured:
    """Runs iterations: the first of each phase eagerly, then as its graph; eagerly for good where that fails."""

    def __init__(
        self,
        iteration: WholeIteration,
        new_graph: Callable[[], Graph],
        precision: Precision,
        note: Callable[[str], None],
    ) -> None:
        """`note` gets a line that says why iterations are computed eagerly, should they be."""
        self._iteration, self._new_graph, self._note = iteration, new_graph, note
        deterministic = iteration.recipe.train.deterministic
        self._tolerance = 0.0 if deterministic else TOLERANCE[precision]
        self._eager = False
        self._works: dict[int, list[Work]] = {}
        self._recordings: dict[int, _Recording] = {}
        self._proofs: dict[int, int] = {}

    def run(self, progress: float) -> Layout:
        """Run the iteration; return which scalars have been added to the statistics."""
        phase = self._iteration.phase
        if self._eager:
            return self._iteration.run(progress)
        if phase not in self._recordings:
            return self._probe(phase, progress)
        if self._proofs[phase] < PROOFS:
            return self._prove(phase, progress)
        return self._replay(self._recordings[phase], progress)

    def _probe(self, phase: int, progress: float) -> Layout:
        """Run it eagerly and watch what it asks of the device; once that is known, record it."""
        iteration = self._iteration
        if phase not in self._works:  # the first makes what lasts, such as the sums of its statistics
            self._works[phase] = []
            return iteration.run(progress)
        works = self._works[phase]
        iteration.begin(progress)
        with Operators(iteration.device, iteration.tensors().items()) as operators:
            layout = iteration.compute(operators.batches(iteration.batches))
        works.append(operators.work(layout))
        if why := difference(works):
            self._give_up(why)
        elif len(works) == PROBES:
            self._record(phase, works[0])
            del works[:]
        return layout

    def _record(self, phase: int, work: Work) -> None:
        iteration, batches = self._iteration, self._iteration.batches
        drawn = batches.drawn
        draws = [batches.draw().copy() for _ in range(work.draws)]
        batches.drawn = drawn
        graph = self._new_graph()
        try:
            graph.record(lambda: iteration.compute(batches.made_of(draw) for draw in draws))
        except Exception as error:  # noqa: BLE001  # whatever a plugin's code raises where it cannot be captured
            iteration.abandon()
            first_line = str(error).partition("\n")[0]
            self._give_up(f"an iteration cannot be captured ({one_line(first_line) or type(error).__name__})")
            return
        self._recordings[phase] = _Recording(graph, draws, work.layout)
        self._proofs[phase] = 0

    def _replay(self, recording: _Recording, progress: float) -> Layout:
        self._iteration.begin(progress)
        for place in recording.draws:
            place.overwrite(self._iteration.batches.draw())
        recording.graph.replay()
        return recording.layout

    def _prove(self, phase: int, progress: float) -> Layout:
        """Replay the iteration and run it eagerly, twice, from the same state; an eager one has the last word."""
        iteration = self._iteration
        tensors, drawn = iteration.tensors(), iteration.batches.drawn
        before = _values(tensors)
        try:
            layout = self._replay(self._recordings[phase], progress)
            replayed = _values(tensors)
            _put_back(before, tensors, iteration, drawn)
            iteration.run(progress)
            eager = _values(tensors)
            _put_back(before, tensors, iteration, drawn)
            layout = iteration.run(progress)
        except torch.OutOfMemoryError:
            _put_back(before, tensors, iteration, drawn)
            self._give_up("there is not enough memory for a captured iteration beside an eager one")
            return iteration.run(progress)
        if unlike := _unlike(before, replayed, eager, _values(tensors), self._tolerance):
            self._give_up(f"a captured iteration leaves another {unlike} than an eager one")
        else:
            self._proofs[phase] += 1
        return layout

    def _give_up(self, why: str) -> None:
        self._eager = True
        self._recordings.clear()
        self._note(f"iterations are computed eagerly, not as CUDA graphs: {why}")


def _values(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@torch.no_grad()
def _put_back(values: dict[str, Tensor], tensors: dict[str, Tensor], iteration: WholeIteration, drawn: int) -> None:
    for name, tensor in tensors.items():
        tensor.copy_(values[name])
    iteration.batches.drawn = drawn
    iteration.abandon()


def _unlike(
    before: dict[str, Tensor],
    replayed: dict[str, Tensor],
    eager: dict[str, Tensor],
    again: dict[str, Tensor],
    tolerance: float,
) -> str | None:
    """Return the first group of tensors that the replay has left otherwise than the eager iterations."""
    groups: dict[str, list[str]] = {}
    for name in before:
        groups.setdefault(_group(name), []).append(name)
    for group, names in groups.items():
        change = _distance(before, again, names)
        noise = _distance(eager, again, names)
        if not _distance(replayed, again, names) <= tolerance * change + NOISE * noise:
            return group
    return None


def _group(name: str) -> str:
    """Return what is compared as one: weights together, since a single one may be all rounding; counts each."""
    *parts, last = name.split("/")
    if parts[0] == "optimizers":
        return f"{last} of the {parts[1]}"
    if parts[0] == "networks" and not last.endswith(("running_mean", "running_var", "num_batches_tracked")):
        return f"{parts[1]}"
    return name if parts[0] != "average" else "moving average"


def _distance(one: dict[str, Tensor], other: dict[str, Tensor], names: list[str]) -> float:
    differences = [(one[name].double() - other[name].double()).reshape(-1) for name in names]
    return float(torch.linalg.vector_norm(torch.cat(differences)))
