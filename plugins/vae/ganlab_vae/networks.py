"""The paper's perceptrons (appendix C) with one hidden layer of tanh."""

import math

from torch import Tensor, nn

from ganlab import ImageSpec


def decoder(latent_dim: int, hidden: int, images: ImageSpec) -> nn.Module:
    """Return the means of p(x|z): z `(N, latent_dim)` to pictures `(N, C, H, W)` in [-1, 1]."""
    pixels = nn.Linear(hidden, math.prod(images[:3]))
    return nn.Sequential(nn.Linear(latent_dim, hidden), nn.Tanh(), pixels, nn.Tanh(), nn.Unflatten(1, images[:3]))


class Encoder(nn.Module):
    """Maps pictures `(N, C, H, W)` to q(z|x): its means and log variances `(N, latent_dim)`; in eval mode the means."""

    def __init__(self, latent_dim: int, hidden: int, images: ImageSpec) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(images[:3]), hidden), nn.Tanh())
        self.mean, self.log_variance = nn.Linear(hidden, latent_dim), nn.Linear(hidden, latent_dim)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.layers(images)
        mean: Tensor = self.mean(features)
        return (mean, self.log_variance(features)) if self.training else mean
