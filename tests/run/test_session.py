"""A session: what one process does in a run's directory, in which order, and how it goes on after trouble."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from ganlab_dcgan import DCGAN
from torch import nn
from toys import falling, tiny

from ganlab import (
    Batch,
    GanlabError,
    ImageSpec,
    Interrupted,
    Iteration,
    Observer,
    RunError,
    RunInfo,
    Snapshot,
    Tick,
    Update,
    hookimpl,
)
from ganlab.data.packing import pack
from ganlab.generator.file import read_metadata
from ganlab.recipe.recipe import parse_recipe
from ganlab.registry import registry
from ganlab.run.directory import RunDirectory, indexed_runs
from ganlab.run.observers import Observers
from ganlab.run.session import Session
from ganlab.run.signals import Interruption
from ganlab.standard.losses.bce import BCE
from ganlab.training.trainer import Trainer

RUN = RunDirectory(Path("run"))
EVENTS: list[tuple[Any, ...]] = []


class Diary(Observer):
    """Writes down what it is told, with the checkpoints that are there at a snapshot; asks to stop at one tick."""

    api = 1
    stop_at: int = -1

    @hookimpl
    def run_start(self, run: RunInfo) -> None:
        EVENTS.append(("start", run.first_iteration))

    @hookimpl
    def tick(self, tick: Tick) -> None:
        if tick.iteration == self.stop_at:
            INTERRUPTION[0].handle(signal.SIGTERM, None)

    @hookimpl
    def snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        trained = read_metadata(run.directory / "generator.safetensors").training
        assert trained is not None
        EVENTS.append(("snapshot", snapshot.iteration, trained.iterations, checkpoints(run.directory)))

    @hookimpl
    def note(self, text: str) -> None:
        EVENTS.append(("note", text))

    @hookimpl
    def run_end(self, reason: str) -> None:
        EVENTS.append(("end", reason))


INTERRUPTION: list[Interruption] = []


def checkpoints(run: Path) -> list[int]:
    folder = run / "checkpoints"
    return sorted(int(path.name) for path in folder.iterdir()) if folder.exists() else []


def begun(stop_at: int = -1, **tables: Any) -> Session:
    """Return a session that nobody watches but the diary, which begins anew."""
    recipe = parse_recipe(tiny(**tables))
    trainer = Trainer(recipe, pack(recipe.dataset, "stripes", lambda *_: None), torch.device("cpu"), "fp32")
    observers = Observers()
    observers.register(Diary(stop_at=stop_at), "diary", "these tests")
    INTERRUPTION[:] = [Interruption()]
    EVENTS.clear()
    return Session(trainer, observers, INTERRUPTION[0])


def state_bytes(run: RunDirectory) -> bytes:
    return (max(run.checkpoints.iterdir()) / "state.safetensors").read_bytes()


def test_a_checkpoint_comes_when_everything_else_of_its_moment_is_there() -> None:
    session = begun()
    assert session.work == "iteration 1"
    assert session.run(RUN) is True
    assert EVENTS == [
        ("start", 0),
        ("snapshot", 0, 0, []),
        ("snapshot", 4, 4, [0]),
        ("snapshot", 8, 8, [0, 4]),
        ("snapshot", 12, 12, [4, 8]),
        ("end", "finished"),
    ]
    assert checkpoints(RUN.path) == [8, 12]
    assert [entry.directory.path for entry in indexed_runs()] == [RUN.path]
    environment = json.loads(RUN.environment.read_text())
    assert environment["packages"]["torch"] == version("torch")
    assert (environment["device"], environment["precision"], environment["ranks"]) == ("cpu", "fp32", 1)
    assert parse_recipe(tomllib.loads(RUN.recipe.read_text())).table == session.recipe.table


def test_a_run_that_has_ended_is_restored_and_left_alone() -> None:
    first = begun(train={"iterations": 4})
    first.run(RUN)
    left = {path: path.stat().st_mtime_ns for path in RUN.path.rglob("*")}
    again = begun(train={"iterations": 4})
    assert again.run(RUN) is False
    assert EVENTS == []
    assert again.state.iteration == 4
    for (name, tensor), (_, expected) in zip(again.state.tensors(), first.state.tensors(), strict=True):
        assert torch.equal(tensor, expected), name
    assert {path: path.stat().st_mtime_ns for path in RUN.path.rglob("*")} == left


def test_a_run_that_was_stopped_is_saved_and_goes_on_to_the_same_bits() -> None:
    dropout = {"generator_dropout": 0.3, "discriminator_dropout": 0.2}
    undisturbed = RunDirectory(Path("undisturbed"))
    begun(model=dropout).run(undisturbed)
    with pytest.raises(Interrupted, match="stopped by SIGTERM at iteration 6; everything is saved in run") as caught:
        begun(stop_at=6, model=dropout).run(RUN)
    assert (caught.value.exit_code, caught.value.directory) == (143, RUN.path)
    assert EVENTS[-1] == ("end", "interrupted")
    assert checkpoints(RUN.path) == [4, 6]
    assert begun(model=dropout).run(RUN) is True
    assert EVENTS[:2] == [("start", 6), ("snapshot", 8, 8, [4, 6])]
    assert len(indexed_runs()) == 2, "one that goes on is no new run"
    assert state_bytes(RUN) == state_bytes(undisturbed)


class Signalled(DCGAN):
    """A signal arrives while a generator that is to be shipped computes a batch: the `AT`-th of them all."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        networks = super().build(images)
        networks["generator"].register_forward_pre_hook(_computes)
        return networks


