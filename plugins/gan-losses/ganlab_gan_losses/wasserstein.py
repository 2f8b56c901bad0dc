"""The Wasserstein loss under a gradient penalty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveFloat, PositiveInt

from ganlab import Batch, Iteration, Scheduled, Update
from ganlab_gan_losses.adversarial import Adversarial, both_logits, logits, reported
from ganlab_gan_losses.gradients import refuse_batchnorm, require_grad, slopes

if TYPE_CHECKING:
    from torch import Tensor, nn


class Wasserstein(Adversarial):
    """Wasserstein distance with gradient penalty (WGAN-GP, Gulrajani et al. 2017, algorithm 1).

    Needs a discriminator without BatchNorm. The paper's optimizer is `lr = 1e-4`, `betas = [0.0, 0.9]`.
    Logs D(x) and D(G(z)), whose difference estimates the distance, and the mean slope, which should come near 1.
    """

    api = 1

    discriminator_steps: PositiveInt = 5
    """Discriminator updates in an iteration, each on new pictures: n_critic."""
    gradient_penalty: Scheduled[PositiveFloat] = 10.0
    """Weight of the penalty on slopes other than 1: lambda."""

    def discriminator_update(self, D: nn.Module, batch: Batch, fake: Tensor, iteration: Iteration) -> Update:
        """Return E D(G(z)) - E D(x) + lambda E (|dD/dx| - 1)^2 at points between the two: equation 3."""
        refuse_batchnorm(D, "gradient_penalty")
        real_logits, fake_logits = both_logits(D, batch.real, fake, batch, iteration)
        between = require_grad(_between(batch.real, fake))
        slope = slopes(logits(D, between, batch), between)
        loss = fake_logits.mean() - real_logits.mean() + self.gradient_penalty * (slope - 1).square().mean()
        return Update("discriminator", loss, {**reported(real_logits, fake_logits), "slope": slope.mean()})

    def generator_update(self, D: nn.Module, batch: Batch, fake: Tensor) -> Update:
        """Return -E D(G(z)): algorithm 1, line 12."""
        return Update("generator", -logits(D, fake, batch).mean())


def _between(real: Tensor, fake: Tensor) -> Tensor:
    """Return a point on the line from each real picture to a fake: uniform for each pair, as algorithm 1 has it."""
    import torch

    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
    return share * real + (1 - share) * fake
