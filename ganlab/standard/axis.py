"""An axis of a chart: what it spans, and ticks at round numbers with short labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    Values = np.ndarray[Any, np.dtype[np.float64]]


class Axis(NamedTuple):
    """The values that an axis spans, and where its ticks stand."""

    low: float
    high: float
    ticks: list[float]
    labels: list[str]

    def place(self, values: Values, length: float) -> Values:
        """Return how far along an axis of `length` the values lie."""
        return (values - self.low) / (self.high - self.low) * length

    def places(self, length: float) -> Iterator[tuple[float, str]]:
        """Yield how far along an axis of `length` each label stands."""
        for tick, label in zip(self.ticks, self.labels, strict=True):
            yield (tick - self.low) / (self.high - self.low) * length, label


def span(low: float, high: float) -> Axis:
    """Return the axis from `low` up to `high`, with about five ticks 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / 5
    power = 10.0 ** _exponent(rough)
    step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = [index * step for index in range(first, last + 1)]
    return Axis(low, high, ticks, _labels(ticks, step))


def _labels(ticks: Sequence[float], step: float) -> list[str]:
    """Write ticks in one unit, with as many digits as their step needs."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    if largest >= 1e15 or step < 1e-5:
        return [_scientific(tick, _exponent(tick) - _exponent(step)) if tick else "0" for tick in ticks]
    units = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
    unit, suffix = next((unit for unit in units if largest >= unit[0]), units[-1])
    decimals = max(0, -_exponent(step / unit))
    return [f"{tick / unit:.{decimals}f}{suffix}" if tick else "0" for tick in ticks]


def _exponent(value: float) -> int:
    """Return the power of ten below `value`'s size; 9.9999999 counts as 10."""
    return math.floor(math.log10(abs(value)) + 1e-9)


def _scientific(value: float, decimals: int) -> str:
    mantissa, exponent = f"{value:.{max(0, decimals)}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
