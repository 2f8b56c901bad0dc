"""The slope of the discriminator at its pictures, which gradient penalties keep small or at 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganlab import RecipeError

if TYPE_CHECKING:
    from torch import Tensor, nn


def require_grad(images: Tensor) -> Tensor:
    """Return the pictures in float32, as the start of a graph."""
    return images.detach().float().requires_grad_()


def slopes(logits: Tensor, images: Tensor) -> Tensor:
    """Return |dD(x)/dx| `(N,)`, Euclidean, for logits `(N,)` of pictures that `require_grad` has returned.

    It can be differentiated again, for the weights; where a slope is 0, its derivative is taken as 0.
    """
    import torch

    # A logit depends on its own picture alone, so the gradient of the sum holds the gradient of each.
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    slope: Tensor = torch.linalg.vector_norm(gradient, dim=tuple(range(1, gradient.ndim)))
    return slope


def refuse_batchnorm(D: nn.Module, option: str) -> None:
    """Raise `RecipeError` where logits depend on other pictures of the batch: the slope of one has no meaning there."""
    from torch import nn

    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    if any(isinstance(layer, kinds) for layer in D.modules()):
        raise RecipeError(
            [
                f"loss.{option}: a gradient penalty looks at each picture by itself, but this discriminator has "
                f"BatchNorm, which mixes the pictures of a batch (Gulrajani et al. 2017, section 4); choose one "
                f'without, such as model "dcgan" with discriminator_batchnorm = false'
            ]
        )
