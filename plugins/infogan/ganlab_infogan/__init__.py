"""InfoGAN (Chen et al. 2016, https://arxiv.org/abs/1606.03657): codes beside z that can be read off the pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveInt

from ganlab import Categorical, ImageSpec, Input, Model, Uniform

if TYPE_CHECKING:
    from torch import nn


class InfoGAN(Model):
    """A GAN whose generator is given a category and continuous codes, and a network that reads them off its pictures.

    Needs the loss `infogan`. Each side of the pictures is a multiple of 4.
    """

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "discriminator", "recognition")

    latent_dim: PositiveInt = 62
    """Length of the latent vector z: what no code accounts for."""
    categories: Annotated[int, Field(ge=2)] = 10
    """Number of categories, each as likely."""
    continuous: PositiveInt = 2
    """Number of continuous codes, each uniform on [-1, 1]."""
    base_channels: PositiveInt = 64
    """Channels of the layers next to the picture; those behind them have twice as many."""
    hidden: Annotated[int, Field(ge=8)] = 1024
    """Units of the fully connected layers; that of the recognition network has an eighth."""

    def check(self, images: ImageSpec) -> None:
        """Raise `ValueError` naming the nearest resolution where a side cannot be halved twice."""
        if images.height % 4 or images.width % 4:
            near = [max(4, 4 * round(side / 4)) for side in (images.height, images.width)]
            raise ValueError(
                f"{images.height}x{images.width} cannot be built: take multiples of 4; the nearest resolution is {near}"
            )

    def inputs(self, images: ImageSpec) -> dict[str, Input]:
        """Return z, the category and the continuous codes."""
        codes: dict[str, Input] = {"category": Categorical(self.categories), "continuous": Uniform((self.continuous,))}
        return {**super().inputs(images), **codes}

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the generator, the discriminator, which returns its features too, and what reads codes off them."""
        from ganlab_infogan.networks import Discriminator, Generator, recognition

        self.check(images)
        inputs = self.latent_dim + self.categories + self.continuous
        return {
            "generator": Generator(inputs, self.hidden, self.base_channels, images),
            "discriminator": Discriminator(self.hidden, self.base_channels, images),
            "recognition": recognition(self.hidden, self.categories + 2 * self.continuous),
        }
