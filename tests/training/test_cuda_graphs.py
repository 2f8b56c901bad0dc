"""Captured iterations, on a stand-in for CUDA graphs that runs on the CPU: what is recorded, proven and given up."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from remembering import Balanced, Strengthened
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from toys import tiny

from ganlab import Augmentation, Batch, Iteration, Loss, Optimizer, Scheduled, Update
from ganlab.data.packing import Packed, pack
from ganlab.distributed.ranks import Place, Ranks
from ganlab.recipe.recipe import Recipe, parse_recipe
from ganlab.standard.losses.bce import BCE
from ganlab.standard.optimizers.adam import Adam
from ganlab.training import cuda_graphs
from ganlab.training.compiled import Compiled
from ganlab.training.cuda_graphs import PROBES, PROOFS, Captured
from ganlab.training.iteration import WholeIteration
from ganlab.training.state import State
from ganlab.training.statistics import Statistics
from ganlab.training.trainer import Trainer

CPU = torch.device("cpu")
ALONE = Ranks(Place(0, 1, 0), CPU)


class Tape(TorchDispatchMode):
    """Repeats the operators of some work in the same memory, as a CUDA graph does: decisions of the host are fixed."""

    def __init__(self, changed: Callable[[], dict[str, Tensor]]) -> None:
        super().__init__()
        self._changed = changed
        self._calls: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch that its compiler need not be imported, as ganlab's own mode does."""
        return False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = function(*args, **(kwargs or {}))
        if function.namespace != "profiler":
            self._calls.append((function, args, kwargs or {}, results))
        return results

    def record(self, work: Callable[[], object]) -> None:
        # Capturing computes nothing; here it has to, so it is undone.
        before = {name: tensor.clone() for name, tensor in self._changed().items()}
        with self:
            work()
        for name, tensor in self._changed().items():
            tensor.detach().copy_(before[name])

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for function, args, kwargs, results in self._calls:
            for place, value in zip(tree_leaves(results), tree_leaves(function(*args, **kwargs)), strict=True):
                if isinstance(place, Tensor) and place.data_ptr() != value.data_ptr():
                    place.copy_(value)


HARD: dict[str, Any] = {
    "model": {"base_channels": 2, "generator_dropout": 0.3, "discriminator_dropout": 0.2},
    "dataset": {"flip": True},
    "loss": {"discriminator_steps": 2, "real_label": 0.9},
    "optimizer": {"lr": {"from": 2e-4, "to": 0.0, "after": 0.1, "progress": 0.9}},
    "train": {"iterations": 25},
}
"""Two discriminator steps, dropout, flips, falling learning rates, a warming average, several epochs."""


@cache
def hard() -> tuple[Recipe, Packed]:
    recipe = parse_recipe(tiny(**HARD))
    return recipe, pack(recipe.dataset, "stripes", lambda *_: None)


def with_components(recipe: Recipe, **components: Any) -> Recipe:
    """Return the recipe with other components, and an optimizer for what they bring along."""
    brought = [name for component in components.values() for name in component.brings]
    optimizer = {**recipe.optimizer, **dict.fromkeys(brought, recipe.optimizer["generator"])}
    everything: Any = {**recipe.components, **components}
    return dataclasses.replace(recipe, components=everything, optimizer=optimizer)


class Run:
    """A short run in memory, eager or captured."""

    def __init__(
        self,
        algorithm: Loss | None = None,
        graph: Callable[..., Tape] | None = None,
        augmentation: Augmentation | None = None,
        optimizer: Optimizer | None = None,
    ) -> None:
        recipe, packed = hard()
        if augmentation is not None:
            recipe = with_components(recipe, augmentation=augmentation)
        if optimizer is not None:
            recipe = dataclasses.replace(recipe, optimizer=dict.fromkeys(recipe.optimizer, optimizer))
        if algorithm is not None:
            recipe = with_components(recipe, loss=algorithm)
        self.trainer = Trainer(recipe, packed, CPU, "fp32")
        self.recipe, self.state, self.batches = recipe, self.trainer.state, self.trainer.batches
        self.statistics = Statistics(CPU)
        self.iteration = WholeIteration(
            recipe, self.state, self.batches, self.statistics, nullcontext, self.trainer.ranks
        )
        self.tapes: list[Tape] = []
        self.notes: list[str] = []
        self._graph = graph or Tape
        self.runner: WholeIteration | Captured = self.iteration

    def capture(self, compiled: Compiled | None = None) -> Run:
        self.runner = Captured(self.iteration, self._new_tape, "fp32", self.notes.append, compiled)
        return self

    def _new_tape(self) -> Tape:
        self.tapes.append(self._graph(self.iteration.tensors))
        return self.tapes[-1]

    def train(self, iterations: int) -> Run:
        for _ in range(iterations):
            layout = self.runner.run(self.trainer.plan.progress(self.state))
            self.statistics.count(layout, self.state.iteration)
            self.state.iteration += 1
            self.state.drawn = self.batches.drawn
        return self

    def outcome(self) -> dict[str, Any]:
        """Return everything that a run leaves."""
        report = self.statistics.report()
        means = report.means(report.values.tolist())
        return {name: tensor.clone() for name, tensor in self.state.tensors()} | means | {"drawn": self.state.drawn}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        same = torch.equal(value, other[name]) if isinstance(value, Tensor) else value == other[name]
        assert same, name


@cache
def eager(iterations: int) -> dict[str, Any]:
    """Return what so many eager iterations leave."""
    return Run().train(iterations).outcome()


def test_replayed_iterations_leave_what_eager_ones_leave() -> None:
    captured = Run().capture().train(14)
    assert captured.notes == []
    (tape,) = captured.tapes
    assert tape.replays == 14 - 1 - PROBES
    assert captured.state.drawn == 28 > 5 * captured.batches.per_epoch
    assert_same(captured.outcome(), eager(14))


@pytest.mark.parametrize("stop", range(1, 8))
def test_a_run_continued_anywhere_is_as_if_it_had_never_stopped(stop: int) -> None:
    first, second = Run().capture().train(stop), Run()
    for (_, there), (_, here) in zip(second.state.tensors(), first.state.tensors(), strict=True):
        there.copy_(here)
    second.state.iteration, second.state.drawn = first.state.iteration, first.state.drawn
    second.batches.move_to(second.recipe.seed, second.state.drawn)
    second.capture().train(8 - stop)
    undisturbed = eager(8)
    assert_same(dict(second.state.tensors()), {name: undisturbed[name] for name, _ in second.state.tensors()})


def test_what_is_brought_along_counts_each_iteration_once() -> None:
    """Each proof runs the iteration three times, and puts back what the first two have left."""
    captured = Run(Balanced(), augmentation=Strengthened()).capture().train(14)
    assert captured.notes == []
    assert captured.tapes[0].replays == 14 - 1 - PROBES
    equilibrium, strength = (captured.state.networks[name] for name in ("equilibrium", "strength"))
    assert (equilibrium.get_buffer("iterations").item(), strength.get_buffer("updates").item()) == (14, 28)
    eagerly = Run(Balanced(), augmentation=Strengthened()).train(14)
    assert_same(captured.outcome(), eagerly.outcome())
    assert equilibrium.get_buffer("k").item() != 0.25


class Penalised(BCE):
    """Adds a penalty on the discriminator's slope, which has to be differentiated twice."""

    api = 1

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        batch = next(batches)
        real = batch.real.requires_grad_()
        (slopes,) = torch.autograd.grad(networks["discriminator"](real).sum(), real, create_graph=True)
        yield Update("discriminator", slopes.square().mean())
        yield from super().updates(networks, batches, iteration)


def compiled_run(algorithm: Loss) -> Run:
    run = Run(algorithm)
    return run.capture(Compiled(run.state.networks.values(), backend="aot_eager"))


def test_networks_that_can_be_compiled_are_from_the_first_iteration() -> None:
    # Without dropout, for which a compiler draws other numbers.
    plain, compiled = Run(BCE()), compiled_run(BCE())
    for run in (plain, compiled):
        for network in run.state.networks.values():
            for layer in network.modules():
                if isinstance(layer, nn.Dropout):
                    layer.p = 0.0
        run.train(1)
    assert compiled.notes == []
    torch.testing.assert_close(compiled.outcome(), plain.outcome())


