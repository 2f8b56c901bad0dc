"""Whole iterations captured in CUDA graphs: recorded once, proven against eager ones, then replayed by one call.

An eager DCGAN iteration launches some hundred kernels, and a GPU waits for the host between them. Replayed, they
follow each other at once. What the host decides is fixed when it is recorded; so an iteration is recorded only if
three iterations on other data have asked the device for the same work, and it is believed only when its first replays
have left what eager iterations leave. The probes are the run's own first iterations, and recording computes nothing,
so there is no warm-up to undo.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from ganlab.hardware.memory import ran_out
from ganlab.messages import one_line, told
from ganlab.training.compiled import Compiled, uncompiled
from ganlab.training.iteration import PROGRESS
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
TOLERANCE = {"fp32": 1e-3, "tf32": 1e-3, "bf16": 2e-2, "fp16": 1e-2}
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
        failure: Exception | None = None
        try:
            with torch.cuda.graph(self._graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
                try:
                    work()
                except Exception as error:
                    failure = error
                    raise
        except Exception as error:  # noqa: BLE001  # whatever a plugin's code raises where it cannot be captured
            # Before torch 2.14, CUDA's generator goes on believing that it is captured, and refuses to draw.
            generator = torch.cuda.default_generators[stream.device_index]
            generator.graphsafe_set_state(generator.clone_state())
            # Ending a broken capture raises an error of its own, which hides the one that has broken it.
            raise failure or error from None

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
    tell_progress: bool
    """Whether anything in it reads how much of the training is done."""


class Captured:
    """Runs iterations: the first of each phase eagerly, then as its graph; eagerly for good where that fails."""

    def __init__(
        self,
        iteration: WholeIteration,
        new_graph: Callable[[], Graph],
        precision: Precision,
        note: Callable[[str], None],
        compiled: Compiled | None = None,
    ) -> None:
        """`note` gets a line that says why iterations are computed eagerly or uncompiled, should they be."""
        self._iteration, self._new_graph, self._note = iteration, new_graph, note
        deterministic = iteration.recipe.train.deterministic
        self._tolerance = 0.0 if deterministic else TOLERANCE[precision]
        self._eager, self._compiled = False, compiled
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
            return iteration.run(progress) if self._compiled is None else self._compile(self._compiled, progress)
        works = self._works[phase]
        iteration.begin(progress)
        watched = Operators(iteration.device, (iteration.tensors() | iteration.told()).items())
        with uncompiled() if self._compiled else nullcontext(), watched as operators:
            layout = iteration.compute(operators.batches(iteration.batches))
        works.append(operators.work(layout))
        if why := difference(works):
            self._give_up(why)
        elif len(works) == PROBES:
            self._record(phase, works[0])
            del works[:]
        return layout

    def _compile(self, compiled: Compiled, progress: float) -> Layout:
        """Run the iteration, in which the networks' kernels are built; run it again without where that fails."""
        iteration, drawn, failure = self._iteration, self._iteration.batches.drawn, ""
        before = {name: _copy(tensor, torch.device("cpu")) for name, tensor in iteration.tensors().items()}
        try:
            with compiled.building():
                return iteration.run(progress)
        except Exception as error:  # noqa: BLE001  # whatever a compiler raises; what a plugin does, it will do again
            failure = told(error)
        compiled.undo()
        self._compiled = None
        _put_back(before, iteration.tensors(), iteration, drawn)
        self._note(f"the networks are not compiled: {failure}")
        return iteration.run(progress)

    def _record(self, phase: int, work: Work) -> None:
        iteration, batches = self._iteration, self._iteration.batches
        drawn = batches.drawn
        try:
            draws = [batches.draw().copy() for _ in range(work.draws)]
            batches.drawn = drawn
            graph = self._new_graph()
            graph.record(lambda: iteration.compute(batches.made_of(draw) for draw in draws))
        except Exception as error:  # noqa: BLE001  # whatever a plugin's code raises where it cannot be captured
            batches.drawn = drawn
            iteration.abandon()
            first_line = str(error).partition("\n")[0]
            self._give_up(f"an iteration cannot be captured ({one_line(first_line) or type(error).__name__})")
            return
        self._recordings[phase] = _Recording(graph, draws, work.layout, work.uses(PROGRESS))
        self._proofs[phase] = 0

    def _replay(self, recording: _Recording, progress: float) -> Layout:
        self._iteration.begin(progress, tell_progress=recording.tell_progress)
        for place in recording.draws:
            self._iteration.batches.draw_into(place)
        recording.graph.replay()
        return recording.layout

    def _prove(self, phase: int, progress: float) -> Layout:
        """Replay the iteration and run it eagerly, twice, from the same state; an eager one has the last word."""
        iteration = self._iteration
        tensors, drawn = iteration.tensors(), iteration.batches.drawn
        before: dict[str, Tensor] = {}
        try:
            layout, unlike = self._compared(phase, progress, tensors, before)
        except Exception as error:
            if not ran_out(error):
                raise
            layout, unlike = None, None
        # Not in the handler: as long as it lasts, so does what the failed attempt has in memory.
        if layout is None:
            _put_back(before, tensors, iteration, drawn)
            self._give_up("there is not enough memory for a captured iteration beside an eager one")
        elif unlike:
            self._give_up(f"a captured iteration leaves another {unlike} than an eager one")
        else:
            self._proofs[phase] += 1
        if self._eager or self._proofs[phase] == PROOFS:
            before.clear()
            torch.cuda.empty_cache()  # what the proof took is more than the training itself takes
        return iteration.run(progress) if layout is None else layout

    def _compared(
        self, phase: int, progress: float, tensors: dict[str, Tensor], before: dict[str, Tensor]
    ) -> tuple[Layout, str | None]:
        """Run the iteration three times; return its layout, and what the replay leaves otherwise than the others.

        `before` is filled with the values from which each begins.
        """
        iteration, drawn = self._iteration, self._iteration.batches.drawn
        place = _place_for_copies(tensors, iteration.device)
        for name, tensor in tensors.items():
            before[name] = _copy(tensor, place)
        self._replay(self._recordings[phase], progress)
        replayed = {name: _copy(tensor, place) for name, tensor in tensors.items()}
        _put_back(before, tensors, iteration, drawn)
        iteration.run(progress)
        eager = {name: _copy(tensor, place) for name, tensor in tensors.items()}
        _put_back(before, tensors, iteration, drawn)
        layout = iteration.run(progress)
        return layout, _unlike(before, replayed, eager, tensors, self._tolerance)

    def _give_up(self, why: str) -> None:
        self._eager = True
        self._recordings.clear()
        self._note(f"iterations are computed eagerly, not as CUDA graphs: {why}")


def _place_for_copies(tensors: dict[str, Tensor], device: torch.device) -> torch.device:
    """Return the device, or the CPU where it has too little memory left for three copies and what compares them."""
    if device.type != "cuda":
        return device
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + idle
    needed = 6 * sum(tensor.nbytes for tensor in tensors.values())
    return device if needed < free else torch.device("cpu")


def _copy(tensor: Tensor, place: torch.device) -> Tensor:
    return tensor.detach().to(place, copy=True)


@torch.no_grad()
def _put_back(values: dict[str, Tensor], tensors: dict[str, Tensor], iteration: WholeIteration, drawn: int) -> None:
    for name, value in values.items():
        tensors[name].copy_(value)
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


@torch.no_grad()
def _distance(one: dict[str, Tensor], other: dict[str, Tensor], names: list[str]) -> float:
    """Return the norm of all differences together: of one tensor after the other, since they may be large."""
    norms = [torch.linalg.vector_norm(one[name].double() - other[name].to(one[name].device).double()) for name in names]
    return float(torch.linalg.vector_norm(torch.stack(norms)))
