"""SNGAN (Miyato et al. 2018, https://arxiv.org/abs/1802.05957): residual networks and spectral normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt

from ganlab import ImageSpec, Model
from ganlab_sngan.widths import plan

if TYPE_CHECKING:
    from torch import nn


class SNGAN(Model):
    """Residual networks, the discriminator's weights divided by their spectral norm.

    Pictures are square: 32 as the paper has them for CIFAR-10, 64 as its authors do, 128 as for ImageNet, and so on.
    """

    api = 1

    latent_dim: PositiveInt = 128
    """Length of the latent vector z."""
    base_channels: PositiveInt = 64
    """Scale of all widths; 64 is the paper's. At 32 pixels the generator has 4 times as many channels everywhere and
    the discriminator 2 times; above, both have this many next to the picture and up to 16 times as many inside."""

    def check(self, images: ImageSpec) -> None:
        """Raise `ValueError` naming the nearest resolutions where `images` cannot be built."""
        plan(images.height, images.width, self.base_channels)

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the generator, z `(N, latent_dim)` to `(N, C, H, W)`, and the discriminator, to logits `(N,)`."""
        from ganlab_sngan.networks import discriminator, generator

        widths = plan(images.height, images.width, self.base_channels)
        return {
            "generator": generator(self.latent_dim, widths.generator, images.channels),
            "discriminator": discriminator(images.channels, widths.discriminator),
        }