def test_networks_that_cannot_be_compiled_are_not_and_nothing_is_lost() -> None:
    plain, compiled = Run(Penalised()).train(3), compiled_run(Penalised()).train(3)
    (note,) = compiled.notes
    assert note.startswith("the networks are not compiled: RuntimeError: torch.compile with aot_autograd does not ")
    assert_same(compiled.outcome(), plain.outcome())


class Weighing(BCE):
    """Weighs its updates."""

    weight: Scheduled[float] = 1.0

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        for update in super().updates(networks, batches, iteration):
            yield Update(update.networks, update.loss * self.weight, {"weight": self.weight + 0 * update.loss})


def test_replayed_iterations_follow_schedules() -> None:
    """A loss's number, a learning rate and a beta that change in every iteration, as in eager ones."""
    loss = Weighing.model_validate({"weight": {"from": 0.5, "to": 2.0, "iterations": 14}})
    beta = {"from": 0.9, "to": 0.99, "shape": "cosine", "epochs": 5}
    adam = Adam.model_validate({"lr": {"from": 1e-2, "to": 0.0, "images": 224}, "betas": (0.5, beta)})
    captured = Run(loss, optimizer=adam).capture().train(14)
    assert captured.notes == []
    (tape,) = captured.tapes
    assert tape.replays == 14 - 1 - PROBES
    expected = Run(loss, optimizer=adam).train(14).outcome()
    assert_same(captured.outcome(), expected)
    assert expected["weight"] == pytest.approx(sum(0.5 + 1.5 * i / 14 for i in range(14)) / 14)


class Lazy(BCE):
    """Every third iteration has another statistic and another number of batches."""

    @property
    def period(self) -> int:
        return 3

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        for update in super().updates(networks, batches, iteration):
            extra = {"phase": 0 * update.loss + iteration.phase, "progress": iteration.progress}
            yield Update(update.networks, update.loss, extra if iteration.phase == 1 else {})
        if iteration.phase == 1:
            yield from super().updates(networks, batches, iteration)


def test_each_phase_has_a_graph_of_its_own() -> None:
    captured, expected = Run(Lazy()).capture().train(19), Run(Lazy()).train(19).outcome()
    assert captured.notes == []
    assert [tape.replays for tape in captured.tapes] == [6 - PROBES, 5 - PROBES, 5 - PROBES]
    assert expected["phase"] == 1
    assert_same(captured.outcome(), expected)


class Fickle(BCE):
    """Does something that a graph would fix."""

    kind: str = ""
    calls: ClassVar[list[int]] = [0]

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        self.calls[0] += 1
        turn = self.calls[0] % 2
        for update in super().updates(networks, batches, iteration):
            loss = update.loss
            if self.kind == "reads":
                loss = loss * (1.0 if loss.item() > 0 else 2.0)
            elif self.kind == "draws" and turn:
                next(batches)
            elif self.kind == "number":
                loss = loss * (1.0 + turn)
            elif self.kind == "raises" and any(isinstance(mode, Tape) for mode in _modes()):
                raise RuntimeError("operation not permitted when stream is capturing\nand more")
            yield Update(update.networks, loss, {"turn": loss} if self.kind == "layout" and turn else {})


def _modes() -> list[TorchDispatchMode]:
    from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

    return _get_current_dispatch_mode_stack()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("reads", "the host reads the device within an iteration (_local_scalar_dense)"),
        ("draws", "iterations draw different numbers of batches"),
        ("number", "iterations give aten::mul.Tensor different arguments (1.0 and then 2.0)"),
        ("layout", "iterations report different statistics"),
        ("raises", "an iteration cannot be captured (operation not permitted when stream is capturing)"),
    ],
)
def test_an_iteration_that_a_graph_would_falsify_is_computed_eagerly(kind: str, reason: str) -> None:
    outcomes = []
    for captured in (False, True):
        Fickle.calls[0] = 0
        run = Run(Fickle(kind=kind))
        outcomes.append((run.capture() if captured else run).train(6).outcome())
    (note,) = run.notes
    assert note.startswith("iterations are computed eagerly, not as CUDA graphs: ")
    assert reason in note
    assert "\n" not in note
    if kind != "raises":  # its calls are counted, also the one that was not to be captured
        assert_same(*outcomes)


class Stale(Tape):
    """Forgets one of its operators."""

    forgotten: ClassVar[str] = ""

    def replay(self) -> None:
        names = [call[0].name() for call in self._calls]
        del self._calls[names.index(self.forgotten)]
        super().replay()


