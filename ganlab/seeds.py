"""Seeds for independent random streams: every draw of a run is a pure function of the recipe's seed and its place."""

from __future__ import annotations

from enum import IntEnum

_MASK = (1 << 64) - 1


class Stream(IntEnum):
    """What a stream of random numbers is for."""

    WEIGHTS = 1
    ORDER = 2
    FLIPS = 3
    LATENTS = 4
    LAYERS = 5
    """Whatever layers and losses draw from torch's default generator, such as dropout."""
    STATISTICS = 6
    """The latents that BatchNorm statistics are re-estimated from."""
    ROLLBACK = 7
    """The seed of everything drawn after a run was rolled back."""


def stream_seed(seed: int, stream: Stream, index: int = 0, rank: int = 0) -> int:
    """Return a 64-bit seed for the `index`-th use of a stream, unrelated to all others."""
    state = 0
    for value in (seed, int(stream), index, rank):
        state = _mix((state + value) & _MASK)
    return state


def _mix(value: int) -> int:
    """Scramble 64 bits one-to-one: one step of SplitMix64 (Steele, Lea, Flood 2014, figure 15)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
