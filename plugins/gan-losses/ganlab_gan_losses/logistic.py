"""The logistic loss, to which R1 was first added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganlab import Batch
from ganlab_gan_losses.adversarial import logits
from ganlab_gan_losses.zero_centred import ZeroCentred

if TYPE_CHECKING:
    from torch import Tensor, nn


class Logistic(ZeroCentred):
    """Non-saturating logistic loss (Goodfellow et al. 2014), as `bce` has it, with R1 and R2.

    Logs D(x) and D(G(z)), the mean logits.
    """

    api = 1

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return -E log s(D(x)) - E log(1 - s(D(G(z)))), s the logistic function: Goodfellow et al., equation 1."""
        from torch.nn.functional import softplus

        return softplus(-real).mean() + softplus(fake).mean()

    def generator_loss(self, D: nn.Module, batch: Batch, fake: Tensor) -> Tensor:
        """Return -E log s(D(G(z))): Goodfellow et al., section 3."""
        from torch.nn.functional import softplus

        return softplus(-logits(D, fake, batch)).mean()
