"""The networks that a model ships, as one module."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ganlab.networks.shipment import Shipment, named_state, parts, shipment
from ganlab.testing.toys import IMAGES, Tiny, TinyEncoding


def test_a_generator_that_ships_alone_is_itself() -> None:
    networks = Tiny().build(IMAGES)
    assert shipment(Tiny(), networks) is networks["generator"]
    assert parts(networks["generator"]) == {"generator": networks["generator"]}
    assert [name for name, _ in named_state(networks["generator"])] == list(networks["generator"].state_dict())


def test_a_shipment_holds_what_is_shipped_and_computes_what_the_generator_does() -> None:
    networks = TinyEncoding().build(IMAGES)
    shipped = shipment(TinyEncoding(), networks).eval()
    assert parts(shipped) == {"generator": networks["generator"], "encoder": networks["encoder"]}
    z = torch.randn(3, 4)
    assert torch.equal(shipped(z), networks["generator"](z))
    names = [name for name, _ in named_state(shipped)]
    assert names == [*networks["generator"].state_dict(), "encoder/1.weight", "encoder/1.bias"]


def test_weights_that_its_networks_share_stay_shared_in_a_copy() -> None:
    layer = nn.Linear(2, 2)
    shipped = copy.deepcopy(Shipment({"encoder": nn.Sequential(layer), "generator": nn.Sequential(layer)}))
    assert list(parts(shipped)) == ["generator", "encoder"], "the generator comes first"
    generator, encoder = parts(shipped).values()
    assert generator.get_parameter("0.weight") is encoder.get_parameter("0.weight")
    assert len(list(shipped.parameters())) == 2
