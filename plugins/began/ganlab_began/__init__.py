"""BEGAN (Berthelot, Schumm and Metz 2017, https://arxiv.org/abs/1703.10717): an autoencoder as the discriminator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from ganlab import Batch, ImageSpec, Iteration, Loss, Model, Update

if TYPE_CHECKING:
    from torch import Tensor, nn

Share = Annotated[float, Field(gt=0.0, le=1.0)]


class BEGAN(Model):
    """A generator and a discriminator that is an autoencoder, for square pictures of 16, 32, 64, 128 ... pixels.

    Needs the loss `began`.
    """

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "autoencoder")

    latent_dim: PositiveInt = 64
    """Length of the latent vector z, and of the code in the middle of the autoencoder."""
    latent: Literal["normal", "uniform"] = "uniform"
    """Distribution of z: uniform on [-1, 1] as the paper has it, or standard normal."""
    base_channels: PositiveInt = 64
    """Channels of each layer that draws: n of the paper. The encoder has n more from each halving on."""
    layers: PositiveInt = 2
    """Convolutions at each resolution."""

    def check(self, images: ImageSpec) -> None:
        """Raise `ValueError` with the nearest size where `images` are not squares of 8 pixels doubled."""
        side = 8 << max(1, (max(images.height, images.width) // 12).bit_length())
        if (images.height, images.width) != (side, side):
            raise ValueError(f"{images.height}x{images.width} is not 16x16, 32x32, 64x64 ...; take {side}x{side}")

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the generator, z `(N, latent_dim)` to `(N, C, H, W)`, and the autoencoder of such pictures."""
        from ganlab_began.networks import networks

        return networks(self, images)


class Equilibrium(Loss):
    """Losses of an autoencoder, kept in balance by k; shorter steps where the convergence measure M stalls.

    Logs the losses L(x) and L(G(z)) of real and generated pictures, k, M, and `lr_factor`.
    """

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "autoencoder")
    brings: ClassVar[tuple[str, ...]] = ("equilibrium",)

    gamma: Share = 0.5
    """L(G(z)) / L(x) in balance. Less gives sharper pictures, more gives more different ones."""
    lambda_k: PositiveFloat = 1e-3
    """How fast k follows: lambda of the paper."""
    patience: PositiveInt = 2_000
    """Iterations over which M is averaged; where that is no lower than it has been, M has stalled."""
    lr_factor: Share = 0.5
    """Where M has stalled, the learning rate is multiplied by this from there on. 1 leaves it as it is."""

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return k, the sum of M and the number of its terms, its lowest mean so far, and the factor of lr."""
        import torch
        from torch import nn

        equilibrium = nn.Module()
        for name, value in {"k": 0.0, "total": 0.0, "terms": 0, "lowest": 1e30, "lr_factor": 1.0}.items():
            equilibrium.register_buffer(name, torch.tensor(value))
        return {"equilibrium": equilibrium}

    def updates(self, networks: Mapping[str, Any], batches: Iterator[Batch], iteration: Iteration) -> Iterator[Update]:
        """Yield an update of the autoencoder, then one of the generator on the same generated pictures."""
        G, D, state = networks["generator"], networks["autoencoder"], networks["equilibrium"]
        self._watch(state)
        batch = next(batches)
        fake = G(*batch.inputs.values())
        real_loss, fake_loss = _loss(D, batch.real), _loss(D, fake.detach())
        balance = (self.gamma * real_loss - fake_loss).detach()
        M = real_loss.detach() + balance.abs()  # section 3.4.1
        stats = {"L(x)": real_loss, "L(G(z))": fake_loss, "k": state.k.clone(), "M": M}
        with _shortened(D, state.lr_factor):
            yield Update("autoencoder", real_loss - stats["k"] * fake_loss, stats)
        with _shortened(G, state.lr_factor):
            yield Update("generator", _loss(D, fake), {"lr_factor": state.lr_factor.clone()})
        state.k.add_(self.lambda_k * balance).clamp_(0.0, 1.0)  # section 3.4
        state.total.add_(M)
        state.terms.add_(1)

    def _watch(self, state: Any) -> None:
        """Shorten the steps where M has stalled: before the iteration, when all ranks have agreed on the sum."""
        full, mean = state.terms >= self.patience, state.total / self.patience
        state.lr_factor.mul_(self.lr_factor ** (full & (mean >= state.lowest)))
        state.lowest.copy_(mean.minimum(state.lowest).where(full, state.lowest))
        state.total.mul_(~full)
        state.terms.mul_(~full)


def _loss(D: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the mean of |v - D(v)| over the pixels of pictures v `(N, C, H, W)`: equation 1, with eta = 1."""
    return (images - D(images)).float().abs().mean()


@contextmanager
def _shortened(network: nn.Module, factor: Tensor) -> Iterator[None]:
    """Take back a part of the step that comes next; of optimizers whose steps are in proportion to lr, lr is smaller.

    A loss does not see the optimizer, and to make the loss smaller would change nothing: Adam divides by its size.
    """
    before = [weight.detach().clone() for weight in network.parameters()]
    yield
    for weight, start in zip(network.parameters(), before, strict=True):
        weight.detach().copy_(start.lerp(weight.detach(), factor))
