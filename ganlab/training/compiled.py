"""Networks whose kernels torch.compile builds for the GPU at hand: fewer of them, which read and write less memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

VARIANTS = 64
"""Ways to call the networks for which kernels are built, all networks together: with a graph and without, two batches
in one pass, other phases. Torch's own limit of 8 is for code that was not meant to have so many."""


class Compiled:
    """Networks that are called compiled once that has begun, until it is undone. Copies of them are not compiled."""

    def __init__(self, networks: Iterable[nn.Module], backend: str = "inductor") -> None:
        """`backend` is what torch.compile calls the compiler."""
        self._networks, self._backend = list(networks), backend

    @contextmanager
    def building(self) -> Iterator[None]:
        """Enter around the iterations in which networks are called in new ways: their kernels are built there."""
        with warnings.catch_warnings():
            # What torch's compiler warns of, no user of ours can change.
            warnings.simplefilter("ignore")
            for network in self._networks:
                if network._compiled_call_impl is None:
                    network._compiled_call_impl = torch.compile(_call(network), dynamic=False, backend=self._backend)
            config: Any = torch._dynamo.config
            with config.patch(recompile_limit=VARIANTS):
                yield

    def undo(self) -> None:
        """Call the networks as they are."""
        for network in self._networks:
            network._compiled_call_impl = None


@contextmanager
def uncompiled() -> Iterator[None]:
    """Call compiled networks as they are for a while: watched by a dispatch mode, torch would give them up for good."""
    with torch.compiler.set_stance("force_eager"):
        yield


def _call(network: nn.Module) -> Callable[..., Any]:
    """Return a function of ours that calls the network.

    `network.compile()` would have torch look at the code of its own containers, which some versions pass over: each
    layer of an `nn.Sequential` is then compiled by itself.
    """

    def call(*inputs: Any, **options: Any) -> Any:
        return network._call_impl(*inputs, **options)  # type: ignore[no-untyped-call]  # so in torch

    return call