@pytest.mark.parametrize(
    ("operator", "what"),
    [
        ("aten::_fused_adam_.tensor_lr", "generator"),
        ("aten::index_select", "generator"),
        ("aten::native_batch_norm", ""),
        ("aten::_foreach_lerp_.List", "moving average"),
        ("aten::fmax.out", "last finite"),
    ],
)
def test_a_replay_that_leaves_something_else_is_not_believed(operator: str, what: str) -> None:
    Stale.forgotten = operator
    captured = Run(graph=Stale).capture().train(8)
    (note,) = captured.notes
    assert "a captured iteration leaves another " in note
    assert what in note
    assert 1 <= captured.tapes[0].replays <= PROOFS
    assert_same(captured.outcome(), eager(8))


NO_MEMORY = (
    "iterations are computed eagerly, not as CUDA graphs: "
    "there is not enough memory for a captured iteration beside an eager one"
)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        torch.AcceleratorError("CUDA error: out of memory"),  # as the launch of a graph says it
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_what_is_too_large_to_be_proven_is_computed_eagerly(error: RuntimeError) -> None:
    class Large(Tape):
        def replay(self) -> None:
            super().replay()
            raise error

    captured = Run(graph=Large).capture().train(8)
    assert captured.notes == [NO_MEMORY]
    assert_same(captured.outcome(), eager(8))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
def test_a_proof_that_runs_out_of_memory_leaves_nothing_and_ends_no_run(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever one of its copies does not fit, the first and the last included, in either proof."""
    captured = Run().capture().train(1 + PROBES)
    copies = len(captured.iteration.tensors()) * 3 * PROOFS
    bad, made = round(share * (copies - 1)), 0
    alive: list[weakref.ref[Tensor]] = []
    copy, run = cuda_graphs._copy, captured.iteration.run

    def scarce(tensor: Tensor, place: torch.device) -> Tensor:
        nonlocal made
        made += 1
        if made == bad + 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        copied = copy(tensor, place)
        alive.append(weakref.ref(copied))
        return copied

    def watched(progress: float) -> Any:
        if captured.notes:
            # What is needed to put the state back may last; what the replay and the eager iteration have left may not.
            lasting = sum(reference() is not None for reference in alive)
            assert lasting <= len(captured.iteration.tensors())
        return run(progress)

    monkeypatch.setattr(cuda_graphs, "_copy", scarce)
    monkeypatch.setattr(captured.iteration, "run", watched)
    captured.train(7)
    assert captured.notes == [NO_MEMORY]
    assert_same(captured.outcome(), eager(8 + PROBES))


def test_a_proof_that_finds_a_difference_leaves_nothing_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[Tensor]] = []
    copy = cuda_graphs._copy

    def watched(tensor: Tensor, place: torch.device) -> Tensor:
        copied = copy(tensor, place)
        alive.append(weakref.ref(copied))
        return copied

    emptied: list[int] = []
    monkeypatch.setattr(cuda_graphs, "_copy", watched)
    monkeypatch.setattr(cuda_graphs, "_unlike", lambda *_: "generator")
    monkeypatch.setattr(
        torch.cuda, "empty_cache", lambda: emptied.append(sum(reference() is not None for reference in alive))
    )
    captured = Run().capture().train(8)
    assert captured.notes == [
        "iterations are computed eagerly, not as CUDA graphs: a captured iteration leaves another generator than an "
        "eager one"
    ]
    assert len(alive) == 3 * len(captured.iteration.tensors())
    assert emptied == [0], "when the allocator gives back what it holds, nothing of the proof is left"


def test_another_error_of_a_proof_ends_the_run() -> None:
    class Broken(Tape):
        def replay(self) -> None:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        Run(graph=Broken).capture().train(8)


def test_a_nan_is_found_in_replayed_iterations_too() -> None:
    run = Run().capture().train(1 + PROBES + PROOFS + 2)
    state: State = run.state
    with torch.no_grad():
        next(state.networks["discriminator"].parameters()).fill_(float("nan"))
    run.train(3)
    report = run.statistics.report()
    assert report.non_finite(report.values.tolist(), ALONE) == ("loss", "discriminator", 1 + PROBES + PROOFS + 2)
