"""MS-SSIM against its formulas, written as loops over windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from comparisons import of_pictures

from ganlab.standard.metrics.ms_ssim import MSSSIM, ms_ssim

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def pictures(count: int, side: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, channels), np.uint8)


def by_loops(x: np.ndarray, y: np.ndarray, scales: int, size: int) -> float:
    """Return the index of two grey pictures (Wang et al. 2003), window by window."""
    window = np.array([math.exp(-((i - (size - 1) / 2) ** 2) / (2 * 1.5**2)) for i in range(size)])
    weights = np.outer(window, window) / np.outer(window, window).sum()
    product, total = 1.0, sum(WEIGHTS[:scales])
    for scale in range(scales):
        luminances, structures = [], []
        for top in range(x.shape[0] - size + 1):
            for left in range(x.shape[1] - size + 1):
                a, b = (one[top : top + size, left : left + size] for one in (x, y))
                ma, mb = (weights * a).sum(), (weights * b).sum()
                va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
                cov = (weights * (a - ma) * (b - mb)).sum()
                luminances.append((2 * ma * mb + 6.5025) / (ma**2 + mb**2 + 6.5025))
                structures.append((2 * cov + 58.5225) / (va + vb + 58.5225))
        last = scale == scales - 1
        both = [s * (light if last else 1) for s, light in zip(structures, luminances, strict=True)]
        product *= max(0.0, float(np.mean(both))) ** (WEIGHTS[scale] / total)
        x, y = (
            np.array(
                [
                    [one[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(one.shape[1] // 2)]
                    for i in range(one.shape[0] // 2)
                ]
            )
            for one in (x, y)
        )
    return product


@pytest.mark.parametrize(("side", "scales", "size"), [(13, 1, 11), (8, 1, 8), (27, 2, 11)])
def test_it_is_what_the_formulas_say(side: int, scales: int, size: int) -> None:
    first = pictures(2, side)
    second = np.clip(first + np.random.default_rng(1).integers(-40, 41, first.shape), 0, 255)
    found = ms_ssim(first, second)
    for index in range(2):
        expected = by_loops(first[index, ..., 0].astype(float), second[index, ..., 0].astype(float), scales, size)
        assert 0.2 < expected < 1
        assert found[index] == pytest.approx(expected, rel=1e-9)


def test_channels_are_averaged_and_opposites_are_nothing() -> None:
    first, second = pictures(3, 16, 3), pictures(3, 16, 3, seed=1)
    each = [ms_ssim(first[..., c : c + 1], second[..., c : c + 1]) for c in range(3)]
    assert ms_ssim(first, second) == pytest.approx(np.mean(each, 0))
    assert ms_ssim(first, first) == pytest.approx(np.ones(3))
    assert ms_ssim(first, 255 - first) == pytest.approx(np.zeros(3))


def test_a_collapse_is_near_one_and_no_picture_is_compared_with_itself() -> None:
    same = np.clip(pictures(1, 16).astype(int) + np.random.default_rng(1).integers(-3, 4, (40, 16, 16, 1)), 0, 255)
    real = pictures(40, 16, seed=2)
    assert MSSSIM().compute(of_pictures(real, same.astype(np.uint8)))["ms_ssim"] > 0.95
    apart = MSSSIM(pairs=500).compute(of_pictures(real, pictures(2, 16, seed=3)))["ms_ssim"]
    one = ms_ssim(pictures(2, 16, seed=3)[:1], pictures(2, 16, seed=3)[1:])[0]
    assert apart == pytest.approx(one)
