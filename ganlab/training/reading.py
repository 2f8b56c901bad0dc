"""Numbers on their way from the device to the host, which goes on with its work until they arrive."""

from __future__ import annotations

import torch
from torch import Tensor


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
