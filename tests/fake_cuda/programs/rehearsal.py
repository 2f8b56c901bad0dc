"""`benchmarks/gpu.py` from beginning to end, on GPUs whose numbers mean nothing."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import gate
import gpu
import numpy as np
from ours import Setting

from fake_cuda.training import prepare
from ganlab import Generator


class Leg(NamedTuple):
    """A loop of a comparison."""

    comparison: str
    name: str
    blocks: int
    notes: list[str]


class Results(NamedTuple):
    """What the benchmark has written of each part that says something on a GPU that computes nothing."""

    parts: list[str]
    gates: int
    legs: list[Leg]
    images: list[int]
    """Of the runs of `ganlab run`, the last one's of CelebA's recipe."""
    notes: list[str]
    """Of the batch sizes."""
    inference: list[str]


def benchmark() -> Results:
    """Run `python benchmarks/gpu.py --quick --celeba`; its gate is gone through and then held open."""
    prepare()
    _prepare_children()
    compare = gate.gate
    alike = gate.Difference(0.0, 0.0, 0.0)

    def passed(setting: Setting, iterations: int, precision: str = "fp32") -> gate.Gate:
        return compare(setting, iterations, precision)._replace(median=alike, worst=alike)

    run = Generator._run

    def finite(self: Generator, inputs: Any, compute: Any, expected: tuple[int, ...]) -> Any:
        return run(self, inputs, lambda given: np.nan_to_num(compute(given)), expected)

    gate.gate = passed
    Generator._run = finite  # type: ignore[method-assign]
    gpu.CURVE = 20  # as many iterations as show that it works
    out = Path("results.json").absolute()
    sys.argv = ["gpu.py", "--quick", "--celeba", "--out", str(out)]
    gpu.main()
    results: dict[str, Any] = json.loads(out.read_text())
    legs = [
        Leg(comparison["title"], name, sum(leg["leg"] == name for leg in comparison["legs"]), about["notes"])
        for comparison in results["comparisons"]
        for name, about in comparison["about"].items()
    ]
    return Results(
        list(results),
        len(results["gate"]),
        legs,
        [run["images"] for run in (*results["runs"], results["celeba"])],
        [note for size in results["batch_size"] for note in size["notes"]],
        [f"{one['leg']} {size['batch_size']}" for size in results["inference"] for one in size["legs"]],
    )


def _prepare_children() -> None:
    """Let the processes that the benchmark starts be prepared, too, before they do anything."""
    site = Path("site").absolute()
    site.mkdir()
    (site / "sitecustomize.py").write_text("from fake_cuda.training import prepare\n\nprepare()\n")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), os.environ["PYTHONPATH"]])
