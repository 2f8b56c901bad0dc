"""Convolutions from a single pixel and to a single one, which are nothing but matrix products, computed as such.

Convolution kernels go through all weights for each picture, or pad, transpose and copy the small maps; a product goes
through the weights once for the whole batch. Same sums, in another order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganlab import RecipeError


class WholeConv2d(nn.Conv2d):
    """`nn.Conv2d` with a kernel as large as its pictures."""

    def forward(self, images: Tensor) -> Tensor:
        """Return `(N, out_channels, 1, 1)` of `(N, in_channels, *kernel_size)`."""
        pixels, weight = images, self.weight
        if images.is_contiguous(memory_format=torch.channels_last):  # as they lie, so that nothing is copied
            pixels, weight = pixels.permute(0, 2, 3, 1), weight.permute(0, 2, 3, 1)
        return functional.linear(pixels.flatten(1), weight.flatten(1), self.bias)[:, :, None, None]


class PixelConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` without a bias, of a single pixel. In eval mode it is that: so it is folded and exported."""

    def forward(self, images: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return `(N, out_channels, *kernel_size)` of `(N, in_channels, 1, 1)`."""
        if not self.training:
            return super().forward(images, output_size)
        product = images.flatten(1) @ self.weight.permute(0, 2, 3, 1).flatten(1)
        return product.view(len(product), *self.kernel_size, -1).permute(0, 3, 1, 2)


class PixelBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` of single pixels: of a batch of one picture there is nothing to take a mean over."""

    def forward(self, features: Tensor) -> Tensor:
        """Return `(N, C, 1, 1)` normalised. Raise `RecipeError` for a single picture in training."""
        if self.training and len(features) == 1:
            raise RecipeError(
                [
                    "model.head_channels: BatchNorm after the hidden layer takes its mean over the pictures of a "
                    "batch, and this batch has one; take two or more on each device with train.batch_size, or "
                    "discriminator_batchnorm = false"
                ]
            )
        return super().forward(features)
