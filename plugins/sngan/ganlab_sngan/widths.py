"""How wide the networks are at each resolution, and which resolutions there are."""

from __future__ import annotations

from typing import NamedTuple

START = 4
"""Height and width of the generator's first feature map."""
SMALLEST = 32
"""The resolution of CIFAR-10, for which the paper has networks of their own."""
WIDEST = 16
"""No layer has more than this many times the channels next to the picture."""


class Step(NamedTuple):
    """A block of the discriminator."""

    channels: int
    halves: bool
    """Whether the block halves the resolution."""


class Widths(NamedTuple):
    """The channels of both networks."""

    generator: tuple[int, ...]
    """Channels of the first feature map, then after each block; a block doubles the resolution."""
    discriminator: tuple[Step, ...]


def plan(height: int, width: int, base: int) -> Widths:
    """Return the widths for pictures of this size; raise `ValueError` naming the nearest sizes if there are none."""
    if height != width or height not in _sides(height):
        raise ValueError(
            f"pictures of {height}x{width} cannot be built: they must be square, with a side of 32, 64, 128 or another "
            f"power of two above; {_nearest(height, width)}"
        )
    if height == SMALLEST:  # tables 4: CIFAR-10
        return Widths((4 * base,) * 4, tuple(Step(2 * base, halves) for halves in (True, True, False, False)))
    doublings = (height // START).bit_length() - 1
    generator = tuple(base * min(WIDEST, 2**left) for left in range(doublings, -1, -1))
    channels = [base * min(WIDEST, 2**index) for index in range(doublings + 1)]
    # The last block keeps the resolution where it keeps the channels: from 128 pixels on, at 4x4.
    last = Step(channels[-1], halves=channels[-1] > channels[-2])
    return Widths(generator, (*(Step(count, True) for count in channels[:-1]), last))


def _sides(limit: int) -> list[int]:
    """Return the sides that can be built, up to the first one above `limit`."""
    sides = [SMALLEST]
    while sides[-1] <= limit:
        sides.append(sides[-1] * 2)
    return sides


def _nearest(height: int, width: int) -> str:
    sides = _sides(max(height, width))
    if len(sides) == 1:
        return f"the nearest resolution is {sides[0]}"
    first, second = sorted(sides, key=lambda side: (abs(side - height) + abs(side - width), side))[:2]
    return f"the nearest resolutions are {first} and {second}"
