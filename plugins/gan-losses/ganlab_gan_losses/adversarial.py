"""The course of an iteration: some updates of the discriminator, then one of the generator."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import PositiveInt

from ganlab import Batch, Iteration, Loss, Update, apart

if TYPE_CHECKING:
    from torch import Tensor, nn


class Adversarial(Loss):
    """A loss for the discriminator and a loss for the generator, taken in turns."""

    discriminator_steps: PositiveInt = 1
    """Discriminator updates in an iteration, each on new pictures."""

    @abstractmethod
    def discriminator_update(self, D: nn.Module, batch: Batch, fake: Tensor, iteration: Iteration) -> Update:
        """Return an update of the discriminator in this iteration. `fake` `(N, C, H, W)` has no graph."""

    @abstractmethod
    def generator_update(self, D: nn.Module, batch: Batch, fake: Tensor) -> Update:
        """Return an update of the generator, which has made `fake` `(N, C, H, W)` of `batch.inputs`."""

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        """Yield `discriminator_steps` discriminator updates, then one generator update.

        The generator's update uses the fakes of the last discriminator update: one forward pass serves both.
        """
        G, D = networks["generator"], networks["discriminator"]
        for _ in range(self.discriminator_steps - 1):
            batch = next(batches)
            yield self.discriminator_update(D, batch, _without_graph(G, batch), iteration)
        batch = next(batches)
        fake = G(*batch.inputs.values())
        yield self.discriminator_update(D, batch, fake.detach(), iteration)
        yield self.generator_update(D, batch, fake)


def logits(D: nn.Module, images: Tensor, batch: Batch) -> Tensor:
    """Return D(x) `(N,)` of pictures that go with the conditions of `batch`."""
    # In float32 under any autocast: bf16 has 8 significant bits, too few for logits that differ by little.
    made: Tensor = D(images, *batch.condition).float()
    return made


def both_logits(D: nn.Module, real: Tensor, fake: Tensor, batch: Batch, iteration: Iteration) -> tuple[Tensor, Tensor]:
    """Return D(x) `(N,)` and D(G(z)) `(N,)` of the pictures of each, normalised by their own BatchNorm statistics."""
    real_logits, fake_logits = apart(D, [real, fake], batch.condition, iteration)
    return real_logits.float(), fake_logits.float()


def reported(real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
    """Return the statistics of every loss: mean logits, and the mean sign of real ones, r_t of Karras et al. 2020."""
    return {
        "D(x)": real_logits.mean(),
        "D(G(z))": fake_logits.mean(),
        "sign(D(x))": real_logits.detach().sign().mean(),
    }


def _without_graph(G: nn.Module, batch: Batch) -> Tensor:
    """Return fakes that only the discriminator learns from, without the memory of a graph."""
    import torch

    with torch.no_grad():
        fake: Tensor = G(*batch.inputs.values())
    return fake
