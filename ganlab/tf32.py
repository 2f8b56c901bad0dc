"""TF32: CUDA's faster products of float32 numbers, which drop 13 of their 23 bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow TF32 in this process's convolutions and matrix products, or keep it out, and put it back afterwards."""
    # Not through `fp32_precision`: it sets convolutions and not recurrent layers, and torch.export refuses the mixture.
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = allowed
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
