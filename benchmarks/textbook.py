"""What ganlab is compared with: DCGAN and its training loop as textbooks have them. Written for this comparison.

Networks in NCHW, a sigmoid and BCELoss, both of the discriminator's halves differentiated by themselves, its weight
gradients computed in the generator's step as well, Adam with its defaults, five numbers read by the host in each
iteration, pictures decoded and resized by PIL in two worker processes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

LATENT_DIM = 100
LR, BETAS = 2e-4, (0.5, 0.999)
WORKERS = 2


class Report(NamedTuple):
    """What the loop prints."""

    loss_discriminator: float
    loss_generator: float
    real: float
    fake_before: float
    fake_after: float


def generator(resolution: int, channels: int, width: int = 64) -> nn.Sequential:
    """Return the network from z `(N, 100, 1, 1)` to pictures `(N, C, H, W)`."""
    maps = width * resolution // 8
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(LATENT_DIM, maps, 4, 1, 0, bias=False),
        nn.BatchNorm2d(maps),
        nn.ReLU(True),
    ]
    while maps > width:
        layers += [
            nn.ConvTranspose2d(maps, maps // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(maps // 2),
            nn.ReLU(True),
        ]
        maps //= 2
    layers += [nn.ConvTranspose2d(maps, channels, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.Sequential(*layers).apply(_initialise)


def discriminator(resolution: int, channels: int, width: int = 64) -> nn.Sequential:
    """Return the network from pictures `(N, C, H, W)` to probabilities `(N, 1, 1, 1)`."""
    maps = width
    layers: list[nn.Module] = [nn.Conv2d(channels, maps, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    while maps < width * resolution // 8:
        layers += [
            nn.Conv2d(maps, maps * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(maps * 2),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        maps *= 2
    layers += [nn.Conv2d(maps, 1, 4, 1, 0, bias=False), nn.Sigmoid()]
    return nn.Sequential(*layers).apply(_initialise)


def optimizers(G: nn.Module, D: nn.Module) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    """Return those of the generator and the discriminator."""
    first, second = (torch.optim.Adam(network.parameters(), lr=LR, betas=BETAS) for network in (G, D))
    return first, second


def train(
    G: nn.Module,
    D: nn.Module,
    optimizer_g: torch.optim.Adam,
    optimizer_d: torch.optim.Adam,
    batches: Iterable[Tensor],
    device: torch.device,
    told: Callable[[Report], bool],
    latents: Callable[[int], Tensor] | None = None,
) -> None:
    """Train on `batches` until `told` returns True; `latents` gives z `(N, 100, 1, 1)`, normal ones by default."""
    criterion = nn.BCELoss()
    for batch in batches:
        # The discriminator on real pictures.
        D.zero_grad()
        real = batch.to(device)
        size = real.size(0)
        labels = torch.full((size,), 1.0, dtype=real.dtype, device=device)
        output = D(real).view(-1)
        loss_real = criterion(output, labels)
        loss_real.backward()
        mean_real = output.mean().item()

        # The discriminator on generated ones.
        z = torch.randn(size, LATENT_DIM, 1, 1, device=device) if latents is None else latents(size)
        fake = G(z)
        labels.fill_(0.0)
        output = D(fake.detach()).view(-1)
        loss_fake = criterion(output, labels)
        loss_fake.backward()
        mean_before = output.mean().item()
        loss_d = loss_real + loss_fake
        optimizer_d.step()

        # The generator.
        G.zero_grad()
        labels.fill_(1.0)
        output = D(fake).view(-1)
        loss_g = criterion(output, labels)
        loss_g.backward()
        mean_after = output.mean().item()
        optimizer_g.step()

        if told(Report(loss_d.item(), loss_g.item(), mean_real, mean_before, mean_after)):
            return


def in_memory(pictures: Tensor, batch_size: int) -> Generator[Tensor, None, None]:
    """Yield batches of pictures that are tensors already, shuffled in every epoch."""
    while True:
        order = torch.randperm(len(pictures), device=pictures.device)
        for rows in order.split(batch_size):
            if len(rows) == batch_size:
                yield pictures[rows]


def from_files(root: Path, resolution: int, batch_size: int) -> Generator[Tensor, None, None]:
    """Yield batches that two workers decode and resize, picture by picture, from folders of files below `root`."""
    from torchvision import datasets, transforms

    transform = transforms.Compose(
        [
            transforms.Resize(resolution),
            transforms.CenterCrop(resolution),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )
    folder = datasets.ImageFolder(str(root), transform=transform)
    loader = torch.utils.data.DataLoader(folder, batch_size, shuffle=True, num_workers=WORKERS, drop_last=True)
    while True:
        for pictures, _ in loader:
            yield pictures


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)
