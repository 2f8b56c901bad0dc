"""How many physical cores this process may keep busy."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path


def physical_cores(root: Path = Path("/")) -> int:
    """Return the physical cores that the process's affinity and its cgroup's quota leave it, at least 1.

    Two hardware threads of one core count once: they share what arithmetic needs. Quotas are those of cgroup v2,
    rounded down: a thread too many is stopped for a part of every period, and the others wait for it. `root` is where
    `/proc` and `/sys` lie.
    """
    topology = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    return _within_quota({_text(root / topology.format(cpu)) or str(cpu) for cpu in affinity()}, root)


def available_cores(root: Path = Path("/")) -> int:
    """Return how many threads of other work than arithmetic can run at once: hardware threads, within the quota."""
    return _within_quota(affinity(), root)


def affinity() -> set[int]:
    """Return the numbers of the hardware threads that the process may run on."""
    return os.sched_getaffinity(0) if sys.platform == "linux" else set(range(os.cpu_count() or 1))


def _within_quota(cores: Collection[object], root: Path) -> int:
    return max(1, min(len(cores), *_quotas(root)))


def _quotas(root: Path) -> list[int]:
    """Return the whole cores that this process's cgroup and those above it allow; a large number where none does."""
    found = [sys.maxsize]
    groups = [line[3:] for line in _text(root / "proc/self/cgroup").splitlines() if line.startswith("0::")]
    top = root / "sys/fs/cgroup"
    for group in groups:
        place = top / group.lstrip("/")
        for folder in (place, *place.parents):
            quota, _, period = _text(folder / "cpu.max").partition(" ")
            if quota.isdecimal() and period.isdecimal() and int(period):
                found.append(int(quota) // int(period))
            if folder == top:
                break
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
