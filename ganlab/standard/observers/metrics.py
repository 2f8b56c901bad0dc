"""The numbers of a run, in metrics.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlab import Observer, append_text, hookimpl, replacing_file
from ganlab.standard.observers.wording import finite

if TYPE_CHECKING:
    from ganlab import RunInfo, Scores, Tick

METRICS = "metrics.jsonl"
SCORES = "scores"
"""The key by which the line of a judged generator is known: there its value is an object, at a tick a number."""


class Metrics(Observer):
    """Writes metrics.jsonl: one JSON object per tick and line, which reads as one run however often it was continued.

    Its keys are iteration, images, epoch, seconds (of training, continuations added up), images_per_second, then the
    loss's statistics. A judged generator has a line of its own, with iteration, images, epoch, an object `scores`,
    those of real pictures, `reference`, and whether it is the best so far, `best`. What is not a finite number is null,
    because JSON has no other word for it.
    """

    api = 1
    _earlier_seconds: float = 0.0

    @hookimpl
    def run_start(self, run: RunInfo) -> None:
        path = run.directory / METRICS
        kept = list(metrics_lines(path, run.first_iteration))
        text = "".join(f"{line}\n" for line, _ in kept)
        if path.exists() and path.read_bytes() != text.encode():
            with replacing_file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        ticks = [values for _, values in kept if not is_scored(values)]
        seconds = ticks[-1].get("seconds") if ticks else None
        self._earlier_seconds = seconds if isinstance(seconds, int | float) else 0.0

    @hookimpl
    def tick(self, run: RunInfo, tick: Tick) -> None:
        values: dict[str, float] = {
            "iteration": tick.iteration,
            "images": tick.images,
            "epoch": tick.epoch,
            "seconds": round(self._earlier_seconds + tick.seconds, 3),
            "images_per_second": tick.images_per_second,
        }
        # A statistic may have the name of a counter: neither must hide the other.
        values |= {f"stat_{name}" if name in values else name: value for name, value in tick.stats.items()}
        line = json.dumps({name: finite(value) for name, value in values.items()})
        # Opened anew each time: nothing stays open when a run breaks off, and each line is out at once.
        append_text(run.directory / METRICS, f"{line}\n")

    @hookimpl
    def scored(self, run: RunInfo, scores: Scores) -> None:
        place = {"iteration": scores.iteration, "images": scores.images, "epoch": scores.epoch}
        judged = {SCORES: dict(scores.values), "reference": dict(scores.reference), "best": scores.best}
        line = json.dumps({**place, **judged})
        append_text(run.directory / METRICS, f"{line}\n")


def is_scored(values: Mapping[str, Any]) -> bool:
    """Tell whether a line is that of a judged generator, and not of a tick."""
    return isinstance(values.get(SCORES), dict)


def metrics_lines(path: Path, last_iteration: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the lines of a metrics file up to `last_iteration`, as text and as values.

    What a kill cut off is left out, and so is what an earlier run did after its last checkpoint.
    """
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        iteration = values.get("iteration") if isinstance(values, dict) else None
        if isinstance(iteration, int) and iteration <= last_iteration:
            yield line, values
