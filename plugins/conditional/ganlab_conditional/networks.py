"""The two networks: those of DCGAN, with the label as one more input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ganlab import ImageSpec
    from ganlab_conditional import ConditionalDCGAN
    from ganlab_conditional.sizes import Stages


class Generator(nn.Module):
    """Maps z `(N, latent_dim)` and labels `(N,)` to pictures `(N, C, H, W)` in [-1, 1]."""

    def __init__(self, options: ConditionalDCGAN, images: ImageSpec, stages: Stages) -> None:
        super().__init__()
        self.classes = nn.Embedding(images.classes, options.embedding_dim)
        inputs, channels = options.latent_dim + options.embedding_dim, options.base_channels << (stages.doublings - 1)
        layers: list[nn.Module] = [
            nn.Unflatten(1, (inputs, 1, 1)),
            nn.ConvTranspose2d(inputs, channels, stages.start, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
        for _ in range(stages.doublings - 1):
            layers += [
                nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels // 2),
                nn.ReLU(inplace=True),
            ]
            channels //= 2
        layers += [nn.ConvTranspose2d(channels, images.channels, 4, stride=2, padding=1, bias=False), nn.Tanh()]
        self.layers = _initialised(layers)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        pictures: Tensor = self.layers(torch.cat([z, self.classes(labels)], 1))
        return pictures


class Discriminator(nn.Module):
    """Maps pictures `(N, C, H, W)` and labels `(N,)` to logits `(N,)`."""

    def __init__(self, options: ConditionalDCGAN, images: ImageSpec, stages: Stages) -> None:
        super().__init__()
        self.by_map = options.discriminator == "embedding"
        channels = options.base_channels
        layers: list[nn.Module] = [
            nn.Conv2d(images.channels + self.by_map, channels, 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for _ in range(stages.doublings - 1):
            layers += [
                nn.Conv2d(channels, channels * 2, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels * 2),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            channels *= 2
        self.layers = _initialised(layers)
        self.head = _initialised([nn.Conv2d(channels, 1, stages.start, bias=False), nn.Flatten(0)])
        self.classes = nn.Embedding(images.classes, images.height * images.width if self.by_map else channels)
        if not self.by_map:
            nn.init.normal_(self.classes.weight, 0.0, 0.02)  # like the head, which it is added to

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        of_class = self.classes(labels)
        if self.by_map:
            images = torch.cat([images, of_class.view(-1, 1, *images.shape[2:])], 1)
        features = self.layers(images)
        logits: Tensor = self.head(features)
        if not self.by_map:
            # Miyato and Koyama 2018, equation 3 and figure 14: the features are summed over the picture.
            logits = logits + (of_class * features.sum((2, 3))).sum(1)
        return logits


def _initialised(layers: list[nn.Module]) -> nn.Sequential:
    """Draw the weights as the PyTorch DCGAN tutorial does: N(0, 0.02), BatchNorm scales N(1, 0.02), shifts 0."""
    for layer in layers:
        match layer:
            case nn.Conv2d() | nn.ConvTranspose2d():
                nn.init.normal_(layer.weight, 0.0, 0.02)
            case nn.BatchNorm2d():
                nn.init.normal_(layer.weight, 1.0, 0.02)
    return nn.Sequential(*layers)
