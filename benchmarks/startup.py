"""From the command to the first iteration, and which imports that time goes to."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from processes import environment

RUN = ("run", "quickstart", "--set", "train.tick_seconds=0.001", "--set", "train.iterations=1000000")
COMMANDS: dict[str, list[str]] = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import numpy'": ["-c", "import numpy"],
    "python -c 'import torch'": ["-c", "import torch"],
    "python -c 'import ganlab'": ["-c", "import ganlab"],
    "ganlab --help": ["-m", "ganlab", "--help"],
    "ganlab recipes check quickstart": ["-m", "ganlab", "recipes", "check", "quickstart"],
}
SHOWN = 12


def measure(work: Path, repeats: int) -> dict[str, Any]:
    """Return the seconds of commands, of a run to its first iteration on packed pictures, and of its imports."""
    first = _to_first_iteration(work, "first")  # which packs
    return {
        "commands": {name: _spread([_seconds(words) for _ in range(repeats)]) for name, words in COMMANDS.items()},
        "first_iteration": _spread([_to_first_iteration(work, str(index)) for index in range(repeats)]),
        "first_iteration_with_packing": first,
        "imports": _imports(work),
    }


def _to_first_iteration(work: Path, name: str) -> float:
    """Start a run, wait for its first tick, and stop it."""
    words = [sys.executable, "-m", "ganlab", *RUN, "--progress", "json", "--out", str(work / "startup" / name)]
    start = time.perf_counter()
    with subprocess.Popen(words, env=_environment(work), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "tick":
                break
        seconds = time.perf_counter() - start
        process.kill()
    return seconds


def _seconds(words: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], env=environment(), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def _imports(work: Path) -> dict[str, float]:
    """Return the packages that a run imports before it ends after one iteration, slowest first."""
    words = ["-X", "importtime", "-m", "ganlab", *RUN[:2], "--set", "train.iterations=1", "--progress", "off"]
    words += ["--out", str(work / "startup" / "imports")]
    done = subprocess.run([sys.executable, *words], env=_environment(work), capture_output=True, text=True, check=True)
    seconds: dict[str, float] = defaultdict(float)
    for microseconds, module in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", done.stderr, re.MULTILINE):
        seconds[module.partition(".")[0]] += int(microseconds) / 1e6
    slowest = sorted(seconds, key=seconds.__getitem__, reverse=True)[:SHOWN]
    return {name: seconds[name] for name in slowest}


def _environment(work: Path) -> dict[str, str]:
    return environment(GANLAB_CACHE=str(work / "cache"))


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
