"""The velocity as a U-Net, and the sampler that integrates it."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


class Sampler(nn.Module):
    """Follows dx/dt = v(x, t) from noise at t = 0 to a picture at t = 1."""

    def __init__(self, velocity: nn.Module, steps: int, solver: Literal["euler", "midpoint"]) -> None:
        super().__init__()
        self.velocity, self.steps, self.solver = velocity, steps, solver

    def forward(self, z: Tensor) -> Tensor:
        """Return pictures `(N, C, H, W)` in [-1, 1] of z `(N, C, H, W)`."""
        x, h = z, 1.0 / self.steps
        for step in range(self.steps):
            v = self.velocity(x, x.new_full((1,), step * h))
            if self.solver == "midpoint":
                v = self.velocity(x + h / 2 * v, x.new_full((1,), (step + 0.5) * h))
            x = x + h * v
        pictures: Tensor = x.clamp(-1.0, 1.0)
        return pictures


class UNet(nn.Module):
    """Maps x `(N, C, H, W)` and t `(N,)` or `(1,)`, 0 to 1, to a velocity `(N, C, H, W)`; any height and width."""

    def __init__(self, channels: int, base_channels: int, halvings: int, patch: int) -> None:
        super().__init__()
        widths = [base_channels << min(level, 2) for level in range(halvings + 1)]
        times = 4 * base_channels
        self.time = nn.Sequential(Waves(times), nn.Linear(times, times), nn.SiLU())
        self.first = nn.Sequential(
            nn.PixelUnshuffle(patch), nn.Conv2d(channels * patch**2, base_channels, 3, padding=1)
        )
        self.down = nn.ModuleList(Block(width, width, times) for width in widths[:-1])
        self.halve = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(widths))
        self.middle = Block(widths[-1], widths[-1], times)
        self.up = nn.ModuleList(Block(a + b, a, times) for a, b in itertools.pairwise(widths))
        self.last = nn.Sequential(
            _norm(base_channels),
            nn.SiLU(),
            _faint(nn.Conv2d(base_channels, channels * patch**2, 3, padding=1)),
            nn.PixelShuffle(patch),
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        time, x = self.time(t), self.first(x)
        passed = []
        for block, halve in zip(self.down, self.halve, strict=True):
            x = block(x, time)
            passed.append(x)
            x = halve(x)
        x = self.middle(x, time)
        for block in reversed(self.up):
            beside = passed.pop()
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = x[:, :, : beside.shape[2], : beside.shape[3]]  # halving an odd side rounds up
            x = block(torch.cat([x, beside], 1), time)
        velocity: Tensor = self.last(x)
        return velocity


class Block(nn.Module):
    """Two convolutions beside a shortcut, the second one's input scaled and shifted by the time."""

    def __init__(self, before: int, after: int, times: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.norm = _norm(after)
        self.time = nn.Linear(times, 2 * after)
        self.second = nn.Sequential(nn.SiLU(), _faint(nn.Conv2d(after, after, 3, padding=1)))
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.time(time)[:, :, None, None].chunk(2, 1)
        h = self.norm(self.first(x)) * (1.0 + scale) + shift
        after: Tensor = self.shortcut(x) + self.second(h)
        return after


class Waves(nn.Module):
    """Maps t `(N,)` to sines and cosines `(N, count)` of frequencies from 1 to 1000."""

    frequencies: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        frequencies = torch.exp(torch.linspace(0.0, math.log(1000.0), count // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], 1)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, channels), channels)


def _faint(convolution: nn.Conv2d) -> nn.Conv2d:
    """Make a convolution start near 0, so that at first every block passes its input on: it learns sooner."""
    nn.init.normal_(convolution.weight, 0.0, 1e-3)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution
