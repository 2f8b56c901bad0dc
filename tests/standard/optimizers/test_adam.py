"""Adam, bit for bit against torch's class and by the formulas of the paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from optimizers import RATES, give_gradients, weights
from torch import Tensor

from ganlab.standard.optimizers.adam import Adam
from ganlab.training.optimizer import Optimized

CPU = torch.device("cpu")
OPTIONS = Adam(lr=3e-3, betas=(0.6, 0.98), eps=1e-6)


def test_it_leaves_the_bits_of_torchs_own() -> None:
    """Falling learning rates, a parameter without a gradient, weights that lie channel by channel."""
    mine, theirs = weights(), weights()
    adam = Optimized(mine, OPTIONS, CPU)
    reference = torch.optim.Adam(theirs, lr=OPTIONS.lr, betas=OPTIONS.betas, eps=OPTIONS.eps, fused=True)
    for step, rate in enumerate(RATES):
        give_gradients(mine, step)
        give_gradients(theirs, step)
        adam.lr.fill_(rate)
        reference.param_groups[0]["lr"] = rate
        adam.step()
        reference.step()
    for one, other in zip(mine, theirs, strict=True):
        assert torch.equal(one, other)
        for name, value in reference.state[other].items():
            assert torch.equal(adam.state[one][name], value), name


def test_it_follows_the_formulas_of_the_paper() -> None:
    """Kingma and Ba 2014, algorithm 1, in float64; without a gradient nothing is moved and no step counted."""
    parameters = weights()
    adam = Optimized(parameters, OPTIONS, CPU)
    (beta1, beta2), eps = OPTIONS.betas, OPTIONS.eps
    theta = [parameter.detach().double().numpy().copy() for parameter in parameters]
    m, v, t = [np.zeros_like(x) for x in theta], [np.zeros_like(x) for x in theta], [0, 0]
    for step, alpha in enumerate(RATES):
        give_gradients(parameters, step)
        for i, parameter in enumerate(parameters):
            if parameter.grad is None:
                continue
            g = parameter.grad.double().numpy()
            t[i] += 1
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            theta[i] -= alpha * (m[i] / (1 - beta1 ** t[i])) / (np.sqrt(v[i] / (1 - beta2 ** t[i])) + eps)
        adam.lr.fill_(alpha)
        adam.step()
    for parameter, expected in zip(parameters, theta, strict=True):
        np.testing.assert_allclose(parameter.detach(), expected, rtol=1e-5, atol=1e-6)
    assert [int(adam.state[parameter]["step"]) for parameter in parameters] == t == [5, 4]


def test_its_state_is_there_before_the_first_step_and_lies_as_the_weights_do() -> None:
    parameters = weights()
    adam = Optimized(parameters, OPTIONS, CPU)
    for parameter in parameters:
        assert adam.state[parameter].keys() == {"step", "exp_avg", "exp_avg_sq"}
        for name in ("exp_avg", "exp_avg_sq"):
            assert adam.state[parameter][name].stride() == parameter.stride()


@pytest.mark.parametrize("changing", [0, 1])
def test_betas_that_change_are_those_of_the_step(changing: int) -> None:
    """As published code has it, which writes each step's betas into torch's own Adam; and without a host's number."""
    mine, theirs = weights(), weights()
    numbers: list[float | Tensor] = [0.0, 0.9]
    numbers[changing] = beta = torch.zeros((), dtype=torch.float64)
    optimized = Optimized(mine, OPTIONS.model_copy(update={"betas": tuple(numbers)}), CPU)
    reference = torch.optim.Adam(theirs, lr=OPTIONS.lr, eps=OPTIONS.eps, foreach=False)
    for step, value in enumerate((0.5, 0.6, 0.7, 0.8, 0.85)):
        give_gradients(mine, step)
        give_gradients(theirs, step)
        beta.fill_(value)
        reference.param_groups[0]["betas"] = (value, 0.9) if changing == 0 else (0.0, value)
        optimized.step()
        reference.step()
    for one, other in zip(mine, theirs, strict=True):
        assert one.stride() == other.stride()
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        for name, remembered in reference.state[other].items():
            torch.testing.assert_close(optimized.state[one][name], remembered, rtol=1e-5, atol=1e-7)
