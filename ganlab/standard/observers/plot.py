"""The plot of a run: what its loss reported, over the pictures seen."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import NonNegativeFloat, PrivateAttr

from ganlab import Observer, hookimpl, replacing_file
from ganlab.standard.observers.metrics import METRICS, is_scored, metrics_lines

if TYPE_CHECKING:
    from ganlab import RunInfo, Tick

COUNTERS = ("iteration", "images", "epoch", "seconds", "images_per_second")
NAMES = {f"stat_{name}": name for name in COUNTERS}
"""What metrics.jsonl calls a statistic that has the name of a counter, and its own name."""


class Plot(Observer):
    """Draws losses.png: the losses, and below them the loss's other statistics, over the pictures seen.

    A continued run takes its earlier points from metrics.jsonl. Where there are more points than can be told apart,
    lines are means and the pale bands around them reach from the least to the greatest value.
    """

    api = 1
    every_seconds: NonNegativeFloat = 30.0
    """Seconds between two drawings during the run, at least; the last one is made at its end."""

    _points: dict[str, tuple[array[float], array[float]]] = PrivateAttr(default_factory=dict)
    _not_before: float = 0.0

    @hookimpl
    def run_start(self, run: RunInfo) -> None:
        self._points.clear()  # a recipe in memory may be trained more than once
        self._not_before = 0.0
        for _, values in metrics_lines(run.directory / METRICS, run.first_iteration):
            if is_scored(values):
                continue
            stats = {NAMES.get(name, name): value for name, value in values.items() if name not in COUNTERS}
            self._add(values.get("images"), stats)

    @hookimpl
    def tick(self, tick: Tick) -> None:
        self._add(tick.images, tick.stats)

    @hookimpl
    def snapshot(self, run: RunInfo) -> None:
        if time.monotonic() >= self._not_before:
            self._write(run)
            self._not_before = time.monotonic() + self.every_seconds

    @hookimpl
    def run_end(self, run: RunInfo) -> None:
        self._write(run)

    def _add(self, images: object, stats: Mapping[str, object]) -> None:
        """Add a point to each statistic that was reported; one that is no number, such as null, breaks its line."""
        if not isinstance(images, int):
            return
        for name, value in stats.items():
            x, y = self._points.setdefault(name, (array("d"), array("d")))
            x.append(images)
            y.append(value if isinstance(value, int | float) else math.nan)

    def _write(self, run: RunInfo) -> None:
        import numpy as np

        from ganlab.standard.observers.chart import Series, draw

        series = [Series(name, np.array(x), np.array(y)) for name, (x, y) in self._points.items()]
        losses = [one for one in series if one.name.startswith("loss_")]
        others = [one for one in series if not one.name.startswith("loss_")]
        panels = [panel for panel in (losses, others) if panel]
        if panels:  # before the first tick there is nothing to see
            with replacing_file(run.directory / "losses.png") as temporary:
                draw(run.name, panels, "images seen").save(temporary, format="PNG")
