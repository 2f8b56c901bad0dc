"""Which tensors a new training takes from another, by name and shape."""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import nn

from ganlab.recipe.settings import MovingAverage as Options
from ganlab.training.average import MovingAverage
from ganlab.training.state import State
from ganlab.training.warm_start import Fitted, fill


def state(**networks: nn.Module) -> State:
    average = MovingAverage(networks["generator"], Options(), 64)
    return State(dict(networks), {}, average, MappingProxyType({}))


def test_shape_and_type_decide_and_nothing_else_is_touched() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.BatchNorm1d(3))
    own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    saved = {name: torch.full_like(tensor, 5) for name, tensor in own.items()}
    saved["0.weight"] = torch.full((3, 4), 5.0)
    saved["1.weight"] = torch.full((3, 3), 5.0, dtype=torch.float64)
    saved["unknown"] = torch.ones(1)
    del saved["2.bias"]
    assert fill(state(generator=network), {"generator": saved, "nobody": saved}) == [Fitted("generator", 6, 9)]
    for name, tensor in network.state_dict().items():
        expected = own[name] if name in ("0.weight", "1.weight", "2.bias") else torch.full_like(own[name], 5)
        assert torch.equal(tensor, expected), name


def test_shared_weights_are_those_of_the_generator_and_count_in_both() -> None:
    shared = nn.Linear(2, 2, bias=False)
    networks = {"critic": nn.Sequential(shared), "generator": nn.Sequential(shared, nn.Tanh())}
    live, averaged = torch.full((2, 2), 1.0), torch.full((2, 2), 2.0)
    of = state(**networks)
    found = fill(of, {"critic": {"0.weight": live}, "generator": {"0.weight": averaged}})
    assert found == [Fitted("critic", 1, 1), Fitted("generator", 1, 1)]
    assert torch.equal(shared.weight, averaged)
    assert of.average is not None
    assert torch.equal(dict(of.average.tensors())["0.weight"], averaged)


def test_statistics_that_fit_by_chance_are_no_fit() -> None:
    network = nn.Sequential(nn.BatchNorm1d(3))
    saved = {"0.num_batches_tracked": torch.tensor(9), "0.weight": torch.ones(4)}
    assert fill(state(generator=network), {"generator": saved}) is None
    assert network.state_dict()["0.num_batches_tracked"] == 0
