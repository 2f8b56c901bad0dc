"""What a run leaves in its directory as it goes: metrics, a log, sample grids and the film of them."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveInt, PrivateAttr

from ganlab import Observer, RunError, hookimpl, replacing_file
from ganlab.standard.film import film
from ganlab.standard.wording import finite, note_line, phase_line, printable, run_lines, tick_line

if TYPE_CHECKING:
    import numpy as np

    from ganlab import RunInfo, Snapshot, Tick

    Pictures = np.ndarray[Any, np.dtype[np.uint8]]

METRICS = "metrics.jsonl"
SAMPLES = "samples"


class Metrics(Observer):
    """Writes metrics.jsonl: one JSON object per tick and line, which reads as one run however often it was continued.

    Its keys are iteration, images, epoch, seconds (of training, continuations added up), images_per_second, then the
    loss's statistics. What is not a finite number is null, because JSON has no other word for it.
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
        seconds = kept[-1][1].get("seconds") if kept else None
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
        with (run.directory / METRICS).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


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


class Log(Observer):
    """Writes log.txt: every tick and note as a line with its time, for people, over all continuations of the run."""

    api = 1
    _path: Path | None = None
    _waiting: list[str] = PrivateAttr(default_factory=list)
    _begun: dict[str, float] = PrivateAttr(default_factory=dict)

    @hookimpl
    def phase(self, name: str, done: int, total: int) -> None:
        begun = self._begun.setdefault(name, time.monotonic())
        if total and done >= total:
            self._write(phase_line(name, done, total, time.monotonic() - self._begun.pop(name, begun)))

    @hookimpl
    def note(self, text: str, level: str) -> None:
        self._write(note_line(text, level))

    @hookimpl
    def run_start(self, run: RunInfo) -> None:
        # What was said before the run had a directory comes first.
        self._path = run.directory / "log.txt"
        for line in run_lines(run):
            self._write(line)

    @hookimpl
    def tick(self, run: RunInfo, tick: Tick) -> None:
        self._write(tick_line(run, tick))

    @hookimpl
    def run_end(self, reason: str) -> None:
        self._write(reason)

    def _write(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        self._waiting += [f"{stamp}  {printable(line)}\n" for line in text.splitlines()]
        if self._path is not None:
            with self._path.open("a", encoding="utf-8", errors="replace") as file:
                file.write("".join(self._waiting))
            self._waiting.clear()


class Samples(Observer):
    """Writes reals.png, pictures of the data as the networks see them, and samples/<iteration>.png at each snapshot.

    One channel is grey, three are RGB, four RGBA; of any other number the first one is shown, in grey.
    """

    api = 1

    @hookimpl
    def run_start(self, run: RunInfo, reals: Pictures) -> None:
        from ganlab import grid, save_png

        # A run that was killed after its last checkpoint left pictures of a future that will be drawn anew.
        for iteration, path in sample_files(run.directory):
            if iteration > run.first_iteration:
                path.unlink()
        save_png(run.directory / "reals.png", grid(reals, math.ceil(math.sqrt(len(reals)))))

    @hookimpl
    def snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        from ganlab import grid, save_png

        path = run.directory / SAMPLES / f"{snapshot.iteration:08d}.png"
        save_png(path, grid(snapshot.samples, snapshot.columns))


def sample_files(directory: Path) -> list[tuple[int, Path]]:
    """Return the sample grids of a run with their iterations, in order."""
    paths = (directory / SAMPLES).glob("*.png")
    return sorted((int(path.stem), path) for path in paths if re.fullmatch("[0-9]{8,}", path.stem))


class GIF(Observer):
    """Writes progress.gif: the sample grids of all snapshots as a film, so it needs the observer `samples` beside it.

    It is written at the end, and during the run where that takes less than a fiftieth of the time.
    """

    api = 1
    frames: PositiveInt = 100
    """Number of pictures in the film at most; of more snapshots, evenly spaced ones are shown."""
    seconds: float = Field(default=10.0, gt=0)
    """Length of the film at most; the last picture is held for a fifth of it."""
    size: PositiveInt = 640
    """Width and height in pixels at most; a larger grid is scaled down."""

    _last_iteration: int | None = None
    _not_before: float = 0.0

    @hookimpl
    def run_start(self) -> None:
        self._last_iteration = None  # a recipe in memory may be trained more than once
        self._not_before = 0.0

    @hookimpl
    def snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        self._last_iteration = snapshot.iteration
        begun = time.monotonic()
        if begun >= self._not_before:
            self._write(run.directory, snapshot.iteration)
            ended = time.monotonic()
            self._not_before = ended + max(60.0, 49 * (ended - begun))

    @hookimpl
    def run_end(self, run: RunInfo) -> None:
        written = self._write(run.directory, self._last_iteration or run.first_iteration)
        if self._last_iteration is not None and not written:
            raise RunError(
                f"progress.gif is made of the pictures in {run.directory / SAMPLES}, and there are none; "
                f"switch the observer samples on, or gif off"
            )

    def _write(self, directory: Path, last_iteration: int) -> bool:
        """Make the film of the sample grids up to `last_iteration`; say whether there were any."""
        paths = [path for iteration, path in sample_files(directory) if iteration <= last_iteration]
        if not paths:
            return False
        count = min(self.frames, len(paths))
        # The last picture is always shown, the first too where there is more than one.
        chosen = [
            paths[len(paths) - 1 - round(i * (len(paths) - 1) / max(count - 1, 1))] for i in reversed(range(count))
        ]
        first, *others = film(chosen, self.size)
        with replacing_file(directory / "progress.gif") as temporary:
            first.save(
                temporary,
                format="GIF",
                save_all=True,
                append_images=others,
                duration=self._durations(1 + len(others)),
                loop=0,
                palette=first.getpalette(),  # once for all frames, not again in each
                optimize=False,
            )
        return True

    def _durations(self, count: int) -> list[int]:
        """Share the film's length out in milliseconds; a few pictures are not shown longer than a second each."""
        # A GIF counts in hundredths of a second, and viewers slow down what is faster than two of them.
        step = min(max(round(self.seconds * 80 / count), 2), 100)
        return [step * 10] * (count - 1) + [step * 10 + round(self.seconds * 20) * 10]
