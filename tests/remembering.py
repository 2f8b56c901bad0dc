"""A loss and an augmentation that bring state along, for tests of what becomes of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ganlab import Augmentation, Batch, ImageSpec, Iteration, Loss, Update

if TYPE_CHECKING:
    from torch import Tensor, nn

GAMMA, GAIN = 0.5, 0.01


def memory(**values: float) -> nn.Module:
    """Return a module that remembers numbers, whole ones as such."""
    import torch
    from torch import nn

    module = nn.Module()
    for name, value in values.items():
        module.register_buffer(name, torch.tensor(value))
    return module


class Balanced(Loss):
    """Weighs generated pictures by k, which follows the means of both kinds, and trains a head of its own on them."""

    api = 1
    brings: ClassVar[tuple[str, ...]] = ("equilibrium", "head")

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        from torch import nn

        # k as in BEGAN (Berthelot et al. 2017), but not bounded.
        return {"head": nn.Linear(math.prod(images[:3]), 2), "equilibrium": memory(k=0.25, iterations=0)}

    def updates(self, networks: Mapping[str, Any], batches: Iterator[Batch], iteration: Iteration) -> Iterator[Update]:
        import torch

        G, D, head, equilibrium = (networks[name] for name in ("generator", "discriminator", "head", "equilibrium"))
        batch = next(batches)
        fake = G(*batch.inputs.values())
        real_logits = D(batch.real, *batch.condition).float()
        real_energy = real_logits.square().mean()
        fake_energy = D(fake.detach(), *batch.condition).float().square().mean()
        k = equilibrium.k.clone()
        stats = {"k": k, "real": real_energy, "fake": fake_energy, "sign(D(x))": real_logits.sign().mean()}
        yield Update("discriminator", real_energy - k * fake_energy, stats)

        with torch.no_grad():
            equilibrium.k.add_(GAIN * (GAMMA * real_energy - fake_energy))
            equilibrium.iterations.add_(1)
        generator_loss = D(fake, *batch.condition).float().square().mean()
        yield Update(("generator", "head"), generator_loss + head(fake.flatten(1)).float().square().mean())


class Strengthened(Augmentation):
    """Makes pictures brighter or darker, more so where the discriminator is sure of the real ones."""

    api = 1
    brings: ClassVar[tuple[str, ...]] = ("strength",)

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"strength": memory(p=0.0, updates=0)}

    def augment(self, images: Tensor, state: Mapping[str, Any]) -> Tensor:
        import torch

        random = torch.rand(len(images), 1, 1, 1, dtype=images.dtype, device=images.device)
        return images + state["strength"].p.to(images.dtype) * (random - 0.5)

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        strength = state["strength"]
        strength.updates.add_(1)
        if "sign(D(x))" in stats:
            strength.p.add_(GAIN * (1.5 + stats["sign(D(x))"]))
