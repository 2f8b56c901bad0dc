"""The variational autoencoder (Kingma and Welling 2014, https://arxiv.org/abs/1312.6114): pictures to z and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveFloat, PositiveInt

from ganlab import Batch, ImageSpec, Iteration, Loss, Model, Scheduled, Update

if TYPE_CHECKING:
    from torch import Tensor, nn


class VAE(Model):
    """Two perceptrons: an encoder of pictures, which is shipped, and the generator that decodes what it says.

    Needs the loss `vae`. Pictures of any size.
    """

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "encoder")
    shipped: ClassVar[tuple[str, ...]] = ("generator", "encoder")

    latent_dim: PositiveInt = 20
    """Length of the latent vector z."""
    latent: Literal["normal"] = "normal"
    """Distribution of z: standard normal, for which the loss's divergence is known."""
    hidden: PositiveInt = 500
    """Units of the one hidden layer of each network."""

    def check(self, images: ImageSpec) -> None:
        """Accept pictures of any size."""

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the generator, z `(N, latent_dim)` to `(N, C, H, W)`, and the encoder, back to z."""
        from ganlab_vae.networks import Encoder, decoder

        return {
            "generator": decoder(self.latent_dim, self.hidden, images),
            "encoder": Encoder(self.latent_dim, self.hidden, images),
        }


class EvidenceLowerBound(Loss):
    """Less the lower bound of the pictures' log likelihood, in nats a picture (Kingma and Welling 2014, equation 3).

    Logs its two parts: `reconstruction`, -log p(x|z), and `KL`, the divergence of q(z|x) from the prior.
    """

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "encoder")

    std: Scheduled[PositiveFloat] = 1.0
    """Standard deviation of a pixel around what the generator says, in units of [-1, 1]: p(x|z) is normal. Smaller,
    pictures are reconstructed more exactly; larger, z is nearer to its prior."""

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        """Yield one update of both networks, with one z drawn for each picture."""
        import torch

        real = next(batches).real
        mean, log_variance = (part.float() for part in networks["encoder"](real))
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        reconstruction = -log_normal(real, networks["generator"](z).float(), self.std)
        stats = {"reconstruction": reconstruction.mean(), "KL": divergence(mean, log_variance).mean()}
        yield Update(self.networks, stats["reconstruction"] + stats["KL"], stats)


def log_normal(x: Tensor, mean: Tensor, std: float | Tensor) -> Tensor:
    """Return the log densities `(N,)` of pictures `(N, C, H, W)`, whose pixels are normal with one deviation."""
    import torch

    log_std = std.log() if isinstance(std, torch.Tensor) else math.log(std)
    return -(0.5 * ((x - mean) / std).square() + log_std + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(q(z|x), N(0, 1)) `(N,)` for normal q with these means and log variances `(N, latent_dim)`.

    Appendix B.
    """
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
