"""Each convolution and each of its gradients as one launch, as by cuDNN; torch's own take some for every picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fake_cuda.device import launch

_LIBRARY = torch.library.Library("aten", "IMPL")


def install() -> None:
    """Let them take the place of torch's in this process."""
    _LIBRARY.impl("convolution", _convolution, "CUDA")
    _LIBRARY.impl("convolution_backward", _gradients, "CUDA")


def _convolution(input: Tensor, weight: Tensor, bias: Tensor | None, *options: object) -> Tensor:  # noqa: A002  # aten's names
    shapes = [None if tensor is None else tensor.to("meta") for tensor in (input, weight, bias)]
    shape = torch.ops.aten.convolution.default(*shapes, *options).shape
    return _launched("convolution", shape, input)


def _gradients(
    grad_output: Tensor,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias_sizes: Sequence[int] | None,
    *options: object,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    wanted = options[-1]
    assert isinstance(wanted, Sequence)
    return (
        _launched("gradient of the input", input.shape, input) if wanted[0] else None,
        _launched("gradient of the weight", weight.shape, weight) if wanted[1] else None,
        grad_output.sum((0, 2, 3)) if wanted[2] else None,
    )


def _launched(name: str, shape: Sequence[int], like: Tensor) -> Tensor:
    result = torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)
    launch(torch.cuda.current_stream(like.device).cuda_stream, "convolution", name)
    return result
