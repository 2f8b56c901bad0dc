"""The other processes on this machine's cores: how threads wait beside them, and how much they take."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ganlab.hardware.cores import affinity

SPINCOUNT = "10000"
"""How often a thread of torch's OpenMP looks whether there is work, before it gives its core away. Its own answer is
300,000 times: beside one other process the threads then wait for each other on cores that they keep from each other.
Measured with the quickstart on two cores: from 30,000 on they still do, and 1,000 cost an idle machine 5%."""
MOMENT = 0.2
"""Seconds over which a load can be told."""
SLACK = 0.5
"""How many cores may be wanted beyond those that there are: what a desktop does by the way is no load."""


@contextmanager
def yielding_threads(lasting: bool = False) -> Iterator[None]:
    """Enter around the first import of torch, which reads it then: its threads do not cling to their cores.

    What the user has set of it is left alone. With `lasting`, processes that are started later know it, too.
    """
    if {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPINCOUNT
    try:
        yield
    finally:
        if not lasting:
            os.environ.pop("GOMP_SPINCOUNT", None)


class Reading(NamedTuple):
    """What the cores of this process, and the process itself, had done at one moment."""

    seconds: float
    busy: float
    """Seconds for which the cores have worked, for whoever it was; of each core."""
    own: float
    """Seconds of these that this process and its children took."""


class Load:
    """How busy others keep the cores, from the moment at which it was made."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        """`proc` is where the kernel counts; elsewhere than on Linux nothing is known."""
        self._proc = proc
        self._start = self._read()

    def others(self) -> float | None:
        """Return how many cores other processes have kept busy on average, or None where it cannot be told."""
        now = self._read()
        if self._start is None or now is None or now.seconds - self._start.seconds < MOMENT:
            return None
        busy, own = now.busy - self._start.busy, now.own - self._start.own
        return max(0.0, busy - own) / (now.seconds - self._start.seconds)

    def crowded(self, threads: int) -> str | None:
        """Say how many cores others take, where they and so many threads want more cores than there are."""
        others, cores = self.others(), len(affinity())
        if others is None or others + min(threads, cores) <= cores + SLACK:
            return None
        return f"other processes keep {others:.1f} of {cores} cores busy"

    def _read(self) -> Reading | None:
        try:
            lines = (self._proc / "stat").read_text(encoding="ascii").splitlines()
            tick = os.sysconf("SC_CLK_TCK")
            rows = (line.split() for line in lines)
            mine = {f"cpu{core}" for core in affinity()}
            # user, nice, system, then idle and waiting for a disk, then interrupts twice, then another guest's.
            busy = [sum(int(row[at]) for at in (1, 2, 3, 6, 7, 8)) for row in rows if row and row[0] in mine]
        except (OSError, ValueError, IndexError):
            return None
        used = os.times()
        own = used.user + used.system + used.children_user + used.children_system
        return Reading(time.monotonic(), sum(busy) / tick, own) if busy else None
