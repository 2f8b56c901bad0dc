"""The state of a training that is small, and full of numbers that nothing else has."""

from __future__ import annotations

import torch
from torch import nn

from ganlab.distributed.ranks import Place, Ranks
from ganlab.recipe.settings import MovingAverage as AverageOptions
from ganlab.standard.optimizers.adam import Adam
from ganlab.training.average import MovingAverage
from ganlab.training.checkpoint import Provenance
from ganlab.training.optimizer import Optimized
from ganlab.training.state import State

CPU = torch.device("cpu")
ALONE = Ranks(Place(0, 1, 0), CPU)
BEGUN = Provenance({"seed": 0}, data="0" * 64, versions={"ganlab": "0.1.0"}, ranks=1, threads=1, device="cpu")


def small_state(seed: int = 0) -> State:
    torch.manual_seed(seed)
    generator = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    adam = Optimized(list(generator.parameters()), Adam(), CPU)
    average = MovingAverage(generator, AverageOptions(), 8)
    state = State({"generator": generator}, {"generator": adam}, average, {"generator": generator})
    with torch.no_grad():
        for number, (_, tensor) in enumerate(state.tensors()):
            tensor.copy_(torch.randn(tensor.shape).mul(10) + 100 * number)
    return state
