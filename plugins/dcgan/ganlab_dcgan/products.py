"""Convolutions that are computed as matrix products where that is faster. Same sums, in another order.

From a single pixel, and to a single one, a convolution is nothing but a product, and a GPU's convolution kernels spend
more on rearranging such maps than on the product. In training on the CPU it is also faster around a 4x4 map: there,
convolution kernels go through all weights for each picture's few pixels, and these weights, some megabytes, do not fit
into a core's cache. A matrix product goes through them once for the whole batch: on 2 cores an iteration of DCGAN at
64 px takes an eighth less.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNEL, STRIDE, PADDING = 4, 2, 1
FEW_PIXELS = 16
"""Positions of the kernel on a picture, at most."""
MANY_WEIGHTS = 2**18
"""Weights, at least: a megabyte."""


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` with a kernel of 4x4, a stride of 2 and a padding of 1."""

    def forward(self, images: Tensor) -> Tensor:
        """Return `(N, out_channels, H / 2, W / 2)` of `(N, in_channels, H, W)`."""
        count, _, height, width = images.shape
        if not _worthwhile(self, images, height * width // STRIDE**2):
            return super().forward(images)
        columns: Tensor = _Columns.apply(images)
        product = functional.linear(columns, self.weight.permute(0, 2, 3, 1).flatten(1), self.bias)
        return product.view(count, height // STRIDE, width // STRIDE, -1).permute(0, 3, 1, 2)


class WholeConv2d(nn.Conv2d):
    """`nn.Conv2d` with a kernel as large as its pictures."""

    def forward(self, images: Tensor) -> Tensor:
        """Return `(N, out_channels, 1, 1)` of `(N, in_channels, *kernel_size)`."""
        pixels, weight = images, self.weight
        if images.is_contiguous(memory_format=torch.channels_last):  # as they lie, so that nothing is copied
            pixels, weight = pixels.permute(0, 2, 3, 1), weight.permute(0, 2, 3, 1)
        return functional.linear(pixels.flatten(1), weight.flatten(1), self.bias)[:, :, None, None]


class ConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` without a bias: of a single pixel, or with a 4x4 kernel, a stride of 2, a padding of 1."""

    def forward(self, images: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return `(N, out_channels, *kernel_size)` of a pixel, else `(N, out_channels, 2 H, 2 W)`."""
        count, _, height, width = images.shape
        of_a_pixel = height == width == 1 and self.stride == (1, 1)
        a_product = self.training and of_a_pixel and images.device.type != "cpu"
        if not (a_product or _worthwhile(self, images, height * width)):
            return super().forward(images, output_size)
        pixels = images.permute(0, 2, 3, 1).flatten(0, 2)
        columns = (pixels @ self.weight.permute(0, 2, 3, 1).flatten(1)).view(
            count, height, width, *self.kernel_size, -1
        )
        if of_a_pixel:
            return columns[:, 0, 0].permute(0, 3, 1, 2)
        summed: Tensor = _Sum.apply(columns)
        return summed


class _Columns(torch.autograd.Function):
    """From images `(N, C, H, W)` to what the kernel sees at each position, `(N H/2 W/2, 4 * 4 * C)`."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        count, channels, height, width = images.shape
        ctx.shape = (count, height // STRIDE, width // STRIDE, KERNEL, KERNEL, channels)
        padded = functional.pad(images, (PADDING,) * 4).permute(0, 2, 3, 1)
        windows = padded.unfold(1, KERNEL, STRIDE).unfold(2, KERNEL, STRIDE)
        return windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, KERNEL**2 * channels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        summed: Tensor = _Sum.apply(gradient.view(ctx.shape))
        return summed


class _Sum(torch.autograd.Function):
    """The transpose of `_Columns`: adds up what the windows `(N, H/2, W/2, 4, 4, C)` hold of each pixel."""

    @staticmethod
    def forward(ctx: Any, columns: Tensor) -> Tensor:
        count, height, width, _, _, channels = columns.shape
        ctx.shape = columns.shape
        rows, across = STRIDE * height, STRIDE * width
        padded = columns.new_zeros(count, rows + 2 * PADDING, across + 2 * PADDING, channels)
        for y in range(KERNEL):
            for x in range(KERNEL):
                padded[:, y : y + rows : STRIDE, x : x + across : STRIDE] += columns[:, :, :, y, x]
        inner = padded[:, PADDING:-PADDING, PADDING:-PADDING]
        return inner.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        columns: Tensor = _Columns.apply(gradient)
        return columns.view(ctx.shape)


def _worthwhile(layer: nn.Conv2d | nn.ConvTranspose2d, images: Tensor, positions: int) -> bool:
    return (
        layer.training
        and images.device.type == "cpu"
        and positions <= FEW_PIXELS
        and layer.weight.numel() >= MANY_WEIGHTS
        and not torch.is_autocast_enabled("cpu")
    )
