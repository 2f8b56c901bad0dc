"""The networks (section 3.5): a decoder that draws from a code, and an encoder in front of another such decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from ganlab import ImageSpec
    from ganlab_began import BEGAN

SIDE = 8
"""Of the smallest feature maps."""


class Bounded(nn.Module):
    """Keeps finished pictures in [-1, 1]. While it trains, the generator is as linear as the paper's at its end."""

    def forward(self, images: Tensor) -> Tensor:
        return images if self.training else images.clamp(-1.0, 1.0)


def networks(options: BEGAN, images: ImageSpec) -> dict[str, nn.Module]:
    """Return the generator, whose layers are those of the decoder, and the autoencoder."""
    levels = (images.height // SIDE).bit_length()
    generator = nn.Sequential(*_decoder(options, images, levels), Bounded())
    autoencoder = nn.Sequential(*_encoder(options, images, levels), *_decoder(options, images, levels))
    # The paper says nothing of first weights; torch's own are so small that a signal fades on its way through ELUs.
    for weight in (*generator.parameters(), *autoencoder.parameters()):
        initialise = nn.init.xavier_uniform_ if weight.ndim > 1 else nn.init.zeros_
        initialise(weight)
    return {"generator": generator, "autoencoder": autoencoder}


def _decoder(options: BEGAN, images: ImageSpec, levels: int) -> list[nn.Module]:
    """Return the layers from codes `(N, latent_dim)` to pictures `(N, C, H, W)`."""
    n = options.base_channels
    layers: list[nn.Module] = [nn.Linear(options.latent_dim, n * SIDE**2), nn.Unflatten(1, (n, SIDE, SIDE))]
    for _ in range(levels):
        layers += [*_convolutions(n, n, options.layers), nn.Upsample(scale_factor=2, mode="nearest")]
    return [*layers[:-1], nn.Conv2d(n, images.channels, 3, padding=1)]


def _encoder(options: BEGAN, images: ImageSpec, levels: int) -> list[nn.Module]:
    """Return the layers from pictures `(N, C, H, W)` to codes `(N, latent_dim)`."""
    n = options.base_channels
    layers = _convolutions(images.channels, n, 1 + options.layers)
    for level in range(1, levels):
        layers += _convolutions(level * n, (level + 1) * n, 1 + options.layers, stride=2)
    return [*layers, nn.Flatten(), nn.Linear(levels * n * SIDE**2, options.latent_dim)]


def _convolutions(before: int, after: int, count: int, stride: int = 1) -> list[nn.Module]:
    """Return so many convolutions, of which the first changes channels and resolution."""
    layers: list[nn.Module] = [nn.Conv2d(before, after, 3, stride, padding=1), nn.ELU()]
    for _ in range(count - 1):
        layers += [nn.Conv2d(after, after, 3, padding=1), nn.ELU()]
    return layers
