"""The peak, by operators that take exactly as long as the test wants."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ganlab.bench.peak import Peak, measure_peak


class Timed(TorchDispatchMode):
    """Lets each call of two operators take its time, and does not compute them."""

    def __init__(self, seconds: dict[str, list[float]]) -> None:
        super().__init__()
        self.seconds, self.now = seconds, 0.0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch that its compiler need not be imported."""
        return False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.name().removeprefix("aten::").partition(".")[0]
        if name not in self.seconds:
            return function(*args, **(kwargs or {}))
        seconds = self.seconds[name]
        self.now += seconds.pop(0) if len(seconds) > 1 else seconds[0]
        return torch.empty(0)


MATMUL = 2 * 2048**3
CONVOLUTION = 2 * 16 * (512 * 16 * 16) * (256 * 4 * 4)
"""Two a multiplication: 16 pictures of 512 channels and 16 x 16 numbers, each a sum over 256 patches of 4 x 4."""


@pytest.mark.parametrize(
    ("matmul", "convolution", "peak"),
    [
        ([0.5, 0.25, 1.0], [2.0], Peak(MATMUL / 0.25, "matmul")),
        ([1.0], [4.0, 0.125, 2.0], Peak(CONVOLUTION / 0.125, "convolution")),
    ],
)
def test_it_is_the_fastest_call_of_the_faster_operator(
    monkeypatch: pytest.MonkeyPatch, matmul: list[float], convolution: list[float], peak: Peak
) -> None:
    with Timed({"mm": matmul, "convolution": convolution}) as timed:
        monkeypatch.setattr(time, "perf_counter", lambda: timed.now)
        assert measure_peak(torch.device("cpu"), "fp32", 4.0) == peak
