"""A run and its events, as the host tells them: 1,000 iterations of 128 pictures, 25 epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ganlab.events import Advice, Finding, RunInfo, Snapshot, Tick
from ganlab.interfaces import ImageSpec, Observer
from ganlab.run.observers import Observers

REALS = np.zeros((5, 8, 8, 3), np.uint8)
STATS = {"loss_discriminator": 1.203, "D(x)": 0.61, "D(G(z))": 0.32, "loss_generator": 0.912}  # as bce reports them


def a_run(directory: Path = Path("runs/faces/1"), first_iteration: int = 0) -> RunInfo:
    recipe = {"train": {"epochs": 25}}
    parameters = {"generator": 3_576_704, "discriminator": 2_765_568}
    return RunInfo("faces", directory, recipe, ImageSpec(3, 8, 8), 5120, parameters, "cpu", "fp32", first_iteration)


def a_tick(iteration: int, **stats: float) -> Tick:
    seconds, left = iteration / 10, (1000 - iteration) / 10
    return Tick(iteration, iteration * 128, iteration / 40, iteration / 1000, 1234.4, seconds, left, stats)


def a_snapshot(iteration: int, samples: np.ndarray = REALS) -> Snapshot:
    return Snapshot(iteration, iteration * 128, iteration / 40, samples, 2)


def a_finding(iteration: int, ended: bool = False) -> Finding:
    ways = () if ended else (Advice("half of the learning rate", "optimizer.lr = 0.0001"),)
    place = (iteration, iteration * 128, iteration / 40)
    return Finding("oscillation", *place, ended, 0, "it goes round", "often", {"period": float("inf")}, ways)


def watched(*observers: Observer) -> Observers:
    """Return a host with observers; what one of them raises is an error (`conftest.py`), not a note."""
    host = Observers()
    for observer in observers:
        host.register(observer, type(observer).__name__.lower(), "ganlab 1")
    return host
