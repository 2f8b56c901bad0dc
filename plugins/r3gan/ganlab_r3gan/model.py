"""The models "r3gan" and "conditional_r3gan": their options, and how wide the networks are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveInt, model_validator

from ganlab import ImageSpec, Model

if TYPE_CHECKING:
    from torch import nn

START = 4
"""Height and width of the smallest feature maps."""


class Residual(Model):
    """What both models share."""

    latent_dim: PositiveInt = 64
    """Length of the latent vector z."""
    channels: PositiveInt | Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = 96
    """Channels of the feature maps in both networks: one number, or one for each size from 4x4 up to the picture's. The
    paper has 768 at 32 pixels, which needs a GPU, and fewer next to larger pictures."""
    group_size: PositiveInt = 16
    """Channels in a group of the 3x3 convolutions, which have twice as many channels as the maps between blocks."""
    blocks: PositiveInt = 2
    """Residual blocks at each size, in both networks."""

    @model_validator(mode="after")
    def _whole_groups(self) -> Residual:
        for channels in {self.channels} if isinstance(self.channels, int) else self.channels:
            if 2 * channels % self.group_size:
                raise ValueError(
                    f"group_size = {self.group_size} does not divide the {2 * channels} channels of a 3x3 convolution, "
                    f"twice the {channels} of channels; choose a divisor, such as {_divisor(2 * channels)}"
                )
        return self

    def check(self, images: ImageSpec) -> None:
        """Raise `ValueError` naming what can be built where the pictures and `channels` do not fit each other."""
        self.widths(images)

    def widths(self, images: ImageSpec) -> tuple[int, ...]:
        """Return the channels of the maps of 4x4, 8x8 and so on, up to the size of the pictures."""
        side = images.height
        if images.height != images.width or side < 2 * START or side & (side - 1):
            raise ValueError(
                f"pictures of {images.height}x{images.width} cannot be built: they must be square, with a side of 8, "
                f"16, 32, 64 or another power of two above; {_nearest(max(images.height, images.width))}"
            )
        sizes = (side // START).bit_length()
        if isinstance(self.channels, int):
            return (self.channels,) * sizes
        if len(self.channels) != sizes:
            raise ValueError(
                f"model.channels has {len(self.channels)} numbers, but pictures of {side}x{side} have {sizes} sizes of "
                f"maps, 4x4 to {side}x{side}; write {sizes} numbers, or one for all"
            )
        return self.channels

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the generator, z `(N, latent_dim)` to `(N, C, H, W)`, and the discriminator, to logits `(N,)`.

        Where the model is conditional, both take labels `(N,)` int64 as well.
        """
        from ganlab_r3gan.networks import Discriminator, Generator

        if self.conditional and not images.classes:
            raise ValueError("a conditional model needs class labels, and this data has none; take model r3gan")
        widths, classes = self.widths(images), images.classes if self.conditional else 0
        return {
            "generator": Generator(self, widths, images.channels, classes),
            "discriminator": Discriminator(self, widths, images.channels, classes),
        }


class R3GAN(Residual):
    """Grouped residual networks without normalisation, for the loss r3gan.

    Pictures are square, their side a power of two: 32 and 64 as the paper has them, 8 and more in fact.
    """

    api = 1


class ConditionalR3GAN(Residual):
    """R3GAN that is told the class: the generator draws the one it is asked for. Needs data with labels."""

    api = 1
    conditional: ClassVar[bool] = True


def _divisor(channels: int) -> int:
    """Return the largest divisor that is no more than 16, the paper's for CIFAR-10 and FFHQ."""
    return next(size for size in range(16, 0, -1) if channels % size == 0)


def _nearest(side: int) -> str:
    below = max(2 * START, 1 << (max(side, 1).bit_length() - 1))
    if side <= below:
        return f"the nearest resolution is {below}"
    first, second = sorted((below, 2 * below), key=lambda size: abs(size - side))
    return f"the nearest resolutions are {first} and {second}"
