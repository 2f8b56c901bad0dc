"""What one DCGAN iteration computes, counted operator by operator: nothing twice, nothing that nobody uses."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from ganlab_dcgan import DCGAN
from torch.utils._python_dispatch import TorchDispatchMode

from ganlab import Batch, ImageSpec, Iteration
from ganlab.distributed.ranks import Place, Ranks
from ganlab.hardware.device import autocast
from ganlab.recipe.settings import Optimizer
from ganlab.standard.losses.bce import BCE
from ganlab.training.iteration import run_iteration
from ganlab.training.optimizer import Adam
from ganlab.training.state import State
from ganlab.training.statistics import Statistics

CPU = torch.device("cpu")
ALONE = Ranks(Place(0, 1, 0), CPU)


class Counting(TorchDispatchMode):
    """Counts operators, and of convolution backwards which gradients were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.name().removeprefix("aten::").partition(".")[0]
        self.calls[name] += 1
        if name == "convolution_backward":
            for_input, for_weight, _ = args[-1]
            self.calls["input gradient"] += for_input
            self.calls["weight gradient"] += for_weight
        return function(*args, **(kwargs or {}))


def test_a_dcgan_iteration_computes_nothing_in_vain() -> None:
    # Four levels, 64 px: the generator has 5 convolutions, the discriminator 5.
    networks = DCGAN(base_channels=4).build(ImageSpec(3, 64, 64))
    forwards = 0

    def count_forward(*_: object) -> None:
        nonlocal forwards
        forwards += 1

    networks["generator"].register_forward_hook(count_forward)
    optimizers = {name: Adam(list(network.parameters()), Optimizer(), CPU) for name, network in networks.items()}
    state = State(networks, optimizers, None, networks)
    statistics = Statistics(CPU)
    batch = Batch(torch.zeros(2, 3, 64, 64), torch.zeros(2, 100), ())

    def iterate() -> None:
        progress = Iteration(0, torch.zeros(()))
        run_iteration(BCE(), state, iter([batch]), progress, autocast("fp32", CPU), statistics.add, ALONE)
        statistics.close()

    iterate()
    forwards = 0
    with Counting() as counting:
        iterate()
    calls = counting.calls
    # G once, D on real, D on fake, D on fake again: 4 times 5 forwards. Weight gradients: D twice, G once.
    # Input gradients: none for the first layer of what starts a graph.
    assert calls["convolution"] == 20
    assert calls["input gradient"] == 17
    assert calls["weight gradient"] == 15
    assert forwards == 1
    assert calls["_fused_adam_"] == 2
    assert calls["_local_scalar_dense"] == 0, "the host must not read the device within an iteration"
