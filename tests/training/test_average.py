"""The moving average against its formula, and re-estimated BatchNorm statistics against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synchronisations import Synchronisations
from torch import nn

from ganlab.interfaces import Position
from ganlab.recipe.schedules import number_at
from ganlab.recipe.settings import MovingAverage as Options
from ganlab.training.average import MovingAverage, reestimate_batchnorm, shipped_copy


def at(iteration: int, batch_size: int = 8) -> Position:
    return Position(images=iteration * batch_size, epochs=0.0, iterations=iteration, progress=0.0)


def test_the_average_follows_its_formula_with_warm_up() -> None:
    """Karras et al. 2022's published code: beta = 0.5^(batch / min(half-life, 0.05 pictures so far))."""
    layer = nn.Linear(2, 1, bias=False)
    average = MovingAverage(layer, Options(half_life_images=40.0), 8)
    expected = layer.weight.detach().double().numpy().copy()
    for t in range(200):
        with torch.no_grad():
            layer.weight.copy_(torch.full((1, 2), float(t * t)))
        average.begin(at(t))
        average.update()
        decay = 0.5 ** (8 / max(min(40.0, 0.05 * 8 * t), 1e-8))
        expected = decay * expected + (1 - decay) * t * t
    (_, value), *_ = average.tensors()
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 16, 64, 128])
def test_after_the_half_life_the_old_weights_count_half_whatever_the_batch_size(batch_size: int) -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    average = MovingAverage(layer, Options(half_life_images=256.0, warm_up=False), batch_size)
    nn.init.ones_(layer.weight)
    for t in range(256 // batch_size):
        average.begin(at(t, batch_size))
        average.update()
    assert dict(average.tensors())["weight"].item() == pytest.approx(0.5, abs=1e-6)


def test_by_default_it_keeps_about_as_much_as_0_999_at_each_iteration_of_64() -> None:
    assert 0.5 ** (64 / number_at(Options().half_life_images, at(0))) == pytest.approx(0.999, abs=2e-5)


def test_the_half_life_may_have_a_schedule() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    changing = {"from": 8.0, "to": 16.0, "shape": "step", "after": 8, "images": 8}
    options = Options.model_validate({"half_life_images": changing, "warm_up": False})
    average, seen = MovingAverage(layer, options, 8), []
    nn.init.ones_(layer.weight)
    for t in range(4):
        average.begin(at(t))
        average.update()
        seen.append(1 - dict(average.tensors())["weight"].item())
    root = 0.5**0.5
    assert seen == pytest.approx([0.5, 0.25, 0.25 * root, 0.125], abs=1e-6)


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


class Twice(nn.Module):
    """Calls one BatchNorm layer twice, and a layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last = nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        self.norm(z)
        made: torch.Tensor = self.last(self.norm(2.0 * z + 1.0))
        return made


def test_each_call_of_a_layer_weighs_the_same_and_what_lies_behind_the_last_is_left_out() -> None:
    generator = Twice().eval()
    behind: list[None] = []
    generator.last.register_forward_hook(lambda *_: behind.append(None))
    batches = [torch.randn(8, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(5)]
    with Synchronisations() as waits:
        reestimate_batchnorm(generator, ((z,) for z in batches))
    assert waits.count == 0
    seen = [scale * z.double().numpy() + shift for z in batches for scale, shift in ((1, 0), (2, 1))]
    np.testing.assert_allclose(
        generator.get_buffer("norm.running_mean").numpy(), np.mean([h.mean(0) for h in seen], 0), atol=1e-6
    )
    np.testing.assert_allclose(
        generator.get_buffer("norm.running_var").numpy(), np.mean([h.var(0, ddof=1) for h in seen], 0), rtol=1e-5
    )
    assert len(behind) == 1, "it is run once, to see how often BatchNorm is called"
    assert generator(batches[0]).shape == (8, 2)
    assert len(behind) == 2, "nothing is left out any more"


def test_the_shipped_copy_changes_nothing_of_the_generator() -> None:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).train()
    average = MovingAverage(generator, Options(), 8)
    with torch.no_grad():
        generator.get_parameter("0.weight").add_(1.0)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    copied = shipped_copy(generator, average)
    reestimate_batchnorm(copied, ((torch.randn(8, 3),) for _ in range(2)))
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())
    assert generator.training
    weights = [network.get_parameter("0.weight").detach().numpy() for network in (copied, generator)]
    np.testing.assert_allclose(weights[0] + 1.0, weights[1], rtol=1e-6)
