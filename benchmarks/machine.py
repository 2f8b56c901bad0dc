"""What was measured on, and what else the machine did meanwhile."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


class Busy(NamedTuple):
    """CPU seconds of the whole machine since it was started."""

    working: float
    stolen: float
    """Taken by other guests of the same host."""
    waiting: float
    """For how long some process wanted a core and had none."""


def busy() -> Busy:
    """Read the machine's counters; zeros where the kernel has none."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        user, nice, system, _, _, interrupt, soft, stolen = ticks[:8]
        second = os.sysconf("SC_CLK_TCK")
        pressure = Path("/proc/pressure/cpu").read_text().splitlines()[0].rpartition("total=")[2]
    except (OSError, ValueError):
        return Busy(0.0, 0.0, 0.0)
    return Busy((user + nice + system + interrupt + soft) / second, stolen / second, int(pressure) / 1e6)


def describe(device: str) -> dict[str, Any]:
    """Return hardware, versions, commit and date."""
    import torch

    from ganlab.hardware.device import processor

    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor(torch.device(device)),
        "cpu": processor(torch.device("cpu")),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("ganlab", "torch", "torchvision", "onnxruntime", "pillow")},
        "commit": commit.stdout.strip(),
        "command": " ".join(["python", os.path.relpath(sys.argv[0], ROOT), *sys.argv[1:]]),
    }
