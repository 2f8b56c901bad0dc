"""The moving average against its formula, and re-estimated BatchNorm statistics against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ganlab.recipe.settings import MovingAverage as Options
from ganlab.training.average import MovingAverage, reestimate_batchnorm, shipped_copy


def test_the_average_follows_its_formula_with_warm_up() -> None:
    layer = nn.Linear(2, 1, bias=False)
    average = MovingAverage(layer, Options(decay=0.5))
    expected = layer.weight.detach().double().numpy().copy()
    for t in range(20):
        with torch.no_grad():
            layer.weight.copy_(torch.full((1, 2), float(t * t)))
        average.begin(t)
        average.update()
        decay = min(0.5, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * t * t
    (_, value), *_ = average.tensors()
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5)


def test_without_warm_up_the_first_update_already_keeps_the_full_decay() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    average = MovingAverage(layer, Options(decay=0.75, warm_up=False))
    nn.init.ones_(layer.weight)
    average.begin(0)
    average.update()
    assert dict(average.tensors())["weight"].item() == pytest.approx(0.25)


def test_reestimated_statistics_are_the_means_over_the_batches() -> None:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    batches = [torch.randn(8, 3) for _ in range(5)]
    before = torch.get_rng_state()
    reestimate_batchnorm(generator, ((z,) for z in batches))
    assert torch.equal(torch.get_rng_state(), before), "dropout must stay off"

    weight, bias = (parameter.detach().numpy() for parameter in generator[0].parameters())
    hidden = [z.numpy() @ weight.T + bias for z in batches]
    np.testing.assert_allclose(
        generator.get_buffer("2.running_mean").numpy(), np.mean([h.mean(0) for h in hidden], 0), atol=1e-5
    )
    np.testing.assert_allclose(
        generator.get_buffer("2.running_var").numpy(), np.mean([h.var(0, ddof=1) for h in hidden], 0), rtol=1e-4
    )
    assert not any(module.training for module in generator.modules())
    assert generator[2].momentum == 0.1


def test_the_shipped_copy_changes_nothing_of_the_generator() -> None:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).train()
    average = MovingAverage(generator, Options())
    with torch.no_grad():
        generator.get_parameter("0.weight").add_(1.0)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    copied = shipped_copy(generator, average)
    reestimate_batchnorm(copied, ((torch.randn(8, 3),) for _ in range(2)))
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())
    assert generator.training
    weights = [network.get_parameter("0.weight").detach().numpy() for network in (copied, generator)]
    np.testing.assert_allclose(weights[0] + 1.0, weights[1], rtol=1e-6)
