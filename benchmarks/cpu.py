"""Everything that is measured on a CPU, in one command: `python benchmarks/cpu.py`, about 40 minutes on two cores.

The correctness gate first; then ganlab and the textbook in turns, every leg in a fresh process; inference; start-up;
scaling. Writes benchmarks/results/cpu-<date>.json after each part, from which benchmarks/pages.py makes the tables.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import faces
import scaling
import startup
import torch
import whole
from arithmetic import flops
from gate import NARROW, gate
from machine import RESULTS, describe
from ours import Setting
from processes import DISTURBED, crowd, environment, leg, ratios, rounds

from ganlab.hardware.device import lower_precision

BF16 = ("G-bf16",) if lower_precision(torch.device("cpu"), "fp32") == "bf16" else ()
MEMORY, FILES = ("R-mem", "G-exact", "G-fast", *BF16), ("R-e2e", "G-e2e")


class Comparison(NamedTuple):
    """Legs that take turns."""

    title: str
    setting: Setting
    legs: tuple[str, ...]
    iterations: int
    """Timed ones, after two of warm-up."""
    beside: int = 0
    """Other processes that keep a core busy each, meanwhile."""


COMPARISONS = (
    Comparison("64 px, RGB, in memory", Setting(64, 3), MEMORY, 5),
    Comparison("64 px, RGB, from JPEG files", Setting(64, 3), FILES, 6),
    Comparison("32 px, RGB, in memory", Setting(32, 3), MEMORY, 12),
    Comparison("32 px, greyscale, in memory", Setting(32, 1), ("R-mem", "G-fast"), 12),
    Comparison("32 px, RGB, from JPEG files", Setting(32, 3), FILES, 20),
)
BUSY = (Comparison("32 px, RGB, in memory, beside two busy processes", Setting(32, 3), ("R-mem", "G-fast"), 12, 2),)
QUICK = (
    Comparison("32 px, in memory", Setting(32, 3, 16, NARROW), MEMORY, 8),
    Comparison("32 px, from JPEG files", Setting(32, 3, 8, NARROW), FILES, 20),
)
WHOLE = {64: 1, 32: 2}
"""Rounds of whole processes at each resolution: a round of three takes a quarter of an hour at 64 px."""
WARM_UP = 2


def main() -> None:
    """Measure all parts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny networks and two rounds: to see that it works")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each comparison (7)")
    parser.add_argument("--only", help="parts, as in gate,comparisons,busy,whole,inference,startup,scaling")
    parser.add_argument("--out", type=Path, help="the JSON file to write")
    chosen = parser.parse_args()
    quick, count = chosen.quick, 2 if chosen.quick else chosen.rounds
    out = chosen.out or RESULTS / f"cpu-{time.strftime('%Y-%m-%d', time.gmtime())}{'-quick' * quick}.json"
    results: dict[str, Any] = {"machine": describe("cpu"), "quick": quick}
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        (work / "cache").mkdir()
        say("making the JPEG files")
        pictures = faces.write(work / "faces", 200 if quick else 2000)
        parts: dict[str, Callable[[], Any]] = {
            "gate": lambda: gates(quick),
            "comparisons": lambda: comparisons(work, pictures, QUICK if quick else COMPARISONS, count),
            "busy": lambda: comparisons(
                work, pictures, (QUICK[0]._replace(beside=1),) if quick else BUSY, min(count, 3)
            ),
            "whole": lambda: whole.measure(work, pictures, {32: 1} if quick else WHOLE, bool(BF16), quick),
            "inference": lambda: inference(work, pictures, quick),
            "startup": lambda: startup.measure(work, 1 if quick else 3),
            "scaling": lambda: scaling.measure(work, pictures, quick),
        }
        for name in chosen.only.split(",") if chosen.only else parts:
            say(name)
            results[name] = parts[name]()
            results["machine"]["minutes"] = round((time.perf_counter() - begun) / 60, 1)
            out.parent.mkdir(exist_ok=True)
            out.write_text(json.dumps(results, indent=1) + "\n")
    say(f"{out}: now python benchmarks/pages.py")


