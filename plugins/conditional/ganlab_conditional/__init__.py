"""Class-conditional DCGAN: the label is an input of both networks (Mirza and Osindero 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveInt

from ganlab import ImageSpec, Model
from ganlab_conditional.sizes import stages

if TYPE_CHECKING:
    from torch import nn


class ConditionalDCGAN(Model):
    """DCGAN that is told the class: the generator draws the one it is asked for.

    Needs data with labels. Each side of the pictures is 2 to 8 times the same power of two, 4 or more: 28, 32, 64, 96.
    """

    api = 1
    conditional: ClassVar[bool] = True
    one_pass: ClassVar[bool] = True

    base_channels: PositiveInt = 64
    """Channels of the layers next to the picture; each halving of the resolution doubles them."""
    embedding_dim: PositiveInt = 32
    """Length of the learned vector of each class that the generator sees behind z."""
    discriminator: Literal["embedding", "projection"] = "embedding"
    """How the discriminator sees the class: `"embedding"`, as a learned map that is one more channel of the picture, or
    `"projection"`, by an inner product with its last features that is added to the logit (Miyato and Koyama 2018)."""

    def check(self, images: ImageSpec) -> None:
        """Raise `ValueError` naming the nearest resolution that can be built. The classes may not be known yet."""
        stages(images.height, images.width)

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the generator, z and labels to `(N, C, H, W)`, and the discriminator, pictures and labels to `(N,)`.

        Labels are `(N,)` int64. Raises `ValueError` where the data has none.
        """
        from ganlab_conditional.networks import Discriminator, Generator

        if not images.classes:
            raise ValueError("a conditional model needs class labels, and this data has none")
        first = stages(images.height, images.width)
        return {"generator": Generator(self, images, first), "discriminator": Discriminator(self, images, first)}
