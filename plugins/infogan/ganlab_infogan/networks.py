"""The networks of the paper's table 1, for pictures of other sizes too."""

import math

import torch
from torch import Tensor, nn

from ganlab import ImageSpec

SLOPE = 0.1
"""Of the leaky rectifiers, below 0 (appendix C)."""


class Generator(nn.Module):
    """Maps z `(N, latent_dim)`, a category `(N, n)` and codes `(N, m)` to pictures `(N, C, H, W)` in [-1, 1]."""

    def __init__(self, inputs: int, hidden: int, width: int, images: ImageSpec) -> None:
        super().__init__()
        start = (2 * width, images.height // 4, images.width // 4)
        self.layers = initialised(
            *_dense(inputs, hidden, nn.ReLU()),
            *_dense(hidden, math.prod(start), nn.ReLU()),
            nn.Unflatten(1, start),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, images.channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, category: Tensor, continuous: Tensor) -> Tensor:
        pictures: Tensor = self.layers(torch.cat([z, category, continuous], 1))
        return pictures


class Discriminator(nn.Module):
    """Maps pictures `(N, C, H, W)` to logits `(N,)`, and to the features `(N, hidden)` that these are computed from."""

    def __init__(self, hidden: int, width: int, images: ImageSpec) -> None:
        super().__init__()
        self.features = initialised(
            nn.Conv2d(images.channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            *_dense(width * images.height * images.width // 8, hidden, nn.LeakyReLU(SLOPE)),
        )
        self.head = initialised(nn.Linear(hidden, 1), nn.Flatten(0))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(images)
        return self.head(features), features


def recognition(hidden: int, outputs: int) -> nn.Module:
    """Return Q(c|x) as the paper has it: on top of the discriminator's features, `(N, hidden)` to `(N, outputs)`."""
    return initialised(*_dense(hidden, hidden // 8, nn.LeakyReLU(SLOPE)), nn.Linear(hidden // 8, outputs))


def initialised(*layers: nn.Module) -> nn.Sequential:
    """Draw the weights as the authors do, N(0, 0.02); biases, and the scales of BatchNorm, are torch's."""
    network = nn.Sequential(*layers)
    for weight in network.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, 0.0, 0.02)
    return network


def _dense(before: int, after: int, activation: nn.Module) -> list[nn.Module]:
    return [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), activation]
