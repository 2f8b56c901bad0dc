"""What a loss reports, averaged on the device and read by the host only when it asks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ganlab.interfaces import Update
from ganlab.training.ranks import Ranks


class NonFinite(NamedTuple):
    """What was the first to be NaN or infinite."""

    what: str
    network: str
    iteration: int


class Statistics:
    """Sums of the logged scalars since they were last read, and the iteration at which each thing first broke.

    Everything stays on the device: `add` never waits for it, `read` and `non_finite` wait once.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._broken: dict[tuple[str, str], Tensor] = {}
        """By thing and network: the index of the first iteration with a non-finite value, or -1."""

    @torch.no_grad()
    def add(self, update: Update, gradient_norm: Tensor, iteration: int) -> None:
        """Add the loss, its gradient's norm and the stats of one update of the iteration with this index."""
        self._add({loss_name(update): update.loss, **update.stats})
        network = "_".join(networks_of(update))
        self._watch("loss", network, update.loss.detach(), iteration)
        self._watch("gradient", network, gradient_norm, iteration)

    def _watch(self, what: str, network: str, value: Tensor, iteration: int) -> None:
        first = self._broken.setdefault((what, network), torch.full((), -1, dtype=torch.int64, device=self._device))
        first.copy_(torch.where(torch.isfinite(value) | (first >= 0), first, iteration))

    def read(self) -> dict[str, float]:
        """Return the means since the last call."""
        if not self._sums:
            return {}
        totals = torch.stack(list(self._sums.values())).tolist()
        means = {name: total / self._counts[name] for name, total in zip(self._sums, totals, strict=True)}
        self._sums.clear()
        self._counts.clear()
        return means

    def non_finite(self, ranks: Ranks) -> NonFinite | None:
        """Return what was the first to be NaN or infinite on any rank, if anything was."""
        if not self._broken:
            return None
        firsts = torch.stack(list(self._broken.values())).tolist()
        # All ranks watch the same things in the same order, so a place in it and an iteration make one number.
        count = len(firsts)
        mine = [first * count + place for place, first in enumerate(firsts) if first >= 0]
        smallest = ranks.smallest(min(mine, default=math.inf))
        if math.isinf(smallest):
            return None
        first, place = divmod(int(smallest), count)
        return NonFinite(*list(self._broken)[place], first)

    def _add(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            scalar = value.detach().to(torch.float32)
            self._sums[name] = self._sums[name] + scalar if name in self._sums else scalar
            self._counts[name] = self._counts.get(name, 0) + 1


def loss_name(update: Update) -> str:
    """Return the name that an update's loss is logged under."""
    return "loss_" + "_".join(networks_of(update))


def networks_of(update: Update) -> tuple[str, ...]:
    """Return the names of the networks that an update moves."""
    return (update.networks,) if isinstance(update.networks, str) else update.networks
