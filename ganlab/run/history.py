"""What a run has measured, line by line in its `metrics.jsonl`: whatever else stands in there is passed over."""

from __future__ import annotations

import json
import math
import os
import stat
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ganlab.messages import one_line
from ganlab.showing.account import Curve, Floats, Judged, Place
from ganlab.training.checkpoint import NUMBER_LIMIT

LINE_BYTES = 1 << 20
"""A longer line is none of ours."""
FILE_BYTES = 1 << 29
"""So much of the file is read."""
NUMBERS = 200
"""So many different numbers of a run are kept."""
LETTERS = 80
"""Of a number's name."""
COUNTERS = ("iteration", "images", "epoch", "seconds")
"""What says where a line belongs, and is no curve."""
SPEED = "images_per_second"


class History(NamedTuple):
    """The numbers of a run over its training."""

    curves: Mapping[str, Curve]
    """The losses first, the speed last."""
    iterations: Floats
    """Those of the ticks, with the pictures seen and the epochs."""
    images: Floats
    epochs: Floats
    judged: tuple[Judged, ...]
    passed_over: int
    """Lines that are damaged, or not ours."""

    @property
    def seen(self) -> int | None:
        """Return the real pictures seen at the last line; None where there is none."""
        last = [int(self.images[-1])] if len(self.images) else []
        return max([*last, *(one.images for one in self.judged[-1:])], default=None)

    def at(self, iteration: int) -> Place | None:
        """Return how far the training was at an iteration, between two ticks in proportion."""
        if not len(self.iterations) or iteration > self.iterations[-1]:
            return None
        places = np.append(0.0, self.iterations)
        images, epochs = (np.interp(iteration, places, np.append(0.0, one)) for one in (self.images, self.epochs))
        return Place(round(float(images)), float(epochs))


NO_HISTORY = History({}, np.empty(0), np.empty(0), np.empty(0), (), 0)
"""Of a run that has measured nothing."""


def read_history(path: Path) -> History:
    """Read a file of metrics. Raise `OSError` where there is none, or it is a folder, a pipe or a link."""
    places = (array("d"), array("d"), array("d"))
    points: dict[str, tuple[array[float], array[float]]] = {}
    judged: list[Judged] = []
    passed_over = 0
    for line in _lines(path):
        values = _values(line)
        place = _place(values)
        if place is None:
            passed_over += bool(line.strip())
        elif isinstance(scores := values.get("scores"), dict):
            judged.append(Judged(*place, _scores(scores), values.get("best") is True))
        else:
            for column, number in zip(places, place, strict=True):
                column.append(number)
            _add(points, place[1], values)
    order = sorted(points, key=lambda name: (not name.startswith("loss_"), name == SPEED))
    curves = {_name(name): _curve(*points[name]) for name in order}
    # Of several lines of one iteration the last one counts: np.interp wants them in order.
    iterations, first = np.unique(np.array(places[0])[::-1], return_index=True)
    images, epochs = (np.array(column)[::-1][first] for column in places[1:])
    judged.sort(key=lambda one: one.iteration)
    return History(curves, iterations, images, epochs, tuple(judged), passed_over)


def columns(path: Path) -> dict[str, list[float]]:
    """Return what each tick has measured, by name, a number a tick, NaN where it says none; scores are not among them.

    Raises `OSError` as `read_history` does.
    """
    ticks = [values for line in _lines(path) if _place(values := _values(line)) and "scores" not in values]
    names = dict.fromkeys(name for values in ticks for name in values)
    return {name: [_finite(values.get(name)) for values in ticks] for name in list(names)[:NUMBERS]}


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file that is one; a line without end, and what is beyond the limit, is cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no file")
        left = FILE_BYTES
        while left > 0 and (line := file.readline(LINE_BYTES)):
            left -= len(line)
            yield line


def _values(line: bytes) -> Mapping[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _place(values: Mapping[str, Any]) -> tuple[int, int, float] | None:
    """Return iteration, pictures seen and epochs of a line; None where it does not say them."""
    iteration, images, epoch = values.get("iteration"), values.get("images"), _finite(values.get("epoch"))
    if type(iteration) is not int or type(images) is not int or math.isnan(epoch):
        return None
    return (iteration, images, epoch) if 0 <= iteration < NUMBER_LIMIT and 0 <= images < NUMBER_LIMIT else None


def _add(points: dict[str, tuple[array[float], array[float]]], images: int, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name in COUNTERS or not (value is None or type(value) in (int, float)):
            continue
        if name not in points and len(points) >= NUMBERS:
            continue
        x, y = points.setdefault(name, (array("d"), array("d")))
        x.append(images)
        y.append(_finite(value))


def _scores(scores: Mapping[str, Any]) -> dict[str, float]:
    known = list(scores.items())[:NUMBERS]
    return {_name(name): _finite(value) for name, value in known if type(value) in (int, float)}


def _finite(value: object) -> float:
    """Return a number as float; NaN for what is none, and for one that is not finite."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _curve(x: array[float], y: array[float]) -> Curve:
    """Return the points in the order of the pictures seen: lines of a damaged file may be in any."""
    images = np.array(x)
    order = np.argsort(images, kind="stable")
    return Curve(images[order], np.array(y)[order])


def _name(name: str) -> str:
    """Return what a number is called; one that had the name of a counter has it again, as in losses.png."""
    if name.startswith("stat_") and name.removeprefix("stat_") in (*COUNTERS, SPEED):
        name = name.removeprefix("stat_")
    return one_line(name, LETTERS) or "(no name)"
