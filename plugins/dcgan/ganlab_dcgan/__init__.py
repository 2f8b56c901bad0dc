"""DCGAN (Radford, Metz and Chintala 2015, https://arxiv.org/abs/1511.06434) for pictures of many sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from ganlab import ImageSpec, Model
from ganlab_dcgan.sizes import plan

if TYPE_CHECKING:
    from torch import nn

Side = Annotated[int, Field(ge=2, le=8)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]


class DCGAN(Model):
    """Deep convolutional GAN: a generator of transposed convolutions against a discriminator of convolutions.

    Each side of the pictures is 2 to 8 times the same power of two, 4 or more: 28, 32, 64, 96, 128, `[48, 64]`.
    """

    api = 1
    one_pass: ClassVar[bool] = True

    base_channels: PositiveInt = 64
    """Channels of the layers next to the picture; each halving of the resolution doubles them."""
    discriminator_channels: PositiveInt | None = None
    """Channels of the discriminator's layer next to the picture. Unset: `base_channels`. Of an iteration's arithmetic
    the discriminator does more than twice what a generator of its width does, so a narrower one saves much of it."""
    start: Side | tuple[Side, Side] | None = None
    """Resolution of the generator's first feature map, one number or `[height, width]`, 2 to 8. Unset: as small as
    possible with 4 or more on the longer side (64 starts at 4, 28 at 7), else with 2 or more."""
    projection: Literal["conv", "linear"] = "conv"
    """How z becomes the first feature map: `"conv"`, a transposed convolution, or `"linear"`, a linear layer."""
    projection_batchnorm: bool = True
    """Whether BatchNorm follows the projection. A linear projection without it has a bias."""
    projection_relu: bool = True
    """Whether ReLU follows the projection."""
    head: Literal["conv", "linear"] = "conv"
    """How the discriminator's last feature map becomes a logit: `"conv"`, without a bias, or `"linear"`, with one."""
    head_channels: NonNegativeInt = 0
    """Channels of a hidden layer between the discriminator's last feature map and the logit, which sees the whole map;
    0 is without, as in the paper. Without it the parts of a picture are judged apart and their judgements added."""
    discriminator_batchnorm: bool = True
    """Whether BatchNorm follows the discriminator's inner convolutions; without it they have a bias. Losses with a
    gradient penalty need a discriminator without."""
    generator_dropout: Probability = 0.0
    """Probability of dropout after each hidden activation of the generator; it acts in training only."""
    discriminator_dropout: Probability = 0.0
    """Probability of dropout after each hidden activation of the discriminator; it acts in training only."""

    def check(self, images: ImageSpec) -> None:
        """Raise `ValueError` naming the nearest resolutions, or the starts that fit, where `images` cannot be built."""
        plan(images.height, images.width, self.start)

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the generator, z `(N, latent_dim)` to `(N, C, H, W)`, and the discriminator, to logits `(N,)`."""
        from ganlab_dcgan.networks import discriminator, generator

        stages = plan(images.height, images.width, self.start)
        return {
            "generator": generator(self, images, stages),
            "discriminator": discriminator(self, images, stages),
        }
