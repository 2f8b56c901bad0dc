"""The film of a run: its sample grids, frames of one size and one palette."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveInt

from ganlab import Observer, RunError, hookimpl, save_film
from ganlab.standard.observers.samples import SAMPLES, sample_files

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ganlab import RunInfo, Snapshot

    Pictures = np.ndarray[Any, np.dtype[np.uint8]]


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
        frames = film(chosen, self.size)
        save_film(directory / "progress.gif", frames, self._durations(len(frames)))
        return True

    def _durations(self, count: int) -> list[int]:
        """Share the film's length out in milliseconds; a few pictures are not shown longer than a second each."""
        # A GIF counts in hundredths of a second, and viewers slow down what is faster than two of them.
        step = min(max(round(self.seconds * 80 / count), 2), 100)
        return [step * 10] * (count - 1) + [step * 10 + round(self.seconds * 20) * 10]


def film(paths: Sequence[Path], size: int) -> Pictures:
    """Read the frames of a film `(N, H, W, C)`, grey or RGB, at most `size` pixels wide and high.

    Pictures that differ from the last one in size or mode are left out: a run whose number of samples was changed on
    the way has grids of several sizes, and a film has one.
    """
    import numpy as np

    frames = [_frame(path, size) for path in paths]
    frames = [frame for frame in frames if (frame.size, frame.mode) == (frames[-1].size, frames[-1].mode)]
    pixels = np.stack([np.asarray(frame) for frame in frames])
    return pixels if pixels.ndim == 4 else pixels[..., None]


def _frame(path: Path, size: int) -> Image.Image:
    from PIL import Image

    with Image.open(path) as image:
        if image.mode == "RGBA":
            frame = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        else:
            frame = image.convert("L" if image.mode == "L" else "RGB")
    frame.thumbnail((size, size), Image.Resampling.LANCZOS)
    return frame
