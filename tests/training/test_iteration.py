"""One iteration against a DCGAN step written by hand, and what a loss must not do."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from ganlab_dcgan import DCGAN
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ganlab import Augmentation, Batch, ImageSpec, Iteration, Loss, PluginError, Update
from ganlab.distributed.ranks import Place, Ranks
from ganlab.hardware.device import autocast
from ganlab.recipe.settings import Optimizer
from ganlab.standard.losses.bce import BCE
from ganlab.training.iteration import run_iteration
from ganlab.training.optimizer import Adam
from ganlab.training.state import State, _augmented
from ganlab.training.statistics import NonFinite, Statistics

CPU = torch.device("cpu")
ALONE = Ranks(Place(0, 1, 0), CPU)
IMAGES = ImageSpec(1, 8, 8)
MODEL = DCGAN(base_channels=4, latent_dim=6, generator_dropout=0.2, discriminator_dropout=0.2)


def fresh_state(model: DCGAN = MODEL, layout: torch.memory_format = torch.channels_last) -> State:
    torch.manual_seed(0)
    networks = model.build(IMAGES)
    for network in networks.values():
        network.to(memory_format=layout)
    optimizers = {name: Adam(list(network.parameters()), Optimizer(lr=1e-3), CPU) for name, network in networks.items()}
    return State(networks, optimizers, None, networks)


def batches(seed: int = 1) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        real = torch.rand(8, 1, 8, 8, generator=generator).mul(2).sub(1).to(memory_format=torch.channels_last)
        yield Batch(real, torch.randn(8, 6, generator=generator), ())


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
    """The textbook loop: two backward passes through everything, optimizers of torch's own making."""
    G, D = networks["generator"], networks["discriminator"]
    adam_g = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.999), fused=fused)
    adam_d = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.999), fused=fused)
    ones, zeros, losses = torch.ones(8), torch.zeros(8), []
    source = batches()

    def step_d(real: Tensor, fake: Tensor) -> None:
        D.zero_grad()
        loss = F.binary_cross_entropy_with_logits(D(real), 0.9 * ones)
        loss = loss + F.binary_cross_entropy_with_logits(D(fake.detach()), zeros)
        loss.backward()
        adam_d.step()
        losses.append(loss.item())

    def step_g(fake: Tensor) -> None:
        G.zero_grad()
        loss = F.binary_cross_entropy_with_logits(D(fake), ones)
        loss.backward()
        adam_g.step()
        losses.append(loss.item())

    for index in range(iterations):
        torch.manual_seed(100 + index)
        if generator_first:
            batch = next(source)
            fake = G(batch.z)
            step_g(fake)
            step_d(batch.real, fake)
        for step in range(k - generator_first):
            batch = next(source)
            fake = G(batch.z)
            step_d(batch.real, fake)
            if step == k - 1:
                step_g(fake)
    return losses


@pytest.mark.parametrize(("k", "generator_first"), [(1, False), (3, False), (1, True), (3, True)])
def test_ten_iterations_are_bit_identical_to_the_textbook(k: int, generator_first: bool) -> None:
    state = fresh_state()
    networks = copy.deepcopy(state.networks)
    loss = BCE(real_label=0.9, discriminator_steps=k, generator_first=generator_first)
    updates = train(state, loss, 10)
    expected = by_hand(networks, 10, True, k, generator_first)
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
            torch.testing.assert_close(value, dict(state.networks[name].named_parameters())[key], rtol=0, atol=2e-4)


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
        yield Update("generator", networks["discriminator"](networks["generator"](next(batches).z)).mean())
        gradients = [parameter.grad for network in networks.values() for parameter in network.parameters()]
        assert gradients == [None] * len(gradients)

    run_script(script)


