"""Differentiable augmentation (Zhao et al. 2020, https://arxiv.org/abs/2006.10738): GANs from few pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from ganlab import Augmentation

if TYPE_CHECKING:
    from torch import Tensor, nn

Transform = Literal["color", "translation", "cutout"]


def _once_each(policy: tuple[Transform, ...]) -> tuple[Transform, ...]:
    if len(set(policy)) < len(policy):
        raise ValueError("names a transform twice, which would be stronger than the paper's")
    return policy


class DiffAugment(Augmentation):
    """Random colour, translation and cutout with the paper's strengths, drawn anew for each picture.

    The discriminator never sees a picture as it is, so it learns few pictures by heart more slowly; gradients flow
    back through the change, so the generator does not learn to make changed ones.
    """

    api = 1

    policy: Annotated[tuple[Transform, ...], Field(min_length=1), AfterValidator(_once_each)] = (
        "color",
        "translation",
        "cutout",
    )
    """What is done, in this order: `"color"` changes brightness, saturation and contrast, `"translation"` moves by up
    to an eighth of the picture, `"cutout"` blanks a box of half its height and width."""

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        """Return changed pictures `(N, C, H, W)`, whose values may leave [-1, 1], as the paper leaves them."""
        from ganlab_diffaugment import transforms

        for name in self.policy:
            images = transforms.BY_NAME[name](images)
        return images
