"""What a loss reports, summed on the device and read by the host only when it asks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ganlab.distributed.ranks import Ranks
from ganlab.hardware.device import exact_dtype
from ganlab.interfaces import Update


class Scalar(NamedTuple):
    """What a reported number is: the loss or the gradient's norm of networks, or another statistic by its name."""

    what: str
    name: str


Layout = tuple[Scalar, ...]
"""The scalars of an iteration, in the order in which they are reported."""
WATCHED = ("loss", "gradient")
"""What must stay finite."""


class NonFinite(NamedTuple):
    """What was the first to be NaN or infinite."""

    what: str
    network: str
    iteration: int


class _Sums:
    """The sums of one layout, where iterations with that layout add theirs."""

    def __init__(self, size: int, device: torch.device) -> None:
        # Not in float32, in which a sum may be infinite though its terms are not.
        self.values = torch.zeros(size + 1, dtype=exact_dtype(device), device=device)
        """The sums, and behind them how many iterations were added: a sum of ones."""
        self.last_finite = torch.zeros_like(self.values[:-1])
        """That number when each sum was last finite."""
        self.iterations: list[int] = []
        """The iterations that have been added since the last reading, which the host knows by itself."""


class Report(NamedTuple):
    """The sums since the one before: a tensor for the device to send, and what the host knows of it."""

    values: Tensor
    """Of one dimension: for each layout its sums, their number, and the number at which each was last finite."""
    layouts: tuple[tuple[Layout, tuple[int, ...]], ...]
    """Each layout with the iterations that were added."""

    def means(self, values: list[float]) -> dict[str, float]:
        """Return the means of what is logged, from the numbers that `values` has become on the host."""
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        losses = {f"loss_{scalar.name}" for layout, _ in self.layouts for scalar in layout if scalar.what == "loss"}
        for layout, iterations, sums, _ in self._parts(values):
            for scalar, total in zip(layout, sums, strict=True):
                if scalar.what != "gradient" and iterations:
                    name = f"loss_{scalar.name}" if scalar.what == "loss" else scalar.name
                    if scalar.what == "statistic" and name in losses:
                        name = f"stat_{name}"
                    totals[name] = totals.get(name, 0.0) + total
                    counts[name] = counts.get(name, 0) + len(iterations)
        return {name: total / counts[name] for name, total in totals.items()}

    def non_finite(self, values: list[float], ranks: Ranks) -> NonFinite | None:
        """Return what was the first to be NaN or infinite on any rank, if anything was."""
        watched: list[Scalar] = []
        firsts: list[int | None] = []
        for layout, iterations, _, last_finite in self._parts(values):
            for scalar, last in zip(layout, last_finite, strict=True):
                if scalar.what in WATCHED:
                    watched.append(scalar)
                    firsts.append(iterations[int(last)] if last < len(iterations) else None)
        # All ranks watch the same things in the same order, so a place in it and an iteration make one number.
        count = len(watched)
        mine = [first * count + place for place, first in enumerate(firsts) if first is not None]
        smallest = ranks.smallest(min(mine, default=math.inf))
        if math.isinf(smallest):
            return None
        iteration, place = divmod(int(smallest), count)
        return NonFinite(watched[place].what, watched[place].name, iteration)

    def _parts(self, values: list[float]) -> list[tuple[Layout, tuple[int, ...], list[float], list[float]]]:
        parts, start = [], 0
        for layout, iterations in self.layouts:
            middle, end = start + len(layout), start + 2 * len(layout) + 1
            parts.append((layout, iterations, values[start:middle], values[middle + 1 : end]))
            start = end
        return parts


class Statistics:
    """Sums of the reported scalars since they were last read, and when each was last finite.

    Everything stays on the device, in memory that stays where it is, so that a captured iteration adds to it too:
    `add` and `close` are the device's part, `begin` and `count` the host's.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._one = torch.ones((), device=device)
        self._open: list[tuple[Scalar, Tensor]] = []
        self._sums: dict[Layout, _Sums] = {}

    def begin(self) -> None:
        """Forget what an iteration that has not come to its end has reported."""
        self._open = []

    def add(self, update: Update, gradient_norm: Tensor) -> None:
        """Report the loss, its gradient's norm and the stats of one update."""
        name = "_".join(networks_of(update))
        self._open += [(Scalar("loss", name), update.loss), (Scalar("gradient", name), gradient_norm)]
        self._open += [(Scalar("statistic", name), value) for name, value in update.stats.items()]

    @torch.no_grad()
    def close(self) -> Layout:
        """Add what one iteration has reported to the sums, and return which scalars that were."""
        layout = tuple(scalar for scalar, _ in self._open)
        values = [value.detach().reshape(()).to(self._device, torch.float32) for _, value in self._open]
        self._open = []
        if not layout:
            return layout
        if layout not in self._sums:
            self._sums[layout] = _Sums(len(layout), self._device)
        sums = self._sums[layout]
        sums.values.add_(torch.stack([*values, self._one]))
        # What is once not finite stays so in a sum. Times 0 it is NaN, which fmax passes over.
        torch.fmax(sums.last_finite, sums.values[-1] + 0.0 * sums.values[:-1], out=sums.last_finite)
        return layout

    def count(self, layout: Layout, iteration: int) -> None:
        """Note that the device adds the scalars of this iteration."""
        if layout:
            self._sums[layout].iterations.append(iteration)

    def report(self) -> Report:
        """Return the sums, and begin new ones."""
        parts, layouts = [torch.zeros(0, dtype=exact_dtype(self._device), device=self._device)], []
        for layout, sums in self._sums.items():
            parts += [sums.values, sums.last_finite]
            layouts.append((layout, tuple(sums.iterations)))
        report = Report(torch.cat(parts), tuple(layouts))
        for sums in self._sums.values():
            sums.values.zero_()
            sums.last_finite.zero_()
            sums.iterations.clear()
        return report

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield what iterations change, with unique names."""
        for index, sums in enumerate(self._sums.values()):
            yield f"sums/{index}", sums.values
            yield f"last finite/{index}", sums.last_finite


class Reading:
    """The values that a tensor has at this moment of the device's work."""

    def __init__(self, values: Tensor) -> None:
        """Ask for `values`, of one dimension."""
        self._arrived: torch.cuda.Event | None = None
        if values.is_cuda:
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]  # so in torch
            self._arrived.record()
        else:
            self._host = values.cpu()

    def arrived(self) -> bool:
        """Tell whether the numbers are here, without waiting for them."""
        return self._arrived is None or bool(self._arrived.query())  # type: ignore[no-untyped-call]  # so in torch

    def numbers(self) -> list[float]:
        """Wait for the numbers and return them."""
        if self._arrived is not None:
            self._arrived.synchronize()
        numbers: list[float] = self._host.tolist()
        return numbers


def networks_of(update: Update) -> tuple[str, ...]:
    """Return the names of the networks that an update moves."""
    return (update.networks,) if isinstance(update.networks, str) else update.networks