def gates(quick: bool) -> list[dict[str, Any]]:
    """Compare both sides' mathematics; end here where they differ."""
    settings = [(Setting(size, channels, 16, NARROW), 20) for size, channels in ((32, 1), (32, 3), (64, 3))]
    settings += [] if quick else [(Setting(32, 3, 16), 10), (Setting(64, 3, 16), 5)]
    found = [gate(setting, iterations) for setting, iterations in settings]
    for one in found:
        verdict = "passed" if one.passed else "FAILED"
        say(f"  {verdict} {one.setting.resolution} px, {one.setting.width} wide: {one.worst}")
    if not all(one.passed for one in found):
        raise SystemExit("the gate has failed: the two sides do not compute the same, so their speeds say nothing")
    return [one.as_json() for one in found]


def comparisons(work: Path, pictures: Path, wanted: tuple[Comparison, ...], count: int) -> list[dict[str, Any]]:
    """Measure all comparisons, the machine's peak before and after each."""
    found = []
    for title, setting, legs, iterations, beside in wanted:
        say(f"  {title}")
        options: dict[str, Any] = {"setting": setting._asdict(), "warm_up": WARM_UP, "iterations": iterations}
        options |= {"pictures": 256, "faces": pictures, "tick_seconds": 0.5 if setting.width > NARROW else 0.05}
        packing = leg("G-e2e", work / "cache", **options)["process_seconds"] if "G-e2e" in legs else None
        peaks = [leg("peak", work / "cache")]
        measured = []
        with crowd(beside):
            for number, name in rounds(legs, count):
                measured.append({"round": number, **leg(name, work / "cache", **options)})
                last = measured[-1]
                say(f"    {name:8} {last['images_per_second']:7.1f} images/s, others {last['others_share']:.0%}")
        peaks.append(leg("peak", work / "cache"))
        peak = max(one["flops"] for one in peaks)
        found.append(
            {
                "title": title,
                "setting": setting._asdict(),
                "legs": measured,
                "ratios": [ratios(measured, legs[0], name, 1.0 if beside else DISTURBED) for name in legs[1:]],
                "flops": flops(setting),
                "peak_flops": peak,
                "floor_seconds": flops(setting) / peak,
                "first_run_seconds": packing,
            }
        )
    return found


def inference(work: Path, pictures: Path, quick: bool) -> list[dict[str, Any]]:
    """Compare one generator in torch, as it is built and tuned by hand, and in ganlab, with torch and onnxruntime."""
    setting = Setting(64, 3, 16, NARROW if quick else 64)
    run = work / "generator"
    leg(
        "G-e2e",
        work / "cache",
        setting=setting._asdict(),
        warm_up=0,
        iterations=2,
        faces=pictures,
        tick_seconds=1e-6,
        out=str(run),
    )
    export = [sys.executable, "-m", "ganlab", "export", str(run), "--onnx"]
    subprocess.run(export, env=environment(), check=True, stdout=subprocess.DEVNULL)
    weights, graph = run / "generator.safetensors", run / "generator.onnx"
    sides: dict[str, tuple[str, dict[str, Any]]] = {
        "torch": ("torch-inference", {"file": weights, "tuned": False}),
        "torch, tuned": ("torch-inference", {"file": weights, "tuned": True}),
        "ganlab, torch": ("inference", {"file": weights}),
        "ganlab, onnxruntime": ("inference", {"file": graph}),
    }
    found = []
    for batch_size, iterations in ((1, 100), (64, 8)):
        measured = []
        for number, name in rounds(tuple(sides), 2 if quick else 3):
            options = dict[str, Any](device="cpu", batch_size=batch_size, warm_up=3, iterations=iterations)
            kind, more = sides[name]
            result = leg(kind, work / "cache", **options, **more)
            measured.append({**result, "round": number, "leg": name})
        pairs = [*(("torch", name) for name in sides if name != "torch"), ("torch, tuned", "ganlab, onnxruntime")]
        compared = [ratios(measured, *pair) for pair in pairs]
        found.append({"batch_size": batch_size, "legs": measured, "ratios": compared})
    return found


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