def _computes(generator: nn.Module, inputs: object) -> None:
    if not generator.training:
        SHIPPED.append(generator)
        if len(SHIPPED) in AT:
            INTERRUPTION[0].handle(signal.SIGTERM, None)


SHIPPED: list[nn.Module] = []
"""Each batch of a generator that is to be shipped."""
AT: set[int] = set()
BATCHES = 2 + 2
"""In each snapshot: two batches for BatchNorm's statistics, and two of samples."""


@pytest.fixture
def _signalled() -> Iterator[None]:
    registry.add("model", "signalled", Signalled)
    yield
    registry.remove("model", "signalled")


def signalled(*at: int) -> Session:
    SHIPPED.clear()
    AT.clear()
    AT.update(at)
    model = {"name": "signalled", "base_channels": 4, "latent_dim": 6}
    return begun(model=model, snapshot={"samples": 65, "every_iterations": 6})


def files(run: RunDirectory) -> dict[str, bytes]:
    clocked = {"run.json", "lock"}
    return {
        str(path.relative_to(run.path)): path.read_bytes()
        for path in run.path.rglob("*")
        if path.is_file() and path.name not in clocked
    }


@pytest.mark.usefixtures("_signalled")
def test_a_signal_is_heard_between_the_batches_of_a_snapshot_which_is_made_later() -> None:
    undisturbed = RunDirectory(Path("undisturbed"))
    assert signalled().run(undisturbed) is True
    assert len(SHIPPED) == 3 * BATCHES
    for at in (1, 3, 4, 5, 7, 8, 10, 12):
        run, snapshot = RunDirectory(Path(f"{at}")), 6 * ((at - 1) // BATCHES)
        whole = at % BATCHES == 0  # the last batch has been begun: what is left is to write
        if whole and snapshot == 12:
            assert signalled(at).run(run) is True
        else:
            with pytest.raises(Interrupted) as caught:
                signalled(at).run(run)
            saved = f"at iteration {snapshot}; everything is saved in {at}"
            broken_off = f"{saved}; its snapshot was broken off and is made when the run goes on"
            nothing = "before the training began; nothing is lost"
            sentence = nothing if not snapshot else saved if whole else broken_off
            assert str(caught.value) == f"stopped by SIGTERM {sentence}"
            assert (caught.value.exit_code, caught.value.directory) == (143, run.path)
            assert EVENTS[-1] == ("end", "interrupted")
            assert len(SHIPPED) == at, "none is begun after it"
            seen = [event[1] for event in EVENTS if event[0] == "snapshot"]
            assert signalled().run(run) is True
            assert seen + [event[1] for event in EVENTS if event[0] == "snapshot"] == [0, 6, 12], at
        assert files(run) == files(undisturbed), at


@pytest.mark.usefixtures("_signalled")
def test_a_snapshot_that_is_broken_off_twice_is_owed_until_it_is_made() -> None:
    with pytest.raises(Interrupted):
        signalled(3 * BATCHES - 1).run(RUN)
    left = files(RUN)
    for _ in range(2):
        with pytest.raises(Interrupted, match="at iteration 12; everything is saved in run; its snapshot was"):
            signalled(2).run(RUN)
        assert len(SHIPPED) == 2
        assert files(RUN) == left
    assert signalled().run(RUN) is True
    assert len(SHIPPED) == BATCHES
    assert EVENTS == [("start", 12), ("snapshot", 12, 12, [6, 12]), ("end", "finished")]
    assert signalled().run(RUN) is False


def test_other_pictures_than_the_run_was_begun_with_are_refused() -> None:
    begun(train={"iterations": 1}).run(RUN)
    session = begun(train={"iterations": 2})
    session.trainer.packed = dataclasses.replace(session.packed, fingerprint="0" * 64)
    session = Session(session.trainer, session.observers, session.interruption)
    with pytest.raises(
        GanlabError, match="the pictures have changed since run was begun; put them back, or start a new"
    ):
        session.run(RUN)


def test_what_keeps_a_run_from_the_same_bits_is_said() -> None:
    begun(train={"iterations": 2}, optimizer={"lr": falling(0.25)}).run(RUN)
    torch.set_num_threads(2)
    try:
        begun(train={"iterations": 4}, optimizer={"lr": falling(0.25)}).run(RUN)
    finally:
        torch.set_num_threads(1)
    notes = [event[1] for event in EVENTS if event[0] == "note"]
    assert notes[0] == "the run was begun with threads 1 and goes on with 2: same data and order, but not the same bits"
    assert notes[1].startswith(
        "the run was begun with train.iterations = 2 and goes on with 4: optimizer.lr had been changing"
    )
    assert len(notes) == 2


class Explosive(BCE):
    """Breaks at one iteration, so many times, in one of several ways."""

    api = 1
    at: int = 5
    way: Literal["loss", "device memory", "memory"] = "loss"
    tries: int = 100

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        TRIED.append(round(float(iteration.progress) * 12))
        if TRIED[-1] != self.at or TRIED.count(self.at) > self.tries:
            yield from super().updates(networks, batches, iteration)
        elif self.way == "device memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        elif self.way == "memory":
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried"
            )
        else:
            for update in super().updates(networks, batches, iteration):
                yield Update(update.networks, update.loss * float("nan"))


