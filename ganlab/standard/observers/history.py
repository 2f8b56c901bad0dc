"""What a statistic has been, in a few characters: a sparkline."""

from __future__ import annotations

import math

LEVELS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
"""Blocks from an eighth of a line to a whole one."""


class History:
    """The values of one statistic, in means of as many values each: of the later half of the run at least."""

    def __init__(self, length: int) -> None:
        """`length` is how many means a line shows at most."""
        self._length, self._each = length, 1
        self._means: list[float] = []
        self._open: list[float] = []

    def add(self, value: float) -> None:
        """Take in the next value; what is not finite has no place in a line."""
        if not math.isfinite(value):
            return
        self._open.append(value)
        if len(self._open) == self._each:
            self._means.append(sum(part / self._each for part in self._open))
            self._open.clear()
        if len(self._means) == 2 * self._length:
            pairs = zip(self._means[::2], self._means[1::2], strict=True)
            self._means = [one / 2 + other / 2 for one, other in pairs]
            self._each *= 2

    def sparkline(self) -> str:
        """Return a block for each mean, as high as it stands between the least and the greatest; nothing where all
        are the same.
        """
        means = self._means[-self._length :]
        least, greatest = min(means, default=0.0), max(means, default=0.0)
        if not 0 < greatest - least < math.inf:
            return ""
        return "".join(LEVELS[round((mean - least) / (greatest - least) * (len(LEVELS) - 1))] for mean in means)
