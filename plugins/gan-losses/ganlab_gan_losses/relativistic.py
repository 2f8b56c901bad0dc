"""The relativistic pairing loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganlab import Batch
from ganlab_gan_losses.adversarial import logits
from ganlab_gan_losses.zero_centred import ZeroCentred

if TYPE_CHECKING:
    from torch import Tensor, nn


class Relativistic(ZeroCentred):
    """Relativistic pairing (RpGAN, Jolicoeur-Martineau 2019): each fake is compared with a real picture.

    With `r1` and `r2` it is the loss of R3GAN (Huang et al. 2024), who found that it needs both to converge.
    Logs D(x) and D(G(z)), the mean logits.
    """

    api = 1

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return E log(1 + exp(D(G(z)) - D(x))): Huang et al., equation 2, where D has the opposite sign."""
        from torch.nn.functional import softplus

        return softplus(fake - real).mean()

    def generator_loss(self, D: nn.Module, batch: Batch, fake: Tensor) -> Tensor:
        """Return E log(1 + exp(D(x) - D(G(z)))): the same with the roles exchanged, which does not saturate."""
        import torch
        from torch.nn.functional import softplus

        with torch.no_grad():  # nothing of it depends on the generator
            real_logits = logits(D, batch.real, batch)
        return softplus(real_logits - logits(D, fake, batch)).mean()
