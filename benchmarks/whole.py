"""Whole processes, from the command to its end: the textbook's loop from JPEG files, and `ganlab run` on packed ones.

ganlab's has what users have who set nothing: its moving average, snapshots with samples, checkpoints, the report.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ours import Setting
from processes import HERE, environment, ratios, rounds, run

ITERATIONS = 300
PRECISIONS = {"ganlab run": "fp32", "ganlab run, bf16": "bf16"}


def measure(work: Path, pictures: Path, resolutions: dict[int, int], bf16: bool, quick: bool) -> list[dict[str, Any]]:
    """Compare them at each of `resolutions`, for so many rounds each."""
    found = []
    for resolution, count in resolutions.items():
        setting = Setting(resolution, 3, 8, 8) if quick else Setting(resolution)
        iterations = 4 if quick else ITERATIONS
        commands = {"R-e2e": _textbook(setting, pictures, iterations)}
        for name in list(PRECISIONS)[: 1 + bf16]:
            commands[name] = _ganlab(work, setting, pictures, iterations, PRECISIONS[name])
        run([*commands["ganlab run"][:-3], "--dry-run"], _environment(work))  # which packs
        measured = []
        for number, name in rounds(tuple(commands), count):
            command = commands[name]
            if name != "R-e2e":
                command = [*command[:-1], f"{command[-1]}-{number}"]
            _, about = run(command, _environment(work))
            measured.append({"round": number, "leg": name, **about, "seconds": about["process_seconds"]})
            print(f"    {name:16} {about['process_seconds']:7.1f} s", file=sys.stderr, flush=True)
        compared = [ratios(measured, "R-e2e", name) for name in commands if name != "R-e2e"]
        found.append({"resolution": resolution, "iterations": iterations, "legs": measured, "ratios": compared})
    return found


def _textbook(setting: Setting, pictures: Path, iterations: int) -> list[str]:
    wanted = {"leg": "R-e2e", "setting": setting._asdict(), "faces": str(pictures), "warm_up": 1}
    wanted["iterations"] = iterations - 1
    return [sys.executable, str(HERE / "legs.py"), json.dumps(wanted)]


def _ganlab(work: Path, setting: Setting, pictures: Path, iterations: int, precision: str) -> list[str]:
    """Return the command, whose last word is the run's directory."""
    recipe = work / f"whole-{setting.resolution}-{precision}.toml"
    recipe.write_text(
        f'[model]\nname = "dcgan"\nbase_channels = {setting.width}\n[dataset]\nname = "image_folder"\n'
        f"root = '{pictures}'\nlabels = false\nresolution = {setting.resolution}\n[train]\n"
        f'batch_size = {setting.batch_size}\niterations = {iterations}\ndevice = "cpu"\nprecision = "{precision}"\n'
    )
    words = [sys.executable, "-m", "ganlab", "run", str(recipe)]
    return [*words, "--progress=off", "--out", str(work / recipe.stem)]


def _environment(work: Path) -> dict[str, str]:
    return environment(GANLAB_CACHE=str(work / "cache"))
