"""Latents: z as training draws it, and for sampling, where a seed is the same picture from any artefact and device."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ganlab.interfaces import Distribution, Model

if TYPE_CHECKING:
    import torch

SEEDS = 2**32
"""Seeds are 0 to this minus one: what numpy's `RandomState` takes."""


class Latent(NamedTuple):
    """The latent vectors of a model."""

    dim: int
    distribution: Distribution

    @classmethod
    def of(cls, model: Model) -> Latent:
        """Return those that a model's generator takes."""
        return cls(model.latent_dim, model.latent)

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Draw `(count, dim)` float32 on the generator's device, as training does."""
        import torch

        z = torch.empty(count, self.dim, device=generator.device)
        if self.distribution == "normal":
            return z.normal_(generator=generator)
        return z.uniform_(-1.0, 1.0, generator=generator)

    def of_seeds(self, seeds: Iterable[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Draw one latent a seed; return `(N, dim)` float32.

        `RandomState` is the one generator whose stream numpy promises never to change. Raises `ValueError` for a seed
        that is not a whole number from 0 to 2**32 - 1.
        """
        numbers = [checked_seed(seed) for seed in seeds]
        stream, drawn = _streams.stream, np.empty((len(numbers), self.dim), np.float32)
        for row, number in zip(drawn, numbers, strict=True):
            stream.seed(number)  # the stream of RandomState(number), which costs 30 times as much to make
            if self.distribution == "normal":
                row[:] = stream.standard_normal(self.dim)
            else:
                row[:] = stream.uniform(-1.0, 1.0, self.dim)
        return drawn


def checked_seed(seed: object) -> int:
    """Return `seed` as an int. Raise `ValueError` where it is not a whole number from 0 to 2**32 - 1."""
    try:
        number = operator.index(seed)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        number = -1
    if isinstance(seed, bool) or not 0 <= number < SEEDS:
        raise ValueError(f"{str(seed)[:40]!r} is not a seed: seeds are whole numbers from 0 to {SEEDS - 1}")
    return number


class _Streams(threading.local):
    """One stream a thread, made once: it costs as much as the latents of 20 pictures."""

    def __init__(self) -> None:
        self.stream = np.random.RandomState(0)


_streams = _Streams()