def test_one_loss_may_move_both_networks() -> None:
    def script(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
        before = {name: copy.deepcopy(network.state_dict()) for name, network in networks.items()}
        output = networks["discriminator"](networks["generator"](next(batches).z))
        yield Update(("generator", "discriminator"), output.square().mean())
        for name, network in networks.items():
            for key, parameter in network.named_parameters():
                assert not torch.equal(before[name][key], parameter), f"{name}.{key}"

    run_script(script)


def leaves_no_grad(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
    with torch.no_grad():
        yield Update("generator", torch.ones((), requires_grad=True))


def wrong_name(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
    yield Update("critic", networks["generator"](next(batches).z).mean())


def wrong_shape(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
    yield Update("generator", networks["generator"](next(batches).z))


def detached(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
    yield Update("generator", networks["generator"](next(batches).z).mean().detach())


def foreign(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
    yield Update("discriminator", networks["generator"](next(batches).z).mean())


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


def reported(statistics: Statistics) -> tuple[dict[str, float], NonFinite | None]:
    report = statistics.report()
    numbers = report.values.tolist()
    return report.means(numbers), report.non_finite(numbers, ALONE)


def add(statistics: Statistics, iteration: int, *updates: tuple[Update, float]) -> None:
    statistics.begin(iteration)
    for update, norm in updates:
        statistics.add(update, torch.tensor(norm))
    statistics.count(statistics.close(), iteration)


def test_statistics_are_means_and_remember_the_first_broken_iteration() -> None:
    statistics = Statistics(CPU)
    for index, value in enumerate([1.0, 3.0, float("nan"), float("inf"), 1.0]):
        add(statistics, index, (Update("generator", torch.tensor(value), {"extra": torch.tensor(float(index))}), 1.0))
        if index == 1:
            assert reported(statistics) == ({"loss_generator": 2.0, "extra": 0.5}, None)
    means, broken = reported(statistics)
    assert means["extra"] == 3.0
    assert broken == ("loss", "generator", 2)
    assert reported(statistics) == ({}, None), "nothing has been added since"


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_a_broken_gradient_is_told_from_a_broken_loss(bad: float) -> None:
    statistics = Statistics(CPU)
    for index, norm in enumerate([1.0, bad, 1.0]):
        add(statistics, index, (Update("discriminator", torch.ones(())), norm))
    assert reported(statistics)[1] == ("gradient", "discriminator", 1)


def test_the_largest_finite_values_are_not_taken_for_infinite_ones() -> None:
    statistics, largest = Statistics(CPU), torch.finfo(torch.float32).max
    for index in range(100):
        add(statistics, index, (Update("generator", torch.tensor(largest)), largest))
    assert reported(statistics) == ({"loss_generator": largest}, None)


def test_iterations_of_different_kinds_are_averaged_and_watched_apart() -> None:
    """Several updates of a network in an iteration, and a penalty in every third one."""
    statistics = Statistics(CPU)
    for index in range(7):
        penalty = {"r1": torch.tensor(float(index))} if index % 3 == 0 else {}
        loss = float("nan") if index == 5 else float(index)
        add(
            statistics,
            index,
            (Update("discriminator", torch.tensor(2.0)), 1.0),
            (Update("discriminator", torch.tensor(4.0), penalty), 1.0),
            (Update(("generator", "mapping"), torch.tensor(loss)), 1.0),
        )
    means, broken = reported(statistics)
    assert means["loss_discriminator"] == 3.0
    assert means["r1"] == 3.0  # of 0, 3 and 6
    assert broken == ("loss", "generator_mapping", 5)


def test_the_gradient_norm_is_that_of_all_the_networks_weights() -> None:
    norms: list[float] = []
    state = fresh_state()

    def script(networks: Mapping[str, nn.Module], batches: Iterator[Batch]) -> Iterator[Update]:
        loss = networks["generator"](next(batches).z).square().mean()
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

    def augment(self, images: Tensor) -> Tensor:
        self._calls += 1
        return -images


def test_an_augmentation_stands_before_every_call_of_the_discriminator() -> None:
    model = DCGAN(base_channels=4, latent_dim=6)
    negative, state = Negative(), fresh_state(model)
    plain = copy.deepcopy(state.networks)
    state = dataclasses.replace(state, seen_by_loss=_augmented(state.networks, negative))
    updates = train(state, BCE(), 1)
    assert negative._calls == 3, "real, fake, and fake again for the generator"

    batch = next(batches())
    fake = plain["generator"](batch.z)
    D = plain["discriminator"]
    expected = F.binary_cross_entropy_with_logits(D(-batch.real), torch.ones(8))
    expected = expected + F.binary_cross_entropy_with_logits(D(-fake), torch.zeros(8))
    assert updates[0].loss.item() == expected.item()
    assert not torch.equal(state.networks["generator"][1].weight, plain["generator"][1].weight), "gradients flow"
