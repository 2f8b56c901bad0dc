"""Networks whose kernels torch.compile builds for the GPU at hand: fewer of them, which read and write less memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Compiled:
    """Networks that are called compiled from now on, until that is undone. Copies of them are not compiled."""

    def __init__(self, networks: Iterable[nn.Module], backend: str = "inductor") -> None:
        """Nothing is built before the first call. `backend` is what torch.compile calls the compiler."""
        self._networks = list(networks)
        for network in self._networks:
            network.compile(dynamic=False, backend=backend)

    def undo(self) -> None:
        """Call the networks as they are."""
        for network in self._networks:
            network._compiled_call_impl = None


@contextmanager
def building() -> Iterator[None]:
    """Keep to itself what torch's compiler warns of within torch, which no user of ours can change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch\.")
        yield


@contextmanager
def uncompiled() -> Iterator[None]:
    """Call compiled networks as they are for a while: watched by a dispatch mode, torch would give them up for good."""
    with torch.compiler.set_stance("force_eager"):
        yield
