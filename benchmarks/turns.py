"""Training loops that take turns in one process: each stands still, warm, while another is measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from ganlab.hardware.device import synchronize

Loop = Callable[[Callable[[], bool]], None]
"""Trains, and calls what it is given after each iteration, until that returns True."""
_onednn: Any = torch.backends.mkldnn
QUEUED = 3
"""Iterations over which the host's own time is taken, from an empty queue."""


class Block(NamedTuple):
    """What one turn was."""

    iterations: int
    seconds: float
    """An iteration, by the clock on the wall, from an idle device to an idle device."""
    device_seconds: float | None
    """The same between two CUDA events."""
    host_seconds: float | None
    """What the host needs to give out an iteration."""


class Flags(NamedTuple):
    """What each loop sets for the whole process, and must find again: all of it, for torch refuses to mix a few."""

    matmuls: str
    """The precision of matrix products, by the setting of old."""
    cuda_matmuls: str
    cpu_matmuls: str
    """The same by torch's newer settings, which that one changes with it."""
    tf32_convolutions: bool
    benchmark: bool

    @classmethod
    def now(cls) -> Flags:
        """Read them."""
        cudnn = torch.backends.cudnn
        cuda, cpu = torch.backends.cuda.matmul.fp32_precision, _onednn.matmul.fp32_precision
        return cls(torch.get_float32_matmul_precision(), cuda, cpu, cudnn.allow_tf32, cudnn.benchmark)

    def set(self) -> None:
        """Write them."""
        torch.set_float32_matmul_precision(self.matmuls)
        torch.backends.cuda.matmul.fp32_precision = self.cuda_matmuls
        _onednn.matmul.fp32_precision = self.cpu_matmuls
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = self.tf32_convolutions, self.benchmark


class Turn:
    """A loop in a thread of its own, which runs only while its turn lasts."""

    def __init__(self, name: str, loop: Loop, device: torch.device) -> None:
        self.name, self._device = name, device
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._flags = Flags.now()
        self._failure: BaseException | None = None
        self._closing = False
        self._block: Block | None = None
        self._thread = threading.Thread(target=self._run, args=(loop,), daemon=True)
        self._thread.start()

    def block(self, seconds: float, iterations: int = 1) -> Block:
        """Let the loop run for so long, and for so many iterations at least, and return what that was."""
        self._seconds, self._least = seconds, iterations
        self._switch()
        assert self._block is not None
        return self._block

    def close(self) -> None:
        """End the loop and let go of what it holds."""
        self._closing = True
        self._switch()
        self._thread.join()

    def _switch(self) -> None:
        others = Flags.now()
        self._flags.set()
        self._go.release()
        self._back.acquire()
        self._flags = Flags.now()
        others.set()
        if self._failure is not None:
            raise self._failure

    def _run(self, loop: Loop) -> None:
        self._wait()
        try:
            if self._device.type == "cuda":
                torch.cuda.set_device(self._device)
            loop(self._beat)
        # Handed to whoever waits for this turn.
        except BaseException as error:  # noqa: BLE001
            self._failure = error
        self._back.release()

    def _wait(self) -> None:
        self._go.acquire()
        self._done = 0
        self._host: float | None = None
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if self._device.type == "cuda" else []
        for event in self._events[:1]:
            event.record()
        self._start = time.perf_counter()

    def _beat(self) -> bool:
        self._done += 1
        now = time.perf_counter()
        if self._done == QUEUED and self._events:
            self._host = (now - self._start) / QUEUED
        if self._done >= self._least and now - self._start >= self._seconds:
            for event in self._events[1:]:
                event.record()
            synchronize(self._device)
            wall = time.perf_counter() - self._start
            events = self._events[0].elapsed_time(self._events[1]) / 1e3 / self._done if self._events else None
            self._block = Block(self._done, wall / self._done, events, self._host)
            self._back.release()
            self._wait()
        return self._closing


def kernels(turn: Turn, iterations: int = 4) -> float:
    """Return how many kernels an iteration starts on the device, copies and fills left out."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        block = turn.block(0.0, iterations)
    events: list[Any] = [event for event in profiler.events() if event.device_type.name == "CUDA"]
    return sum(not event.name.startswith(("Mem", "Command", "Event")) for event in events) / block.iterations
