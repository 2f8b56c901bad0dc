"""The loss "r3gan": relativistic pairing, with R1 and R2 at every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import NonNegativeFloat

from ganlab import Batch, Iteration, Loss, RecipeError, Scheduled, Update

if TYPE_CHECKING:
    from torch import Tensor, nn


class R3GANLoss(Loss):
    """Relativistic pairing with R1 and R2 (Huang et al. 2024): each fake is compared with a real picture.

    Logs D(x) and D(G(z)), the mean logits; sign(D(x)), the mean sign of the first; r1 and r2, the mean |dD/dx|^2 at
    real and at generated pictures.
    """

    api = 1

    gamma: Scheduled[NonNegativeFloat] = 0.05
    """Weight of both penalties on the discriminator's slope: gamma / 2 (R1 + R2). The more pixels, the more."""

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        """Yield the discriminator's update, then the generator's: the same pictures, fake and real, serve both."""
        import torch
        from torch.nn.functional import softplus

        G, D = networks["generator"], networks["discriminator"]
        _refuse_batchnorm(D)
        batch = next(batches)
        made = G(*batch.inputs.values())

        real, fake = _start_of_graph(batch.real), _start_of_graph(made)
        real_logits, fake_logits = _logits(D, real, batch), _logits(D, fake, batch)
        r1, r2 = _squared_slope(real_logits, real), _squared_slope(fake_logits, fake)
        # Equation 2, where D has the opposite sign; R1 and R2 are equations 9 and 10 of Mescheder et al. 2018.
        loss = softplus(fake_logits - real_logits).mean() + self.gamma / 2 * (r1 + r2)
        stats = {
            "D(x)": real_logits.mean(),
            "D(G(z))": fake_logits.mean(),
            "sign(D(x))": real_logits.detach().sign().mean(),
            "r1": r1,
            "r2": r2,
        }
        yield Update("discriminator", loss, stats)

        with torch.no_grad():  # nothing of it depends on the generator
            real_logits = _logits(D, batch.real, batch)
        yield Update("generator", softplus(real_logits - _logits(D, made, batch)).mean())


def _logits(D: nn.Module, images: Tensor, batch: Batch) -> Tensor:
    """Return D(x) `(N,)`, in float32 under any autocast: bf16 has too few bits for logits that differ by little."""
    made: Tensor = D(images, *batch.condition).float()
    return made


def _start_of_graph(images: Tensor) -> Tensor:
    return images.detach().float().requires_grad_()


def _squared_slope(logits: Tensor, images: Tensor) -> Tensor:
    """Return the mean of |dD(x)/dx|^2, a scalar that can be differentiated again, for the weights."""
    import torch

    # A logit depends on its own picture alone, so the gradient of the sum holds the gradient of each.
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def _refuse_batchnorm(D: nn.Module) -> None:
    from torch import nn

    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    if any(isinstance(layer, kinds) for layer in D.modules()):
        raise RecipeError(
            [
                "loss.name: r3gan penalises the discriminator's slope at each picture by itself, but this "
                "discriminator has BatchNorm, which mixes the pictures of a batch; choose one without, such as model "
                '"r3gan", or "dcgan" with discriminator_batchnorm = false'
            ]
        )
