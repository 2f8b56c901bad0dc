"""One leg of the benchmark in a process of its own: `python benchmarks/legs.py '{"leg": "R-mem", ...}'` prints JSON.

R is the textbook, G is ganlab; mem has its pictures in memory, e2e reads them from JPEG files, which ganlab has packed
before. G-exact does the textbook's mathematics, G-fast is ganlab with no option set, G-bf16 in bfloat16.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from ganlab.hardware.load import yielding_threads


class Mark(NamedTuple):
    """One moment of a process."""

    iteration: int
    seconds: float
    cpu_seconds: float
    minor_faults: int


def mark(iteration: int) -> Mark:
    """Return this moment."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Mark(iteration, time.perf_counter(), used.ru_utime + used.ru_stime, used.ru_minflt)


class Timer:
    """Counts iterations, and marks the end of the warm-up and of the last one."""

    def __init__(self, warm_up: int, iterations: int) -> None:
        self.marks: list[Mark] = []
        self._done, self._ends = 0, {warm_up, warm_up + iterations}

    def ended(self, *_: object) -> bool:
        """Count an iteration, and tell whether it was the last one."""
        self._done += 1
        if self._done in self._ends:
            self.marks.append(mark(self._done))
        return self._done == max(self._ends)


def main(wanted: dict[str, Any]) -> dict[str, Any]:
    """Run one leg and return what was measured."""
    with yielding_threads() if wanted["leg"].startswith("G-") else nullcontext():  # as `ganlab run` imports torch
        return LEGS[wanted["leg"]](wanted)


def textbook_in_memory(wanted: dict[str, Any]) -> dict[str, Any]:
    import faces
    import textbook
    import torch

    setting = _setting(wanted)
    pixels = torch.from_numpy(faces.pixels(wanted["pictures"], setting.resolution, setting.channels))
    pictures = pixels.float().div(127.5).sub(1.0)
    return _textbook(wanted, textbook.in_memory(pictures, setting.batch_size))


def textbook_from_files(wanted: dict[str, Any]) -> dict[str, Any]:
    import textbook

    setting = _setting(wanted)
    return _textbook(wanted, textbook.from_files(Path(wanted["faces"]), setting.resolution, setting.batch_size))


def _textbook(wanted: dict[str, Any], batches: Any) -> dict[str, Any]:
    import gate
    import textbook
    import torch

    torch.manual_seed(0)
    timer = Timer(wanted["warm_up"], wanted["iterations"])
    networks = gate.networks(_setting(wanted))
    textbook.train(*networks, *textbook.optimizers(*networks), batches, torch.device("cpu"), timer.ended)
    batches.close()  # which waits for its workers, so that their time is counted as ours
    return _between(wanted, timer.marks)


def ganlab_in_memory(variant: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the leg of one of ganlab's variants."""

    def leg(wanted: dict[str, Any]) -> dict[str, Any]:
        import faces
        import ours

        setting = _setting(wanted)
        pixels = faces.pixels(wanted["pictures"], setting.resolution, setting.channels)
        timer = Timer(wanted["warm_up"], wanted["iterations"])
        ours.train(ours.trainer(ours.recipe(setting, variant), ours.packed(pixels)), timer.ended)
        return _between(wanted, timer.marks)

    return leg


def ganlab_from_files(wanted: dict[str, Any]) -> dict[str, Any]:
    import ours

    import ganlab
    from ganlab import Observer, Tick, hookimpl
    from ganlab.registry import registry

    marks: list[Mark] = []

    class Clock(Observer):
        """Marks the moments at which the loop looks at the device."""

        api = 1

        @hookimpl
        def tick(self, tick: Tick) -> None:
            marks.append(mark(tick.iteration))

    registry.add("observer", "clock", Clock)
    variant = {"observers": {"clock": {}, "terminal": {"mode": "off"}}}
    iterations = wanted["warm_up"] + wanted["iterations"]
    recipe = ours.recipe(
        _setting(wanted), variant, wanted["faces"], iterations=iterations, tick_seconds=wanted["tick_seconds"]
    )
    with tempfile.TemporaryDirectory() as temporary:
        ganlab.train(recipe, out=wanted.get("out", f"{temporary}/run"))
    first = next((moment for moment in marks if moment.iteration >= wanted["warm_up"]), marks[0])
    return _between(wanted, [first, marks[-1]])


def inference(wanted: dict[str, Any]) -> dict[str, Any]:
    from ganlab import load_generator

    generator = load_generator(wanted["file"], wanted["device"])
    z = generator.draw(range(wanted["batch_size"]))
    return timed(lambda: generator(z), wanted["warm_up"], wanted["iterations"])


def torch_inference(wanted: dict[str, Any]) -> dict[str, Any]:
    import numpy as np
    import torch

    from ganlab import fold_batchnorm
    from ganlab.generator.file import read_artefact
    from ganlab.generator.network import load_network

    generator = load_network(read_artefact(wanted["file"]))
    if wanted["tuned"]:
        generator = fold_batchnorm(generator).to(memory_format=torch.channels_last)
    z = torch.from_numpy(np.random.default_rng(0).standard_normal((wanted["batch_size"], 100), np.float32))

    def compute() -> None:
        with torch.inference_mode():
            generator(z)

    return timed(compute, wanted["warm_up"], wanted["iterations"])


def timed(compute: Callable[[], object], warm_up: int, iterations: int) -> dict[str, float]:
    """Return the seconds of a call, after some that are not counted: the median, and the least."""
    for _ in range(warm_up):
        compute()
    times = []
    for _ in range(iterations):
        start = time.perf_counter()
        compute()
        times.append(time.perf_counter() - start)
    return {"seconds": statistics.median(times), "least_seconds": min(times)}


def peak(wanted: dict[str, Any]) -> dict[str, Any]:
    import torch

    from ganlab.bench.peak import measure_peak

    found = measure_peak(torch.device("cpu"), "fp32", 1.0)
    return {"flops": found.flops, "of": found.of}


LEGS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "R-mem": textbook_in_memory,
    "R-e2e": textbook_from_files,
    "G-exact": ganlab_in_memory({"moving_average": {"enabled": False}, "train": {"precision": "exact"}}),
    "G-fast": ganlab_in_memory({}),
    "G-bf16": ganlab_in_memory({"train": {"precision": "bf16"}}),
    "G-e2e": ganlab_from_files,
    "inference": inference,
    "torch-inference": torch_inference,
    "peak": peak,
}


def _setting(wanted: dict[str, Any]) -> Any:
    from ours import Setting

    return Setting(**wanted["setting"])


def _between(wanted: dict[str, Any], marks: list[Mark]) -> dict[str, Any]:
    first, last = marks[0], marks[-1]
    iterations = last.iteration - first.iteration
    if not iterations:
        raise SystemExit("nothing was timed between two looks at the device; ask for more iterations")
    each = (last.seconds - first.seconds) / iterations
    return {
        "iterations": iterations,
        "seconds": each,
        "images_per_second": wanted["setting"]["batch_size"] / each,
        "cpu_seconds": (last.cpu_seconds - first.cpu_seconds) / iterations,
        "minor_faults": (last.minor_faults - first.minor_faults) / iterations,
    }


if __name__ == "__main__":
    # Whatever a library prints is not the result.
    stdout = os.dup(1)
    os.dup2(2, 1)
    result = main(json.loads(sys.argv[1]))
    with os.fdopen(stdout, "w") as stream:
        json.dump(result, stream)
