"""A count of what makes the host wait for the device, which no loss and no augmentation may."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class Synchronisations(TorchDispatchMode):
    """Counts the operations that make the host wait for the device, or that have shapes which depend on values."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += any(name in str(func) for name in ("_local_scalar_dense", "nonzero", "masked_select"))
        return func(*args, **(kwargs or {}))
