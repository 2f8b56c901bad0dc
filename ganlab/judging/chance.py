"""What chance alone does to the mean of a few differences: Student's t distribution, of whole degrees of freedom."""

from __future__ import annotations

import math
from functools import cache

LEVEL = 0.05
"""How often chance alone makes a difference between equals that is taken for one."""
MANY = 1000
"""Degrees of freedom beyond which t does not change in its third digit."""


@cache
def factor(count: int) -> float:
    """Return how many standard deviations of `count` differences their mean lies off 0 by chance once in 20 times.

    It is t / sqrt(count), t being the quantile of Student's distribution with `count` - 1 degrees of freedom. It is
    infinite for a single one.
    """
    if count < 2:
        return math.inf
    degrees = min(count - 1, MANY)
    low, high = 0.0, 1.0
    while within(high, degrees) < 1 - LEVEL:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, degrees) < 1 - LEVEL else (low, middle)
    return high / math.sqrt(count)


def within(t: float, degrees: int) -> float:
    """Return the probability that Student's t lies within -t and t (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for index in range(2 + odd, degrees + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (index - 1) / index
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
