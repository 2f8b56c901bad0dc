"""A game with a known end: pictures whose one number is normally distributed, and a generator that must find its mean."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganlab.interfaces import Batch, Iteration, Loss

MEAN, SPREAD = 0.4, 0.2
START = -0.6
ITERATIONS = 240
BATCH_SIZE = 32
LR = 1e-2
SHAPE = (1, 4, 4)


class Shade(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(START))
        self.spread = nn.Parameter(torch.tensor(SPREAD))

    def forward(self, z: Tensor) -> Tensor:
        return (self.mean + self.spread * z[:, 0]).view(-1, 1, 1, 1).expand(-1, *SHAPE)


class Quadratic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.1))
        self.bend = nn.Parameter(torch.tensor(0.0))
        self.offset = nn.Parameter(torch.tensor(0.0))

    def forward(self, images: Tensor) -> Tensor:
        shade = images.flatten(1).mean(1)
        return self.offset + self.slope * shade + self.bend * shade.square()


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 1), nn.Flatten(0))
    def forward(self, images): return self.net(images)
