"""The checks of observers: that they hear, that they survive what they hear, and that nobody notices."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from ganlab.errors import PluginError
from ganlab.events import Advice, Events, Finding, RunInfo, Scores, Snapshot, Tick, hookimpl
from ganlab.interfaces import ImageSpec, Observer
from ganlab.registry.lookup import registry
from ganlab.run.observers import Observers
from ganlab.testing.subject import Check, ContractError, Subject
from ganlab.testing.surroundings import moved, random_states

NAME, ORIGIN = "contract", "this component"
IMAGES = ImageSpec(3, 8, 8)
WRITERS = ("metrics", "log", "samples")
"""The standard observers whose files others are made of."""


class Ear(Observer):
    """Hears what the host says about another observer."""

    api = 1
    _heard: list[str] = PrivateAttr(default_factory=list)

    @hookimpl
    def note(self, text: str) -> None:
        if text.startswith(f'observer "{NAME}"'):
            self._heard.append(text)


def hears_something(subject: Subject[Observer]) -> None:
    """Register it, as a run does."""
    observer = subject.make()
    try:
        Observers().register(observer, NAME, ORIGIN)
    except PluginError as error:
        raise ContractError(str(error).removeprefix(f'observer "{NAME}" ({ORIGIN}): ')) from error
    methods = inspect.getmembers_static(type(observer), inspect.isfunction)
    if not any("ganlab_impl" in method.__dict__ for _, method in methods):
        events = ", ".join(name for name in vars(Events) if not name.startswith("_"))
        raise ContractError(f"it hears nothing: mark the methods that are named after events with @hookimpl ({events})")


def survives_every_event(subject: Subject[Observer]) -> None:
    """Let it watch a run that is broken off, continued and finished, with the standard observers beside it."""
    _watched(subject)


def leaves_random_states(subject: Subject[Observer]) -> None:
    """Look at the random states after the run."""
    if states := _watched(subject):
        raise ContractError(
            f"it draws from or seeds {' and '.join(states)}, which are the run's: make a generator of its own, such as "
            "random.Random(0) or numpy.random.default_rng(0)"
        )


CHECKS = (
    Check("hooks", "Its hooks are events, with arguments that events have.", hears_something, ("defaults",)),
    Check("events", "It survives every event of a run.", survives_every_event, ("hooks",)),
    Check("random", "It moves no random state.", leaves_random_states, ("events",)),
)


@lru_cache(maxsize=8)
def _watched(subject: Subject[Observer]) -> list[str]:
    """Let it watch a run; return in words which random states have moved meanwhile."""
    before = random_states()
    with TemporaryDirectory(prefix="ganlab-") as folder:
        ear = Ear()
        for first_iteration, reason in ((0, "interrupted"), (4, "finished"), (6, "failed")):
            observers = Observers()
            observers.register(ear, "ear", "ganlab")
            for name in WRITERS:
                cls = registry.get("observer", name)
                if cls is not subject.cls:
                    observers.register(cls(), name, "ganlab")
            observers.register(subject.make(), NAME, ORIGIN)
            _tell(observers, Path(folder), first_iteration, reason)
    if ear._heard:
        failure = ear._heard[0].removeprefix(f'observer "{NAME}" ({ORIGIN}) ').replace(" and is switched off", "")
        raise ContractError(f"it {failure}; a run tells of {_realities()}")
    return moved(before, torch_may_draw=False)


def _tell(observers: Observers, folder: Path, first_iteration: int, reason: Any) -> None:
    """Tell the events of a run of which every value may be as unpleasant as in life."""
    run = RunInfo(
        name="contract",
        directory=folder,
        recipe={"seed": 0, "model": {"name": "dcgan"}, "train": {"batch_size": 8, "iterations": 8}},
        images=IMAGES,
        dataset_size=40,
        parameters={"generator": 1234, "discriminator": 567},
        device="cpu",
        precision="fp32",
        first_iteration=first_iteration,
    )
    pictures = np.random.default_rng(0).integers(0, 256, (5, *IMAGES[1:3], IMAGES.channels), np.uint8)
    observers.phase("looking for pictures", 0, 0)
    for done in (0, 20, 40):
        observers.phase("packing pictures", done, 40)
    observers.note("left out a picture", "warning")
    observers.run_start(run, pictures)
    for tick in _ticks(first_iteration):
        observers.tick(run, tick)
        observers.note("going on", "info")
        observers.snapshot(run, Snapshot(tick.iteration, tick.images, tick.epoch, pictures, 3))
        values = {"kid": -0.25, "coverage": 0.5} if tick.iteration else {}
        reference = {"kid": 0.0, "coverage": 1.0}
        observers.scored(run, Scores(tick.iteration, tick.images, tick.epoch, values, reference, best=bool(values)))
        observers.finding(run, _finding(tick))
    observers.run_end(run, reason)


def _finding(tick: Tick) -> Finding:
    """Return a sign of something, or of its end, which has no advice."""
    ended = tick.iteration % 4 == 0
    ways = () if ended else (Advice("half of the learning rate", "optimizer.lr = 0.0001"), Advice("more pictures"))
    place = (tick.iteration, tick.images, tick.epoch)
    return Finding("oscillation", *place, ended, 0, "it goes up and down", "often", {"period": math.inf}, ways)


def _ticks(first_iteration: int) -> Iterator[Tick]:
    for iteration in range(first_iteration, 8, 2):
        value = (1.5, math.nan, math.inf, -0.0)[iteration // 2]
        stats = {"loss_generator": value, "loss_discriminator": 0.5, "D(x)": 0.5, "iteration": 1.0}
        left = 0.0 if iteration == 6 else 12.5
        yield Tick(iteration, 8 * iteration, iteration / 5, iteration / 8, 123.4, 0.5 * iteration, left, stats)
    yield Tick(8, 64, 1.6, 1.0, 0.0, 4.0, 0.0, {})


def _realities() -> str:
    return "phases of unknown length, statistics that are NaN, infinite or absent, missing scores, and continuations"
