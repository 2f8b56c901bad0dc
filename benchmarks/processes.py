"""Legs in fresh processes, one after the other, and what the machine did beside them."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import busy

HERE = Path(__file__).resolve().parent
CORES = len(os.sched_getaffinity(0))
DISTURBED = 0.05
"""From which share of the cores' time, taken by others, a leg counts as disturbed."""


def environment(threads: int = CORES, **more: str) -> dict[str, str]:
    """Return the environment of a leg, with its threads pinned."""
    pinned = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return {**os.environ, **pinned, **more}


def leg(name: str, cache: Path, threads: int = CORES, **wanted: Any) -> dict[str, Any]:
    """Run one leg and return what it says, and how much of the machine others took meanwhile."""
    command = [sys.executable, str(HERE / "legs.py"), json.dumps({"leg": name, **wanted}, default=str)]
    said, about = run(command, environment(threads, GANLAB_CACHE=str(cache)))
    return {"leg": name, **json.loads(said), **about}


def run(command: Sequence[str], variables: dict[str, str]) -> tuple[str, dict[str, float]]:
    """Run a command; return what it prints, how long it took, and how much of the machine others took meanwhile."""
    start = time.perf_counter()
    with watched() as about, subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return said, {"process_seconds": time.perf_counter() - start, "peak_bytes": used.ru_maxrss * 1024, **about}


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Yield what is filled at the end: how much of the machine others than this process and its children took."""
    about: dict[str, float] = {}
    before, own, start = busy(), _own(), time.perf_counter()
    yield about
    after, wall = busy(), time.perf_counter() - start
    others = max(0.0, after.working - before.working - (_own() - own)) + after.stolen - before.stolen
    about |= {
        "others_share": others / (wall * CORES),
        "stolen_seconds": after.stolen - before.stolen,
        "waiting_seconds": after.waiting - before.waiting,
        "load": os.getloadavg()[0],
    }


@contextmanager
def crowd(count: int) -> Iterator[None]:
    """Keep so many processes busy meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def rounds(legs: Sequence[str], count: int) -> Iterator[tuple[int, str]]:
    """Yield the round and the leg, each round in the opposite order of the one before: ABBA."""
    for number in range(count):
        for name in legs if number % 2 == 0 else reversed(legs):
            yield number, name


def ratios(measured: Sequence[dict[str, Any]], base: str, other: str, undisturbed: float = DISTURBED) -> dict[str, Any]:
    """Return how many times as fast as `base` the leg `other` is: the median of the rounds' ratios, and their ends.

    Up to the share `undisturbed` of the cores' time others may take.
    """
    pairs = [
        (slow["seconds"] / fast["seconds"], max(slow["others_share"], fast["others_share"]) > undisturbed)
        for number in sorted({one["round"] for one in measured})
        for slow in measured
        for fast in measured
        if slow["round"] == fast["round"] == number and slow["leg"] == base and fast["leg"] == other
    ]
    values = [ratio for ratio, _ in pairs]
    calm = [ratio for ratio, disturbed in pairs if not disturbed]
    fastest = {name: min(one["seconds"] for one in measured if one["leg"] == name) for name in (base, other)}
    return {
        "base": base,
        "leg": other,
        "median": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
        "least_to_least": fastest[base] / fastest[other],
        "pairs": len(values),
        "disturbed": len(values) - len(calm),
        "median_of_calm": statistics.median(calm) if calm else None,
    }


def _own() -> float:
    mine, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime
