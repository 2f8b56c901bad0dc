"""What a run's state is made of: its tensors and their names, what a seed decides, and what is refused."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from ganlab_conditional import ConditionalDCGAN
from torch import Tensor, nn
from toys import tiny

from ganlab import ImageSpec, Model, PluginError
from ganlab.distributed.ranks import Place, Ranks
from ganlab.errors import NonFiniteError
from ganlab.recipe.recipe import parse_recipe
from ganlab.recipe.settings import MovingAverage as AverageOptions
from ganlab.standard.optimizers.adam import Adam
from ganlab.training.average import MovingAverage
from ganlab.training.optimizer import Optimized
from ganlab.training.state import (
    State,
    buffer_rows,
    build_networks,
    build_state,
    parameter_counts,
    set_buffers,
)

CPU = torch.device("cpu")
ALONE = Ranks(Place(0, 1, 0), CPU)
IMAGES = ImageSpec(1, 8, 8)


def small_state() -> State:
    """A generator with BatchNorm and a frozen layer, and a discriminator that shares its last layer."""
    torch.manual_seed(0)
    shared, frozen = nn.Linear(3, 3), nn.Linear(3, 3, bias=False).requires_grad_(False)
    networks: dict[str, nn.Module] = {
        "generator": nn.Sequential(nn.BatchNorm1d(3), frozen, shared),
        "discriminator": nn.Sequential(shared, nn.Linear(3, 1)),
    }
    optimizers = {
        name: Optimized([p for p in network.parameters() if p.requires_grad], Adam(), CPU)
        for name, network in networks.items()
    }
    return State(networks, optimizers, MovingAverage(networks["generator"], AverageOptions(), 8), networks)


def test_every_tensor_comes_once_with_a_name_of_its_own() -> None:
    batchnorm = [f"0.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]
    moments = ("step", "exp_avg", "exp_avg_sq")
    trained = {"generator": ("0.weight", "0.bias", "2.weight", "2.bias"), "discriminator": ("0.weight", "0.bias")}
    trained["discriminator"] += ("1.weight", "1.bias")
    expected = [f"networks/generator/{name}" for name in (*batchnorm, "1.weight", "2.weight", "2.bias")]
    expected += ["networks/discriminator/1.weight", "networks/discriminator/1.bias"]  # not what the two share, again
    expected += [
        f"optimizers/{network}/{name}/{key}" for network, names in trained.items() for name in names for key in moments
    ]
    expected += [f"average/{name}" for name in ("0.weight", "0.bias", "1.weight", "2.weight", "2.bias")]
    assert [name for name, _ in small_state().tensors()] == expected


def test_only_a_rollback_changes_the_seed_of_what_is_drawn() -> None:
    state = small_state()
    seeds = []
    for state.rollbacks in range(4):
        assert state.seed(7) == state.seed(7)
        seeds.append(state.seed(7))
    assert seeds[0] == 7
    assert len(set(seeds)) == 4


def test_the_largest_magnitude_of_each_tensor_is_told() -> None:
    state = small_state()
    with torch.no_grad():
        next(state.networks["generator"].buffers()).copy_(torch.tensor([1.0, -3e38, 2.0]))
    magnitudes = state.magnitudes()
    found = dict(zip(magnitudes.names, magnitudes.values.tolist(), strict=True))
    expected = {name: np.abs(tensor.numpy()).max() for name, tensor in state.tensors() if tensor.is_floating_point()}
    assert found == expected
    assert found["networks/generator/0.running_mean"] == pytest.approx(3e38)
    state.refuse_non_finite(ALONE)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_tensor_that_is_not_finite_is_named(value: float) -> None:
    state = small_state()
    state.iteration = 41
    broken = dict(state.tensors())
    for name in ("networks/generator/2.bias", "average/0.bias"):
        broken[name][1] = value
    with pytest.raises(NonFiniteError) as caught:
        state.refuse_non_finite(ALONE)
    assert (caught.value.what, caught.value.iteration) == ("networks/generator/2.bias", 41)


def test_buffers_go_through_a_row_and_come_back_exactly() -> None:
    state = small_state()
    mean, variance, count = state.buffers()
    mean.copy_(torch.tensor([0.1, 1e-30, -3.5]))
    count.fill_(2**40 + 1)  # more than float32 counts
    before = [buffer.clone() for buffer in state.buffers()]
    rows = buffer_rows(state, ALONE)
    assert (rows.shape, rows.dtype) == ((1, 7), torch.float64)
    for buffer in (mean, variance, count):
        buffer.zero_()
    set_buffers(state.buffers(), rows[0])
    assert all(torch.equal(buffer, other) for buffer, other in zip(state.buffers(), before, strict=True))
    set_buffers([count], torch.tensor([[4.0], [5.0], [5.0]]).double().mean(0))  # of three ranks
    assert count.item() == 5, "rounded"


def test_networks_without_buffers_have_rows_without_columns() -> None:
    assert buffer_rows(State({"generator": nn.Linear(2, 2)}, {}, None, {}), ALONE).shape == (1, 0)


def values(state: State) -> dict[str, Tensor]:
    return dict(state.tensors())


def test_the_seed_alone_decides_the_first_weights() -> None:
    recipe = parse_recipe(tiny())
    one = build_state(recipe, IMAGES, CPU)
    torch.rand(5)
    other = build_state(recipe, IMAGES, CPU)
    assert all(torch.equal(value, values(other)[name]) for name, value in values(one).items())
    third = build_state(parse_recipe(tiny(seed=1)), IMAGES, CPU)
    assert not torch.equal(*(next(state.networks["generator"].parameters()) for state in (one, third)))


def test_networks_are_built_to_be_trained_with_their_own_options() -> None:
    recipe = parse_recipe(tiny(optimizer={"lr": 0.1, "discriminator": {"lr": 0.2}}, moving_average={"enabled": False}))
    state = build_state(recipe, IMAGES, CPU)
    assert state.average is None
    assert state.seen_by_loss is state.networks
    for name, rate in (("generator", 0.1), ("discriminator", 0.2)):
        network, adam = state.networks[name], state.optimizers[name]
        assert network.training
        assert all(
            parameter.is_contiguous(memory_format=torch.channels_last)
            for parameter in network.parameters()
            if parameter.dim() == 4
        )
        before = [parameter.detach().clone() for parameter in network.parameters()]
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        adam.step()
        # Adam's first step is its rate, whatever the gradient.
        for parameter, start in zip(network.parameters(), before, strict=True):
            np.testing.assert_allclose((start - parameter).detach(), rate, rtol=1e-5)


class Broken(Model):
    """Builds what a test wants."""

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "critic")

    def check(self, images: ImageSpec) -> None: ...

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {name: nn.Linear(2, 2).eval() for name in BUILT} if BUILT else {"generator": 3, "critic": 4}  # type: ignore[dict-item]


BUILT: list[str] = []
"""Names of networks, or none for something that is no network."""


@pytest.mark.parametrize("built", [["generator"], ["generator", "critic", "head"], []])
def test_networks_other_than_the_model_states_are_refused(built: list[str]) -> None:
    BUILT[:] = built
    names = sorted(built or ["generator", "critic"])
    with pytest.raises(PluginError) as caught:
        build_networks(Broken(), IMAGES)
    assert str(caught.value).endswith(f"states the networks ['critic', 'generator'], but built {names}")


def test_networks_come_in_the_order_that_the_model_states() -> None:
    BUILT[:] = ["critic", "generator"]
    assert list(build_networks(Broken(), IMAGES)) == ["generator", "critic"]


def test_what_the_loss_does_not_move_has_no_optimizer() -> None:
    BUILT[:] = ["critic", "generator"]
    recipe = parse_recipe(tiny())
    model = {**recipe.components, "model": Broken()}
    state = build_state(dataclasses.replace(recipe, components=model), IMAGES, CPU)
    assert list(state.optimizers) == ["generator"], "bce knows of no critic"
    assert all(network.training for network in state.networks.values()), "though they were built to be used"


def test_a_model_with_labels_is_refused_where_there_are_none() -> None:
    model = ConditionalDCGAN(base_channels=4)
    with pytest.raises(PluginError, match="needs class labels, but this data has none; use a dataset with labels"):
        build_networks(model, ImageSpec(1, 16, 16))
    assert build_networks(model, ImageSpec(1, 16, 16, 3)).keys() == {"generator", "discriminator"}


def test_parameters_are_counted_by_network_where_they_can_be_trained() -> None:
    # BatchNorm 3 + 3, frozen 0, shared 3 * 3 + 3; shared again, and 3 + 1.
    assert parameter_counts(small_state().networks) == {"generator": 18, "discriminator": 16}
