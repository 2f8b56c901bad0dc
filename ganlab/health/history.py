"""What a run has left of itself, told again to a watch as the run has told it."""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ganlab.data.pictures import pictures_of_grid
from ganlab.events import Finding, Scores, Snapshot, Tick
from ganlab.health.pictures import Pictures
from ganlab.health.watch import Watch

METRICS, SAMPLES, REALS = "metrics.jsonl", "samples", "reals.png"
"""What the standard observers write."""
COUNTERS = ("iteration", "images", "epoch", "seconds", "images_per_second")

Event = Tick | Scores | Snapshot


class Sheets(NamedTuple):
    """What the sample grids of a run look like."""

    pictures: int
    """Pictures in one."""
    height: int
    width: int


def retell(watch: Watch, run: Path, sheets: Sheets, last_iteration: float, most: int | None = None) -> list[Finding]:
    """Tell a watch what the run of a directory was up to an iteration, and return what it found.

    Of statistics, scores and sample grids, at `most` so many of the last ones are told.
    """
    lines = deque(_lines(run / METRICS, last_iteration), most)
    grids = deque(_grids(run, sheets, last_iteration), None if most is None else max(1, most // 1000))
    # Of one iteration, in the order in which a run tells them.
    events: list[tuple[int, int, Event | Path]] = [
        (one.iteration, 0 if isinstance(one, Tick) else 2, one) for one in lines
    ]
    events += [(iteration, 1, path) for iteration, path in grids]
    found = []
    for iteration, _, event in sorted(events, key=lambda one: one[:2]):
        match event:
            case Tick():
                found += watch.tick(event)
            case Scores():
                found += watch.scored(event)
            case Path() if (samples := read_sheet(event, sheets)) is not None:
                found += watch.snapshot(Snapshot(iteration, 0, 0.0, samples, 1))
    return found


def read_sheet(path: Path, sheets: Sheets) -> Pictures | None:
    """Return the pictures `(N, H, W, C)` of a grid; None where there is none that can be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            sheet = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # PIL's words for what is no picture
        return None
    sheet = sheet if sheet.ndim == 3 else sheet[:, :, None]
    made = pictures_of_grid(sheet, sheets.pictures, sheets.height, sheets.width) if sheet.dtype == np.uint8 else None
    return made if made is not None and len(made) else None


def _grids(run: Path, sheets: Sheets, last_iteration: float) -> Iterator[tuple[int, Path]]:
    try:
        names = sorted(os.listdir(run / SAMPLES))
    except OSError:
        return
    for name in names:
        path = run / SAMPLES / name
        if re.fullmatch(r"[0-9]{8,18}\.png", name, re.ASCII) and int(path.stem) <= last_iteration and path.is_file():
            yield int(path.stem), path


def _lines(path: Path, last_iteration: float) -> Iterator[Tick | Scores]:
    """Yield the ticks and scores of a metrics file; what a kill has cut off, and what is no line of it, is left out."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        for line in file:
            if (event := _event(line)) is not None and event.iteration <= last_iteration:
                yield event


def _event(line: str) -> Tick | Scores | None:
    try:
        values: dict[str, Any] = json.loads(line)
        place = (int(values["iteration"]), int(values["images"]), float(values["epoch"]))
        if isinstance(values.get("scores"), dict):
            reference = values.get("reference", {})
            return Scores(*place, _numbers(values["scores"]), _numbers(reference), values.get("best") is True)
        stats = {name: value for name, value in values.items() if name not in COUNTERS}
        return Tick(*place, 0.0, 0.0, 0.0, 0.0, _numbers(stats))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if type(value) in (int, float)}
