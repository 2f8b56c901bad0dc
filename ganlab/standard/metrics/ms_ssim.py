"""Multi-scale structural similarity of generated pictures with each other: how varied they are. No network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import PositiveInt

from ganlab import Comparison, Metric
from ganlab.standard.metrics.order import in_own_order

Floats = np.ndarray[Any, np.dtype[np.float64]]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, the finest first (Wang et al. 2003, section 3.2)."""
WINDOW, SIGMA = 11, 1.5
"""Of the Gaussian window, in pixels (Wang et al. 2004)."""
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
AT_ONCE = 64
"""Pairs that are computed at once."""


class MSSSIM(Metric):
    """MS-SSIM (Wang et al. 2003), mean over random pairs of generated pictures, as a measure of variety (Odena et al.
    2017, section 4.2): 1 means that all are the same.

    No number is good by itself: it is to be near that of real pictures. Pictures too small for five scales of an 11 x
    11 window, 176 pixels, have as many as fit, with the weights of these; below 11 pixels the window is smaller.
    """

    api = 1
    better: ClassVar = "neither"

    pairs: PositiveInt = 1000
    """Pairs that the mean is over."""

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        """Draw pairs of two different pictures, and compare each."""
        fake = in_own_order(comparison.fake)
        if len(fake) < 2:
            raise ValueError("a single picture makes no pair: take more")
        generator = np.random.default_rng(comparison.seed)
        first = generator.integers(0, len(fake), self.pairs)
        second = (first + generator.integers(1, len(fake), self.pairs)) % len(fake)
        found = [
            ms_ssim(fake[first[start : start + AT_ONCE]], fake[second[start : start + AT_ONCE]])
            for start in range(0, self.pairs, AT_ONCE)
        ]
        return {"ms_ssim": float(np.concatenate(found).mean())}


def ms_ssim(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> Floats:
    """Return the MS-SSIM `(N,)` of pictures `(N, H, W, C)` in 0 to 255, mean over the channels."""
    side = min(first.shape[1:3])
    scales = next(count for count in range(len(WEIGHTS), 0, -1) if count == 1 or side >> (count - 1) >= WINDOW)
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    window = np.exp(-0.5 * ((np.arange(size := min(WINDOW, side)) - (size - 1) / 2) / SIGMA) ** 2)
    window /= window.sum()
    x, y = (np.moveaxis(pictures, 3, 1).astype(np.float64) for pictures in (first, second))
    found = np.ones(x.shape[:2])
    for scale, weight in enumerate(weights):
        luminance, structure = _similarities(x, y, window)
        similarity = structure if scale < scales - 1 else luminance * structure
        # Of pictures that are each other's opposites it is below 0, where a power is none.
        found *= similarity.mean((2, 3)).clip(0.0) ** weight
        x, y = _halved(x), _halved(y)
    mean: Floats = found.mean(1)
    return mean


def _similarities(x: Floats, y: Floats, window: Floats) -> tuple[Floats, Floats]:
    """Return luminance and contrast times structure around each pixel (Wang et al. 2004, equations 6 and 13)."""
    mx, my = _filtered(x, window), _filtered(y, window)
    vx, vy = _filtered(x * x, window) - mx**2, _filtered(y * y, window) - my**2
    covariance = _filtered(x * y, window) - mx * my
    return (2 * mx * my + C1) / (mx**2 + my**2 + C1), (2 * covariance + C2) / (vx + vy + C2)


def _filtered(images: Floats, window: Floats) -> Floats:
    """Return the means under the window wherever it lies within images `(N, C, H, W)`."""
    for axis in (2, 3):
        images = np.lib.stride_tricks.sliding_window_view(images, len(window), axis) @ window
    return images


def _halved(images: Floats) -> Floats:
    """Return the means of 2 x 2 pixels; a last odd row or column is left out."""
    count, channels, height, width = images.shape
    even = images[:, :, : height // 2 * 2, : width // 2 * 2]
    halved: Floats = even.reshape(count, channels, height // 2, 2, width // 2, 2).mean((3, 5))
    return halved
