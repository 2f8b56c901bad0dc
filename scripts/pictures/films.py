"""The film of how a run has learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import ganlab

STEP_MILLISECONDS = 600
LAST_MILLISECONDS = 3000
STEPS = 31
"""Between black and white: half the bytes of 255, and on pictures so small nobody sees it."""


def progress(run: Path, film: Path) -> None:
    """Write the grids of a run's snapshots as a film, which stays at the last one."""
    grids = np.stack([np.asarray(Image.open(path)) for path in sorted((run / "samples").glob("*.png"))])
    frames = np.round(np.round(grids / 255 * STEPS) * 255 / STEPS).astype(np.uint8)
    frames = frames if frames.ndim == 4 else frames[..., None]
    ganlab.save_film(film, frames, [*[STEP_MILLISECONDS] * (len(frames) - 1), LAST_MILLISECONDS])
