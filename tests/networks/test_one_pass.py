"""Two batches through a network in one pass, against two passes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
import torch
from ganlab_conditional import ConditionalDCGAN
from ganlab_dcgan import DCGAN
from torch import Tensor, nn
from toys import tiny

import ganlab
from ganlab import Batch, ImageSpec, Iteration, Model, Update, apart
from ganlab.standard.losses.bce import BCE
from ganlab.testing.tiny import isolated

START, TOGETHER = (Iteration(0, torch.tensor(0.0), one_pass) for one_pass in (False, True))


def passes(network: nn.Module, *inputs: Any) -> int:
    """Return how often the network was called meanwhile."""
    calls = []
    handle = network.register_forward_hook(lambda *_: calls.append(1))
    apart(network, *inputs)
    handle.remove()
    return len(calls)


@pytest.mark.parametrize(
    "model",
    [
        DCGAN(base_channels=4),
        DCGAN(base_channels=4, head="linear"),
        DCGAN(base_channels=4, discriminator_batchnorm=False),
        DCGAN(base_channels=4, head_channels=5),
        ConditionalDCGAN(base_channels=4),
        ConditionalDCGAN(base_channels=4, discriminator="projection"),
    ],
)
def test_both_batches_have_the_logits_gradients_and_statistics_of_a_pass_of_their_own(model: Model) -> None:
    torch.manual_seed(0)
    images = ImageSpec(3, 32, 32, 5 if model.conditional else 0)
    built = model.build(images)["discriminator"].double().to(memory_format=torch.channels_last)
    real, fake = torch.randn(2, 6, 3, 32, 32, dtype=torch.float64)
    fake = 3.0 * fake + 1.0  # of quite other statistics
    condition = (torch.arange(6) % 5,) if model.conditional else ()
    outcomes: list[list[Tensor]] = []
    for place in (START, TOGETHER):
        network = copy.deepcopy(built)
        logits = apart(network, [real, fake], condition, place)
        (logits[0].square().sum() + logits[1].sin().sum()).backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        outcomes.append([*logits, *(g for g in gradients if g is not None), *(b.double() for b in network.buffers())])
    assert len(outcomes[0]) == len(outcomes[1]) >= 8
    for one, other in zip(*outcomes, strict=True):
        assert (one - other).abs().max() <= 1e-12 * other.abs().max()
    assert passes(built, [real, fake], condition, START) == 2
    assert passes(built, [real, fake], condition, TOGETHER) == 1


def test_in_float32_rounding_is_all_that_differs() -> None:
    torch.manual_seed(0)
    network = DCGAN().build(ImageSpec(3, 64, 64))["discriminator"].to(memory_format=torch.channels_last)
    real, fake = torch.randn(2, 8, 3, 64, 64)
    for one, other in zip(*(apart(network, [real, fake], (), place) for place in (START, TOGETHER)), strict=True):
        assert (one - other).abs().max() <= 1e-6 * max(1.0, float(other.detach().abs().max()))


def test_batches_that_are_differentiated_by_or_not_of_one_size_go_one_after_the_other() -> None:
    network = DCGAN(base_channels=4).build(ImageSpec(3, 32, 32))["discriminator"]
    real, fake = torch.randn(2, 6, 3, 32, 32)
    assert passes(network, [real.requires_grad_(), fake], (), TOGETHER) == 2
    assert passes(network, [fake, fake[:4]], (), TOGETHER) == 2


def test_a_network_that_raises_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(5, 1, 3))
    with pytest.raises(RuntimeError, match="channels"):
        apart(network, [torch.randn(2, 3, 4, 4)] * 2, (), TOGETHER)
    assert type(network[0]) is nn.BatchNorm2d


class Watching(BCE):
    """Notes what the host lets it do."""

    api = 1
    seen: ClassVar[list[bool]] = []

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        self.seen.append(iteration.one_pass)
        return super().updates(networks, batches, iteration)


def test_where_bits_are_promised_the_host_lets_no_batches_go_together() -> None:
    with isolated({"watching": Watching}):
        ganlab.train(tiny(loss={"name": "watching"}))
    assert Watching.seen
    assert not any(Watching.seen)
