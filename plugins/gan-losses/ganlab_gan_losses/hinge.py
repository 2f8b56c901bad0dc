"""The hinge loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganlab import Batch
from ganlab_gan_losses.adversarial import logits
from ganlab_gan_losses.zero_centred import ZeroCentred

if TYPE_CHECKING:
    from torch import Tensor, nn


class Hinge(ZeroCentred):
    """Hinge loss (Lim and Ye 2017; Miyato et al. 2018): the discriminator stops at a margin of 1.

    Logs D(x) and D(G(z)), the mean logits.
    """

    api = 1

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))): Miyato et al., equation 16."""
        return (1 - real).relu().mean() + (1 + fake).relu().mean()

    def generator_loss(self, D: nn.Module, batch: Batch, fake: Tensor) -> Tensor:
        """Return -E D(G(z)): equation 17."""
        return -logits(D, fake, batch).mean()
