"""The schedules of a recipe's components: numbers that the host writes to where the device reads them."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

from ganlab.interfaces import Component, Options, Position, Schedule

C = TypeVar("C", bound=Component)


class Schedules:
    """What changes with the training, as scalar tensors that keep their place, so that captured iterations follow."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._tensors: dict[tuple[Schedule[Any], torch.dtype], Tensor] = {}
        self._written: dict[tuple[Schedule[Any], torch.dtype], float] = {}

    def live(self, component: C, dtype: torch.dtype = torch.float32) -> C:
        """Return the component with a scalar tensor in place of each schedule; `begin` gives them their values."""
        live: C = self._live(component, dtype)
        return live

    def begin(self, position: Position) -> None:
        """Tell the device where in the training the next iteration stands."""
        for place, tensor in self._tensors.items():
            if (value := place[0].at(position)) != self._written.get(place):
                tensor.fill_(value)
                self._written[place] = value

    def _live(self, value: Any, dtype: torch.dtype) -> Any:
        if isinstance(value, Schedule):
            place = (value, dtype)
            if place not in self._tensors:
                self._tensors[place] = torch.zeros((), dtype=dtype, device=self._device)
            return self._tensors[place]
        if isinstance(value, Options):
            fields = {name: (item, self._live(item, dtype)) for name, item in value}
            changed = {name: live for name, (item, live) in fields.items() if live is not item}
            return value.model_copy(update=changed) if changed else value
        if isinstance(value, tuple):
            live = tuple(self._live(item, dtype) for item in value)
            return live if any(one is not other for one, other in zip(live, value, strict=True)) else value
        return value
