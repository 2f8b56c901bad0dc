"""Which resolutions can be built: a start of 2 to 8 on each side, doubled equally often, at least twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

STARTS = range(2, 9)
FEWEST_DOUBLINGS = 2


class Stages(NamedTuple):
    """A way to reach a resolution."""

    start: tuple[int, int]
    """Height and width of the first feature map."""
    doublings: int


def plan(height: int, width: int, start: int | tuple[int, int] | None) -> Stages:
    """Return the stages from `start`, or from the default start; raise `ValueError` with a remedy if there are none."""
    ways = _ways(height, width)
    if not ways:
        raise ValueError(
            f"pictures of {height}x{width} cannot be built: each side must be {STARTS[0]} to {STARTS[-1]} times the "
            f"same power of two, {2**FEWEST_DOUBLINGS} or more; the nearest resolutions are {_nearest(height, width)}"
        )
    if start is None:
        # 4 as in the paper; on a smaller map a 4x4 kernel sees mostly padding.
        roomy = [way for way in ways if max(way.start) >= 4]
        return (roomy or ways)[-1]
    wanted = (start, start) if isinstance(start, int) else start
    for way in ways:
        if way.start == wanted:
            return way
    fitting = _listed([_as_option(way.start) for way in reversed(ways)], "or")
    raise ValueError(
        f"start = {_as_option(wanted)} does not fit pictures of {height}x{width}; use {fitting}, or leave it out"
    )


def _ways(height: int, width: int) -> list[Stages]:
    """Return every way to reach the resolution, fewest doublings first; none where it is not legal."""
    return [
        Stages((height >> doublings, width >> doublings), doublings)
        for doublings in _doublings(height, width)
        if all(side % 2**doublings == 0 and side >> doublings in STARTS for side in (height, width))
    ]


def _nearest(height: int, width: int, count: int = 3) -> str:
    """Return the legal resolutions nearest to a wish, nearest first; squares only where the wish is one."""
    legal = {
        (a << doublings, b << doublings)
        for doublings in _doublings(height, width)
        for a in STARTS
        for b in ([a] if height == width else STARTS)
    }
    nearest = sorted(legal, key=lambda size: (abs(size[0] - height) + abs(size[1] - width), size))
    return _listed([_as_option(size) for size in nearest[:count]], "and")


def _doublings(height: int, width: int) -> Iterator[int]:
    """Yield all numbers of doublings that reach the resolution, or one a little above it."""
    yield from range(FEWEST_DOUBLINGS, max(height.bit_length(), width.bit_length(), FEWEST_DOUBLINGS) + 1)


def _as_option(size: tuple[int, int]) -> str:
    """Write a size as a recipe does."""
    return str(size[0]) if size[0] == size[1] else str(list(size))


def _listed(words: Sequence[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
