"""How ganlab's time grows with the number of pictures, their size, the batch and the ranks."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ours import Setting
from processes import CORES, environment, leg

WARM_UP = 2
RANK_SECONDS = 12


def measure(work: Path, pictures: Path, quick: bool) -> dict[str, Any]:
    """Return all four."""
    width = 8 if quick else 64
    return {
        "pictures": [_pictures(work, pictures, count) for count in ((50, 100) if quick else (500, 1000, 2000))],
        "resolution": [
            _speed(work, Setting(size, 3, 16, width), iterations, size)
            for size, iterations in ((32, 20), (64, 8)) + (() if quick else ((128, 3),))
        ],
        "batch_size": [
            _speed(work, Setting(32, 3, size, width), max(4, 640 // size), size)
            for size in ((8, 16) if quick else (16, 32, 64, 128))
        ],
        "ranks": [_ranks(work, pictures, Setting(32, 3, 64, width), *way) for way in _ways()],
    }


def _pictures(work: Path, pictures: Path, count: int) -> dict[str, Any]:
    """Pack so many files, then train one epoch of small networks on them twice: packing, and from the cache."""
    few = work / f"faces-{count}" / "all"
    few.mkdir(parents=True)
    for index in range(count):
        os.link(pictures / "all" / f"{index:06d}.jpg", few / f"{index:06d}.jpg")
    setting = Setting(32, 3, 10, 8)
    options: dict[str, Any] = {
        "setting": setting._asdict(),
        "faces": few.parent,
        "warm_up": 0,
        "iterations": count // 10,
        "tick_seconds": 0.02,
    }
    first, second = (leg("G-e2e", work / "cache", **options) for _ in range(2))
    return {
        "value": count,
        "packing_seconds": first["process_seconds"] - second["process_seconds"],
        "epoch_seconds": second["seconds"] * (count // 10),
    }


def _speed(work: Path, setting: Setting, iterations: int, value: int) -> dict[str, Any]:
    options = dict[str, Any](setting=setting._asdict(), pictures=256, warm_up=WARM_UP, iterations=iterations)
    found = [leg("G-fast", work / "cache", **options) for _ in range(2)]
    best = min(found, key=lambda one: one["seconds"])
    return {
        "value": value,
        "milliseconds": 1e3 * statistics.median(one["seconds"] for one in found),
        "least_milliseconds": 1e3 * best["seconds"],
        "images_per_second": statistics.median(one["images_per_second"] for one in found),
    }


def _ways() -> list[tuple[int, int]]:
    """Return numbers of ranks and of threads a rank."""
    return [(1, 1), (1, CORES)] + ([(2, CORES // 2)] if CORES > 1 else [])


def _ranks(work: Path, pictures: Path, setting: Setting, ranks: int, threads: int) -> dict[str, Any]:
    """Let `ganlab run` train for a while in so many processes, and read its own metrics."""
    out = work / f"ranks-{ranks}-{threads}"
    recipe = work / "ranks.toml"
    recipe.write_text(
        f'[model]\nname = "dcgan"\nbase_channels = {setting.width}\n'
        f"[dataset]\nname = \"image_folder\"\nroot = '{pictures}'\nresolution = {setting.resolution}\n"
        f'[train]\nbatch_size = {setting.batch_size}\nepochs = 10000\ntick_seconds = 1.0\ndevice = "cpu"\n'
        f"[snapshot]\nevery_epochs = 10000\n"
    )
    words = [sys.executable, "-m", "ganlab", "run", str(recipe), "--out", str(out), "--progress", "off"]
    words += ["--nproc", str(ranks)] if ranks > 1 else []
    surroundings = environment(threads, GANLAB_CACHE=str(work / "cache"))
    with subprocess.Popen(words, env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        metrics = out / "metrics.jsonl"
        patience = time.monotonic() + 120
        while not (metrics.exists() and metrics.stat().st_size):
            if process.poll() is not None or time.monotonic() > patience:
                process.kill()
                raise SystemExit(f"ganlab run did not begin: {' '.join(words)}")
            time.sleep(0.2)
        time.sleep(RANK_SECONDS)
        process.terminate()
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    first, last = lines[0], lines[-1]
    speed = (last["images"] - first["images"]) / (last["seconds"] - first["seconds"])
    return {"ranks": ranks, "threads": threads, "images_per_second": speed}
