"""The least squares loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import model_validator

from ganlab import Batch
from ganlab_gan_losses.adversarial import logits
from ganlab_gan_losses.zero_centred import ZeroCentred

if TYPE_CHECKING:
    from torch import Tensor, nn


class LeastSquares(ZeroCentred):
    """Least squares (LSGAN, Mao et al. 2017): logits are drawn to labels, also those on the right side already.

    The default labels are the paper's equation 9; `fake_label = -1.0` with `generator_label = 0.0` is equation 8.
    Logs D(x) and D(G(z)), the mean logits.
    """

    api = 1

    real_label: float = 1.0
    """What the discriminator is taught to say of real pictures: b."""
    fake_label: float = 0.0
    """What the discriminator is taught to say of generated pictures: a."""
    generator_label: float = 1.0
    """What the generator wants to hear of its pictures: c."""

    @model_validator(mode="after")
    def _labels_in_order(self) -> LeastSquares:
        if not self.fake_label < self.real_label or not self.fake_label < self.generator_label:
            raise ValueError(
                f"fake_label = {self.fake_label} must be less than real_label = {self.real_label} and "
                f"generator_label = {self.generator_label}: the generator is taught to look real"
            )
        return self

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return E (D(x) - b)^2 / 2 + E (D(G(z)) - a)^2 / 2: equation 2."""
        return (real - self.real_label).square().mean() / 2 + (fake - self.fake_label).square().mean() / 2

    def generator_loss(self, D: nn.Module, batch: Batch, fake: Tensor) -> Tensor:
        """Return E (D(G(z)) - c)^2 / 2: equation 2."""
        return (logits(D, fake, batch) - self.generator_label).square().mean() / 2
