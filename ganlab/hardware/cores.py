"""How many physical cores this process may keep busy."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def physical_cores(root: Path = Path("/")) -> int:
    """Return the physical cores that the process's affinity and its cgroup's quota leave it, at least 1.

    Two hardware threads of one core count once. Quotas are those of cgroup v2, rounded down: a thread too many is
    stopped for a part of every period, and the others wait for it. `root` is where `/proc` and `/sys` lie.
    """
    if sys.platform != "linux":
        return os.cpu_count() or 1
    topology = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    cores = {_text(root / topology.format(cpu)) or str(cpu) for cpu in os.sched_getaffinity(0)}
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
