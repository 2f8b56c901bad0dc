"""The two networks as flat sequences, convolution next to its BatchNorm so that an exporter can fold the two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from ganlab_dcgan.products import PixelBatchNorm2d, PixelConvTranspose2d, WholeConv2d

if TYPE_CHECKING:
    from ganlab import ImageSpec
    from ganlab_dcgan import DCGAN
    from ganlab_dcgan.sizes import Stages


def generator(options: DCGAN, images: ImageSpec, stages: Stages) -> nn.Sequential:
    """Return the network from z `(N, latent_dim)` to pictures `(N, C, H, W)` in [-1, 1]."""
    channels = options.base_channels << (stages.doublings - 1)
    layers = _projection(options, channels, stages.start)
    for _ in range(stages.doublings - 1):
        layers += [
            nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels // 2),
            nn.ReLU(inplace=True),
            *_dropout(options.generator_dropout),
        ]
        channels //= 2
    # No BatchNorm at the output (paper, section 3): it would fix the mean and variance of every batch of pictures.
    layers += [nn.ConvTranspose2d(channels, images.channels, 4, stride=2, padding=1, bias=False), nn.Tanh()]
    return _initialised(layers)


def discriminator(options: DCGAN, images: ImageSpec, stages: Stages) -> nn.Sequential:
    """Return the network from pictures `(N, C, H, W)` to logits `(N,)`."""
    channels = options.discriminator_channels or options.base_channels
    # No BatchNorm at the input (paper, section 3): it would hide the mean and variance of the pictures.
    layers: list[nn.Module] = [
        nn.Conv2d(images.channels, channels, 4, stride=2, padding=1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        *_dropout(options.discriminator_dropout),
    ]
    for _ in range(stages.doublings - 1):
        layers += [
            nn.Conv2d(channels, channels * 2, 4, stride=2, padding=1, bias=not options.discriminator_batchnorm),
            *([nn.BatchNorm2d(channels * 2)] if options.discriminator_batchnorm else []),
            nn.LeakyReLU(0.2, inplace=True),
            *_dropout(options.discriminator_dropout),
        ]
        channels *= 2
    return _initialised([*layers, *_head(options, channels, stages.start), nn.Flatten(0)])


def _head(options: DCGAN, channels: int, size: tuple[int, int]) -> list[nn.Module]:
    """Return the layers from the discriminator's last feature map `(N, channels, *size)` to a logit."""
    layers: list[nn.Module] = []
    if options.head_channels:
        hidden, batchnorm = options.head_channels, options.discriminator_batchnorm
        layers = [
            WholeConv2d(channels, hidden, size, bias=not batchnorm),
            *([PixelBatchNorm2d(hidden)] if batchnorm else []),
            nn.LeakyReLU(0.2, inplace=True),
            *_dropout(options.discriminator_dropout),
        ]
        channels, size = options.head_channels, (1, 1)
    if options.head == "conv":
        return [*layers, WholeConv2d(channels, 1, size, bias=False)]
    return [*layers, nn.Flatten(), nn.Linear(channels * size[0] * size[1], 1)]


def _projection(options: DCGAN, channels: int, start: tuple[int, int]) -> list[nn.Module]:
    """Return the layers from z to the first feature map `(N, channels, *start)`."""
    height, width = start
    layers: list[nn.Module]
    if options.projection == "conv":
        layers = [
            nn.Unflatten(1, (options.latent_dim, 1, 1)),
            PixelConvTranspose2d(options.latent_dim, channels, start, bias=False),
        ]
    else:
        # BatchNorm subtracts a bias again, so only a projection without it has one.
        layers = [
            nn.Linear(options.latent_dim, channels * height * width, bias=not options.projection_batchnorm),
            nn.Unflatten(1, (channels, height, width)),
        ]
    if options.projection_batchnorm:
        layers += [nn.BatchNorm2d(channels)]
    if options.projection_relu:
        layers += [nn.ReLU(inplace=True), *_dropout(options.generator_dropout)]
    return layers


def _dropout(probability: float) -> list[nn.Module]:
    # Not in place: ReLU needs its output for its gradient.
    return [nn.Dropout(probability)] if probability else []


def _initialised(layers: list[nn.Module]) -> nn.Sequential:
    """Draw the weights as the PyTorch DCGAN tutorial does: N(0, 0.02), BatchNorm scales N(1, 0.02), shifts 0.

    The paper (section 4) gives N(0, 0.02) for all weights and says nothing of scales and biases.
    """
    for layer in layers:
        match layer:
            case nn.Conv2d() | nn.ConvTranspose2d() | nn.Linear():
                nn.init.normal_(layer.weight, 0.0, 0.02)
            case nn.BatchNorm2d():
                nn.init.normal_(layer.weight, 1.0, 0.02)
            case _:
                continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)
