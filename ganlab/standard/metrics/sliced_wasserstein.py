"""Sliced Wasserstein distance: how far the small patches of the pictures are apart, coarse and fine. No network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import PositiveInt

from ganlab import Comparison, Metric
from ganlab.standard.metrics.wasserstein import directions, gaps

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]

SIDE = 7
"""Of a patch, in pixels."""
COARSEST = 16
"""The shortest side of the coarsest level."""
AT_ONCE = 64
"""Pictures whose levels are computed at once."""
BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0], np.float32) / 16.0
"""The filter of the pyramid (Burt and Adelson 1983)."""


class SlicedWasserstein(Metric):
    """Sliced Wasserstein distance of 7 x 7 patches in the levels of a Laplacian pyramid down to 16 pixels (Karras et
    al. 2018, section 5), mean over the levels, times 1000.

    It sees texture and contours, and nothing of what a picture shows. Unlike theirs, patches are scaled by the mean and
    deviation of the real ones on both sides, so that wrong brightness, contrast and colour count; they lie at the same
    places in all pictures; and there are fewer of them and of the directions, which makes it quick and little noisier.
    Pictures below 32 pixels have one level, the picture itself.
    """

    api = 1
    better: ClassVar = "lower"

    patches: PositiveInt = 32
    """Patches of each picture and level."""
    projections: PositiveInt = 128
    """Random directions that the mean is over."""

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        """Compare the patches of each level along the same directions."""
        if min(comparison.real.shape[1:3]) < SIDE:
            raise ValueError(f"patches have {SIDE} x {SIDE} pixels: take pictures that are no smaller")
        along = directions(SIDE * SIDE * comparison.real.shape[3], self.projections, comparison.seed)
        both = (_patches(pictures, self.patches, comparison.seed) for pictures in (comparison.real, comparison.fake))
        distances = [_distance(real, fake, along) for real, fake in zip(*both, strict=True)]
        return {"sliced_wasserstein": 1e3 * float(np.mean(distances))}


def _distance(real: Floats, fake: Floats, along: Floats) -> float:
    """Return the mean distance of patches `(N, C, side, side)` along some directions."""
    mean, deviation = real.mean((0, 2, 3), keepdims=True), real.std((0, 2, 3), keepdims=True)
    first, second = (
        ((patches - mean) / np.maximum(deviation, 1e-6)).reshape(len(patches), -1) for patches in (real, fake)
    )
    return sum(float((mass @ np.abs(gap)).sum()) for gap, mass in gaps(first, second, along)) / int(along.shape[1])


def _patches(pictures: np.ndarray[Any, np.dtype[np.uint8]], count: int, seed: int) -> list[Floats]:
    """Return `count` patches of each picture for each level, `(N * count, C, side, side)`, at the same places."""
    found: list[list[Floats]] = []
    for start in range(0, len(pictures), AT_ONCE):
        levels = list(_pyramid(pictures[start : start + AT_ONCE]))
        found = found or [[] for _ in levels]
        generator = np.random.default_rng(seed)
        for level, patches in zip(levels, found, strict=True):
            rows, columns = (generator.integers(0, side - SIDE, count, endpoint=True) for side in level.shape[2:])
            windows = np.lib.stride_tricks.sliding_window_view(level, (SIDE, SIDE), axis=(2, 3))
            chosen = np.moveaxis(windows[:, :, rows, columns], 2, 1)
            patches.append(chosen.reshape(-1, level.shape[1], SIDE, SIDE))
    return [np.concatenate(patches) for patches in found]


def _pyramid(pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> Iterator[Floats]:
    """Yield the levels `(N, C, H, W)` of pictures `(N, H, W, C)`, the finest first; the coarsest is what remains."""
    level: Floats = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)
    while min(level.shape[2:]) >= 2 * COARSEST:
        coarser = _blurred(level)[:, :, ::2, ::2]
        spread = np.zeros_like(level)
        spread[:, :, ::2, ::2] = 4.0 * coarser
        yield level - _blurred(spread)
        level = coarser
    yield level


def _blurred(images: Floats) -> Floats:
    """Return images filtered along both sides, mirrored at the edges."""
    for axis in (2, 3):
        widths = [(0, 0)] * 4
        widths[axis] = (2, 2)
        padded = np.pad(images, widths, mode="reflect")
        length = images.shape[axis]
        images = sum(weight * padded.take(range(start, start + length), axis) for start, weight in enumerate(BINOMIAL))
    return images
