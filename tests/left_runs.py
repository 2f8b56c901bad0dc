"""Directories of runs as a training leaves them, written by hand: so they may say anything, and at any length."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RECIPE = """seed = 0

[model]
name = "dcgan"
latent_dim = 32

[train]
batch_size = 64
epochs = 25.0
"""
PER_EPOCH = 100
"""Iterations of an epoch, and 64 times as many pictures."""


def left_run(
    directory: Path,
    *,
    recipe: str | None = RECIPE,
    ticks: int = 20,
    epochs: float = 4.0,
    snapshots: int = 5,
    pixels: int = 8,
    channels: int = 1,
    grid: int = 4,
    stats: Mapping[str, float] | None = None,
    rows: Sequence[str] = (),
    scores: Sequence[Mapping[str, float]] = (),
    ended: str | None = "finished",
    overrides: Sequence[str] = (),
    note: str = "",
) -> Path:
    """Write a run and return its directory.

    Each tick reports `stats`, to which the number of the tick, from 0 to 1, is added. The grid of snapshot n of N is
    grey of level 255 n / N; with more than one channel it has noise, too, as photographs have details.
    """
    own = directory / ".ganlab"
    own.mkdir(parents=True)
    _json(own / "run.json", {"format": 2, "run": "0" * 32, "recipe": directory.name, "folder": str(directory.parent)})
    _json(own / "session.json", {"ended": ended, "overrides": list(overrides)})
    if note:
        _json(own / "note.json", {"note": note})
    if recipe is not None:
        (directory / "recipe.toml").write_text(recipe)
    _json(directory / "environment.json", {"device": "cpu", "threads": 1, "packages": {"torch": "2.11.0"}})
    (directory / "log.txt").write_text("2026-01-01 00:00:00 the last line\n")
    last = round(epochs * PER_EPOCH)
    stats = {"loss_discriminator": 1.0, "loss_generator": 2.0, "D(x)": 0.0} if stats is None else stats
    lines = []
    for tick in range(1, ticks + 1):
        part = tick / ticks
        lines.append(_place(round(part * last)) | {"seconds": float(tick), "images_per_second": 100.0 + tick})
        lines[-1] |= {name: value + part for name, value in stats.items()}
    for number, values in enumerate(scores, 1):
        lines.append(_place(last * number // len(scores)) | {"scores": dict(values), "best": number == 1})
    (directory / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (directory / "samples").mkdir()
    side = grid * (pixels + 2) + 2
    for number in range(snapshots):
        iteration = last * number // max(1, snapshots - 1)
        picture(directory / "samples" / f"{iteration:08d}.png", side, channels, 255 * number // max(1, snapshots - 1))
    picture(directory / "reals.png", side, channels, 128)
    if rows:
        (directory / "samples" / "rows.txt").write_text("".join(f"{row}\n" for row in rows))
    return directory


def picture(path: Path, side: int, channels: int, level: int) -> None:
    """Write a grey picture."""
    pixels = np.full((side, side, channels), level, np.uint8)
    if channels > 1:
        noise = np.random.default_rng(level).integers(-6, 7, (side, side, channels))
        coarse = np.random.default_rng(level + 1).integers(-90, 90, (side // 8 + 1, side // 8 + 1, channels))
        pixels = np.clip(pixels + noise + coarse.repeat(8, 0).repeat(8, 1)[:side, :side], 0, 255).astype(np.uint8)
    Image.fromarray(pixels if channels > 1 else pixels[:, :, 0]).save(path)


def _place(iteration: int) -> dict[str, Any]:
    return {"iteration": iteration, "images": iteration * 64, "epoch": iteration / PER_EPOCH}


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value) + "\n")
