"""TF32: CUDA's faster products of float32 numbers, which drop 13 of their 23 bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow TF32 in this process's convolutions and matrix products, or keep it out, and put it back afterwards."""
    convolution: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # torch's annotations leave it out
    settings = [convolution, torch.backends.cuda.matmul]
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "tf32" if allowed else "ieee"
        yield
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = precision
