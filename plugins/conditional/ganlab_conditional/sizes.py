"""Which resolutions can be built: those of the reference DCGAN."""

from __future__ import annotations

from typing import NamedTuple

STARTS = range(2, 9)
FEWEST_DOUBLINGS = 2


class Stages(NamedTuple):
    """The way from the first feature map to the picture."""

    start: tuple[int, int]
    """Height and width of the first feature map."""
    doublings: int


def stages(height: int, width: int) -> Stages:
    """Return the stages with the smallest start that has 4 or more on its longer side, else 2; raise `ValueError`."""
    ways = [
        Stages((height >> n, width >> n), n)
        for n in range(FEWEST_DOUBLINGS, max(height, width).bit_length())
        if all(side % 2**n == 0 and side >> n in STARTS for side in (height, width))
    ]
    if not ways:
        raise ValueError(
            f"pictures of {height}x{width} cannot be built: each side must be {STARTS[0]} to {STARTS[-1]} times the "
            f"same power of two, {2**FEWEST_DOUBLINGS} or more; the nearest resolution is {_nearest(height, width)}"
        )
    # 4 as in the paper; on a smaller map a 4x4 kernel sees mostly padding.
    roomy = [way for way in ways if max(way.start) >= 4]
    return (roomy or ways)[-1]


def _nearest(height: int, width: int) -> str:
    """Return the legal resolution nearest to a wish as a recipe has it."""
    legal = (
        (a << n, b << n)
        for n in range(FEWEST_DOUBLINGS, max(height, width, 2**FEWEST_DOUBLINGS).bit_length() + 1)
        for a in STARTS
        for b in STARTS
    )
    nearest = min(legal, key=lambda size: (abs(size[0] - height) + abs(size[1] - width), size))
    return str(nearest[0]) if nearest[0] == nearest[1] else str(list(nearest))
