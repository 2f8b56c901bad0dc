"""Checkpoints of a run on a GPU: written on a thread, from memory that the training does not touch."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

from toys import tiny

import ganlab
from fake_cuda.training import prepare
from ganlab.training.checkpoint import Checkpoints, Content


class Saved(NamedTuple):
    """What a run has saved."""

    threads: list[str]
    """Where each checkpoint was written."""
    devices: list[str]
    """Where the tensors lay that were written."""
    iterations: list[int]
    """The checkpoints that are there at the end."""
    threads_at_the_end: int
    """Of those that write."""


def run() -> Saved:
    """Train, with a snapshot after every other iteration."""
    prepare()
    threads: list[str] = []
    devices: set[str] = set()
    write = Checkpoints.save

    def watched(self: Checkpoints, content: Content) -> Path:
        threads.append(threading.current_thread().name)
        devices.update(str(tensor.device) for tensor in content.tensors.values())
        return write(self, content)

    Checkpoints.save = watched  # type: ignore[method-assign]
    made = ganlab.train(tiny(train={"device": "cuda", "iterations": 6}, snapshot={"every_iterations": 2, "keep": 9}))
    there = sorted(int(path.name) for path in (made.directory / "checkpoints").iterdir())
    left = sum(thread.name in threads for thread in threading.enumerate())
    return Saved(threads, sorted(devices), there, left)
