"""The game of a GAN, with the information that pictures hold of their codes (Chen et al. 2016, section 5)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import NonNegativeFloat

from ganlab import Batch, Iteration, Loss, PluginError, Scheduled, Update

if TYPE_CHECKING:
    from torch import Tensor, nn


class InfoGANLoss(Loss):
    """The losses of a GAN, less a lower bound of the information that its pictures hold of their codes.

    Logs D(x), D(G(z)) and sign(D(x)) as `bce` does, and the bounds in nats: I(category), which ends near the logarithm
    of the number of categories, and I(continuous).
    """

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "discriminator", "recognition")

    categorical_weight: Scheduled[NonNegativeFloat] = 1.0
    """How much the information about the category counts: the paper's lambda."""
    continuous_weight: Scheduled[NonNegativeFloat] = 0.1
    """The same for the continuous codes, of which a picture can hold any amount."""

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        """Yield an update of the discriminator and the recognition network, and one of the generator.

        Q moves in the first alone, with the features that it shares, as in the authors' implementation.
        """
        from torch.nn.functional import softplus

        G, D, Q = (networks[name] for name in self.networks)
        batch = next(batches)
        if missing := [name for name in ("category", "continuous") if name not in batch.inputs]:
            raise PluginError(f"infogan reads codes that the model's inputs() does not declare: {', '.join(missing)}")
        pictures = G(*batch.inputs.values())

        real, _ = D(batch.real, *batch.condition)
        fake, features = D(pictures.detach(), *batch.condition)
        real, fake, known = real.float(), fake.float(), information(Q(features), batch.inputs)
        loss = softplus(-real).mean() + softplus(fake).mean() - self._weighted(known)
        stats = {"D(x)": real.sigmoid().mean(), "D(G(z))": fake.sigmoid().mean(), "sign(D(x))": real.sign().mean()}
        yield Update(("discriminator", "recognition"), loss, {**stats, **known})

        fake, features = D(pictures, *batch.condition)
        known = information(Q(features), batch.inputs)
        yield Update("generator", softplus(-fake.float()).mean() - self._weighted(known))

    def _weighted(self, known: Mapping[str, Tensor]) -> Tensor:
        return self.categorical_weight * known["I(category)"] + self.continuous_weight * known["I(continuous)"]


def information(q: Tensor, codes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return L_I of equation 5, H(c) + E[log Q(c|x)] in nats, of the category and of the continuous codes.

    `q` `(N, n + 2m)` are logits of the n categories, then the means and log variances of m normal distributions.
    A category's entropy is ln n, that of a number uniform on [-1, 1] is ln 2.
    """
    import torch

    category, continuous = codes["category"], codes["continuous"]
    logits, mean, log_variance = torch.split(q.float(), [category.shape[1], *2 * continuous.shape[1:]], 1)
    density = -0.5 * ((continuous - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi))
    return {
        "I(category)": (category * logits.log_softmax(1)).sum(1).mean() + math.log(category.shape[1]),
        "I(continuous)": (density + math.log(2)).sum(1).mean(),
    }
