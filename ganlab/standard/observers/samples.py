"""The pictures of a run: of the data, and of the generator at each snapshot."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlab import Observer, hookimpl

if TYPE_CHECKING:
    import numpy as np

    from ganlab import RunInfo, Snapshot

    Pictures = np.ndarray[Any, np.dtype[np.uint8]]

SAMPLES = "samples"
ROWS = "rows.txt"
"""Beside the grids: the class or category that each of their rows shows, a line each."""


class Samples(Observer):
    """Writes reals.png, pictures of the data as the networks see them, and samples/<iteration>.png at each snapshot.

    Where each row of a grid shows a class or a category, samples/rows.txt names them from top to bottom.
    One channel is grey, three are RGB, four RGBA; of any other number the first one is shown, in grey.
    """

    api = 1

    @hookimpl
    def run_start(self, run: RunInfo, reals: Pictures) -> None:
        from ganlab import grid, save_png

        save_png(run.directory / "reals.png", grid(reals, math.ceil(math.sqrt(len(reals)))))

    @hookimpl
    def snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        from ganlab import grid, replacing_file, save_png

        path = run.directory / SAMPLES / f"{snapshot.iteration:08d}.png"
        save_png(path, grid(snapshot.samples, snapshot.columns))
        if snapshot.rows:
            with replacing_file(path.with_name(ROWS)) as temporary:
                temporary.write_text("".join(f"{row}\n" for row in snapshot.rows), encoding="utf-8")


def sample_files(directory: Path) -> list[tuple[int, Path]]:
    """Return the sample grids of a run with their iterations, in order; a link is none."""
    folder = directory / SAMPLES
    paths = () if folder.is_symlink() else folder.glob("*.png")
    return sorted(
        (int(path.stem), path) for path in paths if re.fullmatch("[0-9]{8,}", path.stem) and not path.is_symlink()
    )
