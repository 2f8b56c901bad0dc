"""One iteration against a DCGAN step written by hand and operator by operator, and what a loss must not do."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from ganlab_dcgan import DCGAN
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils._python_dispatch import TorchDispatchMode

from ganlab import Augmentation, Batch, ImageSpec, Iteration, Loss, PluginError, Update
from ganlab.distributed.ranks import Place, Ranks
from ganlab.hardware.device import autocast
from ganlab.standard.losses.bce import BCE
from ganlab.standard.optimizers.adam import Adam
from ganlab.training.brought import Brought
from ganlab.training.iteration import run_iteration
from ganlab.training.optimizer import Optimized
from ganlab.training.state import State
from ganlab.training.statistics import Statistics

CPU = torch.device("cpu")
ALONE = Ranks(Place(0, 1, 0), CPU)
IMAGES = ImageSpec(1, 8, 8)
MODEL = DCGAN(base_channels=4, latent_dim=6, generator_dropout=0.2, discriminator_dropout=0.2)


def fresh_state(model: DCGAN = MODEL, layout: torch.memory_format = torch.channels_last) -> State:
    torch.manual_seed(0)
    networks = model.build(IMAGES)
    for network in networks.values():
        network.to(memory_format=layout)
    optimizers = {name: Optimized(list(network.parameters()), Adam(lr=1e-3), CPU) for name, network in networks.items()}
    return State(networks, optimizers, None, networks)


def batches(seed: int = 1) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        real = torch.rand(8, 1, 8, 8, generator=generator).mul(2).sub(1).to(memory_format=torch.channels_last)
        yield Batch(real, {"z": torch.randn(8, 6, generator=generator)}, ())


def train(state: State, loss: Loss, iterations: int) -> list[Update]:
    seen: list[Update] = []

    def observe(update: Update, gradient_norm: Tensor) -> None:
        seen.append(update)

    source = batches()
    for index in range(iterations):
        torch.manual_seed(100 + index)
        run_iteration(loss, state, source, Iteration(0, torch.zeros(())), autocast("fp32", CPU), observe, ALONE)
    return seen


def by_hand(networks: dict[str, nn.Module], iterations: int, fused: bool, k: int, generator_first: bool) -> list[float]:
    """The textbook loop: two backward passes through everything, optimizers of torch's own making.

    The cross-entropies are written out, -label log s(l) - (1 - label) log(1 - s(l)), s the logistic function.
    """
    G, D = networks["generator"], networks["discriminator"]
    adam_g = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.999), fused=fused)
    adam_d = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.999), fused=fused)
    losses = []
    source = batches()

    def step_d(real: Tensor, fake: Tensor) -> None:
        D.zero_grad()
        logits = D(real)
        loss = (0.9 * F.softplus(-logits) + (1 - 0.9) * F.softplus(logits)).mean()
        loss = loss + F.softplus(D(fake.detach())).mean()
        loss.backward()
        adam_d.step()
        losses.append(loss.item())

    def step_g(fake: Tensor) -> None:
        G.zero_grad()
        loss = F.softplus(-D(fake)).mean()
        loss.backward()
        adam_g.step()
        losses.append(loss.item())

    for index in range(iterations):
        torch.manual_seed(100 + index)
        if generator_first:
            batch = next(source)
            fake = G(batch.inputs["z"])
            step_g(fake)
            step_d(batch.real, fake)
        for step in range(k - generator_first):
            batch = next(source)
            fake = G(batch.inputs["z"])
            step_d(batch.real, fake)
            if step == k - 1:
                step_g(fake)
    return losses


@pytest.mark.parametrize(("k", "generator_first"), [(1, False), (3, False), (1, True), (3, True)])
def test_five_iterations_are_bit_identical_to_the_textbook(k: int, generator_first: bool) -> None:
    state = fresh_state()
    networks = copy.deepcopy(state.networks)
    loss = BCE(real_label=0.9, discriminator_steps=k, generator_first=generator_first)
    updates = train(state, loss, 5)
    expected = by_hand(networks, 5, True, k, generator_first)
    assert [update.loss.item() for update in updates] == expected
    for name, network in networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, state.networks[name].state_dict()[key]), f"{name}.{key}"


def test_layout_and_fused_adam_change_nothing_but_rounding() -> None:
    model = DCGAN(base_channels=4, latent_dim=6)
    state, plain = fresh_state(model), fresh_state(model, torch.contiguous_format)
    train(state, BCE(real_label=0.9), 3)
    by_hand(plain.networks, 3, False, 1, False)
    for name, network in plain.networks.items():
        for key, value in network.named_parameters():
            ours = state.networks[name].get_parameter(key)
            np.testing.assert_allclose(ours.detach(), value.detach(), rtol=0, atol=2e-4)


class Scripted(Loss):
    """Yields what a test wants."""

    api = 1

    def updates(self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration) -> Any:
        return SCRIPT[0](networks, batches)


SCRIPT: list[Any] = [None]


def run_script(script: Any) -> None:
    SCRIPT[0] = script
    train(fresh_state(), Scripted(), 1)


def test_no_weight_gradient_is_computed_for_a_network_that_is_not_updated() -> None:
    def script(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
        yield Update("generator", networks["discriminator"](networks["generator"](next(batches).inputs["z"])).mean())
        gradients = [parameter.grad for network in networks.values() for parameter in network.parameters()]
        assert gradients == [None] * len(gradients)

    run_script(script)


def test_one_loss_may_move_both_networks() -> None:
    def script(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
        before = {name: copy.deepcopy(network.state_dict()) for name, network in networks.items()}
        output = networks["discriminator"](networks["generator"](next(batches).inputs["z"]))
        yield Update(("generator", "discriminator"), output.square().mean())
        for name, network in networks.items():
            for key, parameter in network.named_parameters():
                assert not torch.equal(before[name][key], parameter), f"{name}.{key}"

    run_script(script)


def leaves_no_grad(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
    with torch.no_grad():
        yield Update("generator", torch.ones((), requires_grad=True))


def wrong_name(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
    yield Update("critic", networks["generator"](next(batches).inputs["z"]).mean())


def wrong_shape(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
    yield Update("generator", networks["generator"](next(batches).inputs["z"]))


def detached(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
    yield Update("generator", networks["generator"](next(batches).inputs["z"]).mean().detach())


def foreign(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
    yield Update("discriminator", networks["generator"](next(batches).inputs["z"]).mean())


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (leaves_no_grad, "changed torch's grad or autocast mode across a yield"),
        (wrong_name, "updates ['critic'], but states networks = ('generator', 'discriminator')"),
        (wrong_shape, "yields a loss of shape (8, 1, 8, 8); it must be one number"),
        (foreign, "yields a loss for discriminator that depends on none of its weights"),
        (detached, "yields a loss for generator that depends on no trainable weight"),
    ],
)
def test_a_loss_that_breaks_the_rules_is_told_so(script: Any, sentence: str) -> None:
    with pytest.raises(PluginError) as caught:
        run_script(script)
    assert sentence in str(caught.value)
    assert "Scripted" in str(caught.value)
    assert torch.is_grad_enabled()


def test_the_gradient_norm_is_that_of_all_the_networks_weights() -> None:
    norms: list[float] = []
    state = fresh_state()

    def script(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
        loss = networks["generator"](next(batches).inputs["z"]).square().mean()
        gradients = torch.autograd.grad(loss, list(networks["generator"].parameters()), retain_graph=True)
        norms.append(torch.cat([gradient.flatten() for gradient in gradients]).norm().item())
        yield Update("generator", loss)

    SCRIPT[0] = script
    run_iteration(
        Scripted(),
        state,
        batches(),
        Iteration(0, torch.zeros(())),
        autocast("fp32", CPU),
        lambda update, norm: norms.append(norm.item()),
        ALONE,
    )
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)


class Negative(Augmentation):
    """Turns light into dark, and counts its calls."""

    api = 1
    _calls: int = 0

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        self._calls += 1
        return -images


def test_an_augmentation_stands_before_every_call_of_the_discriminator() -> None:
    model = DCGAN(base_channels=4, latent_dim=6)
    negative, state = Negative(), fresh_state(model)
    plain = copy.deepcopy(state.networks)
    state = dataclasses.replace(state, seen_by_loss=Brought([(negative, {})]).seen_by_loss(state.networks))
    updates = train(state, BCE(), 1)
    assert negative._calls == 3, "real, fake, and fake again for the generator"

    batch = next(batches())
    fake = plain["generator"](batch.inputs["z"])
    D = plain["discriminator"]
    expected = F.binary_cross_entropy_with_logits(D(-batch.real), torch.ones(8))
    expected = expected + F.binary_cross_entropy_with_logits(D(-fake), torch.zeros(8))
    assert updates[0].loss.item() == expected.item()
    ours, theirs = (networks["generator"].get_parameter("1.weight") for networks in (state.networks, plain))
    assert not torch.equal(ours, theirs), "gradients flow"


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
    # Four levels, 64 px: each network has 4 convolutions; the projection and the head are products.
    networks = DCGAN(base_channels=4).build(ImageSpec(3, 64, 64))
    forwards = 0

    def count_forward(*_: object) -> None:
        nonlocal forwards
        forwards += 1

    networks["generator"].register_forward_hook(count_forward)
    optimizers = {name: Optimized(list(network.parameters()), Adam(), CPU) for name, network in networks.items()}
    state = State(networks, optimizers, None, networks)
    statistics = Statistics(CPU)
    batch = Batch(torch.zeros(2, 3, 64, 64), {"z": torch.zeros(2, 100)}, ())

    def iterate() -> None:
        progress = Iteration(0, torch.zeros(()))
        run_iteration(BCE(), state, iter([batch]), progress, autocast("fp32", CPU), statistics.add, ALONE)
        statistics.close()

    iterate()
    forwards = 0
    with Counting() as counting:
        iterate()
    calls = counting.calls
    # G once, D on real, D on fake, D on fake again. Weight gradients: D twice, G once.
    # Input gradients: none for the first layer of what starts a graph.
    assert calls["convolution"] == 4 + 3 * 4
    assert calls["input gradient"] == 4 + 2 * 3 + 4
    assert calls["weight gradient"] == 4 + 2 * 4
    assert calls["mm"] == 2 + 3 + 3 + 2, "the projection, there and back; the head, its inputs' and weights' gradients"
    assert forwards == 1
    assert calls["_fused_adam_"] == 2
    assert calls["_local_scalar_dense"] == 0, "the host must not read the device within an iteration"


class Slipping(Loss):
    """Does what is easily done by mistake."""

    api = 1
    how: str

    def updates(self, networks: Any, batches: Any, iteration: Any) -> Any:
        loss = networks["generator"](*next(batches).inputs.values()).mean()
        if self.how == "list":
            return [Update("generator", loss)]
        if self.how == "tuple":
            return (Update("generator", loss),)
        if self.how == "nothing":
            return None
        return self.yielded(loss)

    def yielded(self, loss: Tensor) -> Iterator[Any]:
        yield {
            "pair": ("generator", loss),
            "none": None,
            "number": Update("generator", loss.item()),  # type: ignore[arg-type]
            "unknown": Update("critic", loss),
            "constant": Update("generator", loss.detach()),
            "many": Update("generator", torch.stack([loss, loss])),
        }[self.how]


SLIPS = {
    "list": r"updates\(\) returns a list: yield each Update by itself, .*LINE",
    "tuple": r"updates\(\) returns a tuple: yield each Update by itself, .*LINE",
    "nothing": r"updates\(\) returns None, for it has no yield: yield each Update by itself, .*LINE",
    "pair": r"yields a tuple: write yield Update\(network, loss\) or Update\(network, loss, stats\) LINE",
    "none": r"yields a NoneType: write yield Update.* LINE",
    "number": r"yields an Update whose loss is a float: it must be a tensor of one number LINE",
    "unknown": r"updates \['critic'\], but states networks = .* LINE",
    "constant": r"yields a loss for generator that depends on no trainable weight LINE",
    "many": r"yields a loss of shape \(2,\); it must be one number LINE",
}


@pytest.mark.parametrize("how", SLIPS)
def test_a_slip_of_a_loss_is_one_sentence_with_its_line(how: str) -> None:
    loss = Slipping(how=how)
    state = fresh_state()
    place = Iteration(0, torch.zeros(()))
    with pytest.raises(PluginError) as caught:
        run_iteration(loss, state, batches(), place, autocast("fp32", CPU), lambda *_: None, ALONE)
    line = str(caught.value)
    found = re.search(r"\(test_iteration\.py:(\d+)\)$", line)
    assert found, line
    assert re.search(SLIPS[how].replace("LINE", ""), line), line
    code = (Slipping.updates if how in ("list", "tuple", "nothing") else Slipping.yielded).__code__
    last = max(number for *_, number in code.co_lines() if number)
    assert code.co_firstlineno <= int(found[1]) <= last
