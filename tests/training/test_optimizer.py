"""What an optimizer moves and remembers, with two that a plugin could bring, against torch and against a paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from optimizers import RATES, Lion, RMSprop, give_gradients, weights
from safetensors.torch import load_file
from torch import Tensor
from toys import tiny

import ganlab
from ganlab import PluginError
from ganlab.registry import registry
from ganlab.standard.optimizers.adam import Adam
from ganlab.training.optimizer import Optimized

CPU = torch.device("cpu")


def test_rmsprop_of_a_plugin_follows_torchs_own() -> None:
    """Changing learning rates, a parameter without a gradient, weights that lie channel by channel."""
    mine, theirs = weights(), weights()
    optimized = Optimized(mine, RMSprop(lr=RATES[0], alpha=0.9, eps=1e-6), CPU)
    reference = torch.optim.RMSprop(theirs, lr=RATES[0], alpha=0.9, eps=1e-6)
    for step, rate in enumerate(RATES):
        give_gradients(mine, step)
        give_gradients(theirs, step)
        optimized.lr.fill_(rate)
        reference.param_groups[0]["lr"] = rate
        optimized.step()
        reference.step()
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(optimized.state[one]["square_avg"], reference.state[other]["square_avg"])


def test_lion_of_a_plugin_follows_the_formulas_of_the_paper() -> None:
    """Chen et al. 2023, algorithm 2, in float64: update = sign(b1 m + (1 - b1) g), then m = b2 m + (1 - b2) g."""
    parameters = weights()
    optimized = Optimized(parameters, Lion(betas=(0.8, 0.95), weight_decay=0.1), CPU)
    theta = [parameter.detach().double().numpy().copy() for parameter in parameters]
    m = [np.zeros_like(values) for values in theta]
    for step, rate in enumerate(RATES):
        give_gradients(parameters, step)
        for i, parameter in enumerate(parameters):
            if parameter.grad is None:
                continue
            g = parameter.grad.double().numpy()
            theta[i] -= rate * (np.sign(0.8 * m[i] + 0.2 * g) + 0.1 * theta[i])
            m[i] = 0.95 * m[i] + 0.05 * g
        optimized.lr.fill_(rate)
        optimized.step()
    for parameter, expected in zip(parameters, theta, strict=True):
        np.testing.assert_allclose(parameter.detach(), expected, rtol=1e-5, atol=1e-6)


def test_no_gradient_is_left_for_the_next_step() -> None:
    parameters = weights()
    optimized = Optimized(parameters, Adam(), CPU)
    give_gradients(parameters, 0)
    optimized.step()
    assert [parameter.grad for parameter in parameters] == [None, None]
    give_gradients(parameters, 1)
    optimized.forget_gradients()
    before = [parameter.detach().clone() for parameter in parameters]
    optimized.step()
    assert all(torch.equal(one, other) for one, other in zip(parameters, before, strict=True))


def test_a_run_goes_on_with_each_networks_own_optimizer() -> None:
    """Bit for bit, with what each remembers under its own names, and the versions of both in the checkpoint."""
    registry.add("optimizer", "lion", Lion)
    registry.add("optimizer", "rmsprop", RMSprop)
    try:
        own = {"name": "rmsprop", "alpha": 0.9, "discriminator": {"name": "lion", "lr": 1e-4}}
        recipe = tiny(optimizer=own, snapshot={"every_iterations": 2})
        whole = ganlab.train(recipe, overrides={"train.iterations": 6}, out="whole")
        ganlab.train(recipe, overrides={"train.iterations": 4}, out="parts")
        parts = ganlab.train(recipe, overrides={"train.iterations": 6}, out="parts")
        one, other = (load_file(run.directory / "checkpoints/00000006/state.safetensors") for run in (whole, parts))
    finally:
        registry.remove("optimizer", "lion")
        registry.remove("optimizer", "rmsprop")
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    remembered = {tuple(name.split("/")[i] for i in (1, -1)) for name in one if name.startswith("optimizers/")}
    assert remembered == {("generator", "square_avg"), ("discriminator", "mean")}


class Careless(RMSprop):
    """Remembers what no checkpoint can hold."""

    api = 1

    def state(self, parameter: Tensor) -> dict[str, Tensor]:
        remembered: Any = {"steps": 0}
        return remembered


def test_a_state_that_no_checkpoint_can_hold_is_refused() -> None:
    with pytest.raises(PluginError, match=r"remembers dict of a parameter: state\(\) must return a dict of tensors by"):
        Optimized(weights(), Careless(), CPU)
