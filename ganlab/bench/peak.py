"""The fastest arithmetic of a device, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch

    from ganlab.hardware.device import Precision


class Peak(NamedTuple):
    """The fastest arithmetic that was measured."""

    flops: float
    """Per second; a multiplication and an addition are two."""
    of: Literal["matmul", "convolution"]


def measure_peak(device: torch.device, precision: Precision, seconds: float) -> Peak:
    """Return the faster of a large matrix product and a convolution like DCGAN's, each measured for `seconds`."""
    import torch
    from torch.nn import functional

    from ganlab.hardware.device import HALF

    kind = HALF.get(precision, torch.float32)
    side, pictures = (2048, 16) if device.type == "cpu" else (8192, 512)
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    x = torch.randn(pictures, 256, 32, 32, device=device, dtype=kind).to(memory_format=torch.channels_last)
    w = torch.randn(512, 256, 4, 4, device=device, dtype=kind).to(memory_format=torch.channels_last)
    with torch.no_grad():
        product = _fastest(lambda: torch.matmul(a, b), device, seconds)
        convolution = _fastest(lambda: functional.conv2d(x, w, stride=2, padding=1), device, seconds)
    return max(
        Peak(2.0 * side**3 / product, "matmul"),
        Peak(2.0 * pictures * 16 * 16 * 512 * 256 * 16 / convolution, "convolution"),
    )


def _fastest(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return the least seconds of one call, several at once where the device is far faster than a look at it."""
    from ganlab.hardware.device import synchronize

    calls = 1 if device.type == "cpu" else 10
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 2 or time.perf_counter() - begun < seconds:
        synchronize(device)
        start = time.perf_counter()
        for _ in range(calls):
            work()
        synchronize(device)
        times.append((time.perf_counter() - start) / calls)
    return min(times)
