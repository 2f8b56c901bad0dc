"""Zero-centred gradient penalties, R1 and R2 (Mescheder et al. 2018, https://arxiv.org/abs/1801.04406)."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveInt

from ganlab import Batch, Iteration, Scheduled, Update
from ganlab_gan_losses.adversarial import Adversarial, both_logits, reported
from ganlab_gan_losses.gradients import refuse_batchnorm, require_grad, slopes

if TYPE_CHECKING:
    from torch import Tensor, nn

Weight = Annotated[float, Field(ge=0.0)]


class ZeroCentred(Adversarial):
    """A loss of logits, to which R1 and R2 may be added."""

    r1: Scheduled[Weight] = 0.0
    """Weight of R1, a penalty on the discriminator's slope at real pictures: gamma of gamma / 2 |dD/dx|^2; 0 is
    without. It needs a discriminator without BatchNorm."""
    r2: Scheduled[Weight] = 0.0
    """Weight of R2, the same penalty at generated pictures; 0 is without."""
    penalty_every: PositiveInt = 1
    """Only every so many iterations have the penalties, with as many times their weight: 16 saves most of their cost
    (lazy regularisation, Karras et al. 2020, section 3.1)."""

    @property
    def period(self) -> int:
        """Iterations with and without penalties take turns."""
        return self.penalty_every

    @abstractmethod
    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return what the discriminator minimises, from D(x) `(N,)` and D(G(z)) `(N,)`."""

    @abstractmethod
    def generator_loss(self, D: nn.Module, batch: Batch, fake: Tensor) -> Tensor:
        """Return what the generator minimises."""

    def discriminator_update(self, D: nn.Module, batch: Batch, fake: Tensor, iteration: Iteration) -> Update:
        """Return the discriminator's loss with the penalties; logs |dD/dx|^2 as `r1` and `r2`."""
        real = batch.real
        r1, r2 = (self.penalty_every * weight for weight in (self.r1, self.r2))
        with_r1, with_r2 = (iteration.phase == 0 and not _is_without(weight) for weight in (r1, r2))
        if with_r1:
            refuse_batchnorm(D, "r1")
            real = require_grad(real)
        if with_r2:
            refuse_batchnorm(D, "r2")
            fake = require_grad(fake)

        real_logits, fake_logits = both_logits(D, real, fake, batch, iteration)
        loss = self.discriminator_loss(real_logits, fake_logits)
        stats = reported(real_logits, fake_logits)

        if with_r1:
            stats["r1"] = slopes(real_logits, real).square().mean()
            loss = loss + r1 / 2 * stats["r1"]  # equation 9
        if with_r2:
            stats["r2"] = slopes(fake_logits, fake).square().mean()
            loss = loss + r2 / 2 * stats["r2"]  # equation 10
        return Update("discriminator", loss, stats)

    def generator_update(self, D: nn.Module, batch: Batch, fake: Tensor) -> Update:
        """Return the generator's loss."""
        return Update("generator", self.generator_loss(D, batch, fake))


def _is_without(weight: float | Tensor) -> bool:
    """Tell whether the recipe has no such penalty; one whose weight is 0 only at times is computed all the time."""
    return isinstance(weight, float) and weight == 0.0