TRIED: list[int] = []


@pytest.fixture
def _explosive() -> Iterator[None]:
    TRIED.clear()
    registry.add("loss", "explosive", Explosive)
    yield
    registry.remove("loss", "explosive")


@pytest.mark.usefixtures("_explosive")
def test_a_rollback_goes_on_from_the_last_checkpoint_with_other_random_numbers() -> None:
    train = {"on_nonfinite": "rollback"}
    assert begun(loss={"name": "explosive", "tries": 1}, train=train).run(RUN) is True
    assert EVENTS[2:6] == [
        ("snapshot", 4, 4, [0]),
        (
            "note",
            "the loss of the discriminator became NaN or infinite at iteration 5; going on from iteration 4 with other "
            "random numbers (rollback 1 of 3)",
        ),
        ("start", 4),
        ("snapshot", 8, 8, [0, 4]),
    ]
    assert TRIED[4:8] == [4, 5, 4, 5]
    assert json.loads((RUN.checkpoints / "00000012" / "manifest.json").read_text())["rollbacks"] == 1
    never = RunDirectory(Path("never"))
    begun(loss={"name": "explosive", "at": 99}, train=train).run(never)
    assert state_bytes(RUN) != state_bytes(never)


@pytest.mark.usefixtures("_explosive")
@pytest.mark.parametrize("way", ["device memory", "memory"])
def test_out_of_memory_says_what_was_tried_and_what_to_set(way: str) -> None:
    with pytest.raises(RunError) as caught:
        begun(loss={"name": "explosive", "way": way}).run(RUN)
    assert str(caught.value) == (
        "out of memory on cpu with train.batch_size = 8, pictures of 1 x 8 x 8 and precision fp32. "
        'The run is kept in run; start a new one with overrides={"train.batch_size": 4}'
    )
    assert EVENTS[-1] == ("end", "failed")
    assert checkpoints(RUN.path) == [0, 4]


class Immense(DCGAN):
    """Has a generator for whose activations there is no room."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        def refuse(*_: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

        networks = super().build(images)
        networks["generator"].register_forward_pre_hook(refuse)
        return networks


def test_out_of_memory_in_the_first_snapshot_says_the_same() -> None:
    registry.add("model", "immense", Immense)
    try:
        session = begun(model={"name": "immense", "base_channels": 4})
    finally:
        registry.remove("model", "immense")
    with pytest.raises(RunError, match=r"out of memory on cpu with train.batch_size = 8, .*; start a new one with "):
        session.run(RUN)
    assert EVENTS[-1] == ("end", "failed")
    assert checkpoints(RUN.path) == []


def test_a_damaged_checkpoint_is_told_and_the_one_before_taken() -> None:
    begun(train={"iterations": 8}).run(RUN)
    expected = state_bytes(RUN)
    shutil.rmtree(RUN.checkpoints / "00000008")
    (RUN.checkpoints / "00000008").mkdir()
    assert begun(train={"iterations": 8}).run(RUN) is True
    assert EVENTS[0][0] == "note"
    assert EVENTS[0][1].endswith("looking for the one before")
    assert EVENTS[1] == ("start", 4)
    assert state_bytes(RUN) == expected
