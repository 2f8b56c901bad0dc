"""What a loss and an augmentation bring along: where it is held, who moves it, what is saved, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from remembering import GAIN, GAMMA, Balanced, Strengthened
from safetensors.torch import load_file
from torch import Tensor, nn
from toys import tiny

import ganlab
from ganlab import Augmentation, ImageSpec, Loss, PluginError, RecipeError, Update
from ganlab.data.packing import pack
from ganlab.errors import NonFiniteError
from ganlab.interfaces import Batch, Iteration
from ganlab.recipe.recipe import parse_recipe
from ganlab.run.preview import preview
from ganlab.testing import isolated
from ganlab.training.brought import build_brought
from ganlab.training.footprint import rehearse, state_without_numbers
from ganlab.training.iteration import run_iteration
from ganlab.training.trainer import Trainer

CPU = torch.device("cpu")
IMAGES = ImageSpec(1, 8, 8)
BOTH: dict[str, Any] = {"loss": {"name": "balanced"}, "augmentation": {"name": "strengthened"}}


class Explosive(Balanced):
    """Yields NaN once, after its state has moved."""

    api = 1
    left: ClassVar[list[int]] = [1]

    def updates(self, networks: Mapping[str, Any], batches: Iterator[Batch], iteration: Iteration) -> Iterator[Update]:
        yield from super().updates(networks, batches, iteration)
        if batches.drawn == 6 and self.left.pop():  # type: ignore[attr-defined]  # so on a CPU
            with torch.no_grad():
                networks["equilibrium"].k.fill_(float("nan"))
        self.left[:] = self.left or [0]


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"balanced": Balanced, "explosive": Explosive, "strengthened": Strengthened}):
        yield


def trainer(**tables: Any) -> Trainer:
    recipe = parse_recipe(tiny(**tables))
    return Trainer(recipe, pack(recipe.dataset, "stripes", lambda *_: None), CPU, "fp32")


def trained(trainer: Trainer, iterations: int) -> list[Update]:
    """Run so many iterations, and return their updates."""
    updates: list[Update] = []
    for index in range(iterations):
        place = Iteration(0, torch.tensor(index / 100))
        run_iteration(
            trainer.recipe.loss,
            trainer.state,
            trainer.batches,
            place,
            nullcontext,
            lambda update, _: updates.append(update),
            trainer.ranks,
        )
    return updates


# Where it is held


def test_it_joins_the_networks_under_its_own_names_after_the_model_s() -> None:
    state = trainer(**BOTH).state
    names = ["generator", "discriminator", "equilibrium", "head", "strength"]
    assert list(state.networks) == names
    assert list(state.seen_by_loss) == names
    assert [state.seen_by_loss[name] is state.networks[name] for name in names] == [True, False, True, True, True]
    assert all(network.training for network in state.networks.values())
    assert list(state.optimizers) == ["generator", "discriminator", "head"], "only where there is something to train"
    own = [name for name, _ in state.tensors() if name.split("/")[1] in names[2:]]
    moments = ("step", "exp_avg", "exp_avg_sq")
    assert own == [
        *(f"networks/{name}" for name in ("equilibrium/k", "equilibrium/iterations", "head/weight", "head/bias")),
        *(f"networks/strength/{name}" for name in ("p", "updates")),
        *(f"optimizers/head/{name}/{moment}" for name in ("weight", "bias") for moment in moments),
    ]


def test_a_seed_decides_it_and_the_model_s_weights_are_those_of_a_recipe_without_it() -> None:
    first, again, other = (dict(trainer(seed=seed, **BOTH).state.tensors()) for seed in (5, 5, 6))
    without = dict(trainer(seed=5).state.tensors())
    assert first.keys() == again.keys()
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["networks/head/weight"], other["networks/head/weight"])
    assert without.keys() < first.keys()
    assert all(torch.equal(value, first[name]) for name, value in without.items())


def test_its_convolutions_lie_in_memory_as_the_model_s_do() -> None:
    class Convolving(Balanced):
        api = 1

        def build(self, images: ImageSpec) -> dict[str, nn.Module]:
            return {**super().build(images), "head": nn.Conv2d(3, 4, 3)}

    with isolated({"convolving": Convolving}):
        head = trainer(loss={"name": "convolving"}).state.networks["head"]
    assert isinstance(head, nn.Conv2d)
    assert head.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_frozen_network_is_saved_and_has_no_optimizer() -> None:
    class Judged(Balanced):
        """Brings a critic that only the loss itself moves."""

        api = 1
        brings: ClassVar[tuple[str, ...]] = (*Balanced.brings, "critic")

        def build(self, images: ImageSpec) -> dict[str, nn.Module]:
            return {**super().build(images), "critic": nn.Linear(2, 1).requires_grad_(False)}

        def updates(
            self, networks: Mapping[str, Any], batches: Iterator[Batch], iteration: Iteration
        ) -> Iterator[Update]:
            yield from super().updates(networks, batches, iteration)
            with torch.no_grad():
                networks["critic"].weight.lerp_(networks["head"].weight[:1, :2], 0.5)

    with isolated({"judged": Judged}):
        one = trainer(loss={"name": "judged"})
    before = one.state.networks["critic"].get_parameter("weight").clone()
    trained(one, 1)
    tensors = dict(one.state.tensors())
    assert list(one.state.optimizers) == ["generator", "discriminator", "head"]
    assert not torch.equal(tensors["networks/critic/weight"], before)
    assert [name for name in tensors if "/critic/" in name] == ["networks/critic/weight", "networks/critic/bias"]


def test_what_is_not_finite_in_it_is_named() -> None:
    one = trainer(**BOTH)
    one.state.networks["equilibrium"].get_buffer("k").fill_(float("inf"))
    with pytest.raises(NonFiniteError) as caught:
        one.state.refuse_non_finite(one.ranks)
    assert caught.value.what == "networks/equilibrium/k"


def test_a_network_has_options_of_its_own() -> None:
    recipe = parse_recipe(tiny(optimizer={"lr": 1e-3, "head": {"lr": 3e-3}}, **BOTH))
    assert {name: options.lr for name, options in recipe.optimizer.items()} == {
        "generator": 1e-3,
        "discriminator": 1e-3,
        "equilibrium": 1e-3,
        "head": 3e-3,
        "strength": 1e-3,
    }
    assert recipe.brought == {"equilibrium": "loss", "head": "loss", "strength": "augmentation"}


def test_it_is_built_and_rehearsed_without_numbers() -> None:
    notes: list[str] = []
    recipe = parse_recipe(tiny(**BOTH))
    state = state_without_numbers(recipe, IMAGES, notes.append)
    assert notes == []
    assert {name: tuple(value.shape) for name, value in state.tensors()} == {
        name: tuple(value.shape) for name, value in trainer(**BOTH).state.tensors()
    }
    assert rehearse(recipe, state, IMAGES).batches == 1


# Who moves it


def test_a_loss_moves_what_it_remembers_as_its_equation_says() -> None:
    one = trainer(**BOTH)
    before = one.state.networks["head"].get_parameter("weight").clone()
    updates = trained(one, 5)[::2]
    k = 0.25
    for update in updates:
        assert update.stats["k"].item() == pytest.approx(k, rel=1e-5)
        k += GAIN * (GAMMA * update.stats["real"].item() - update.stats["fake"].item())
    equilibrium = one.state.networks["equilibrium"]
    assert equilibrium.get_buffer("k").item() == pytest.approx(k, rel=1e-5)
    assert equilibrium.get_buffer("iterations").item() == 5
    assert not torch.equal(one.state.networks["head"].get_parameter("weight"), before)


def test_an_augmentation_follows_each_update_after_its_step_without_gradients() -> None:
    seen: list[tuple[float, bool, list[str]]] = []

    class Watching(Strengthened):
        api = 1

        def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
            super().adapt(state, stats)
            weights = [weight for network in networks.values() for weight in network.parameters()]
            changed = sum(not torch.equal(one, other) for one, other in zip(weights, first, strict=True))
            needs = torch.is_grad_enabled() or any(value.requires_grad for value in stats.values())
            seen.append((changed, needs, list(stats)))

    with isolated({"watching": Watching}):
        one = trainer(loss={"name": "balanced"}, augmentation={"name": "watching"})
    networks = {name: one.state.networks[name] for name in ("generator", "discriminator")}
    first = [weight.detach().clone() for network in networks.values() for weight in network.parameters()]
    updates = trained(one, 3)
    discriminator = len(list(networks["discriminator"].parameters()))
    assert [changed for changed, _, _ in seen] == [discriminator, *[len(first)] * 5]
    assert not any(needs for _, needs, _ in seen)
    assert [stats for _, _, stats in seen] == [["k", "real", "fake", "sign(D(x))"], []] * 3
    strength = one.state.networks["strength"]
    assert strength.get_buffer("updates").item() == 6
    expected = sum(GAIN * (1.5 + update.stats["sign(D(x))"].item()) for update in updates[::2])
    assert strength.get_buffer("p").item() == pytest.approx(expected, rel=1e-5)


def test_the_discriminator_sees_pictures_changed_by_the_state_of_the_moment() -> None:
    one = trainer(**BOTH)
    D, plain = one.state.seen_by_loss["discriminator"], one.state.networks["discriminator"]
    pictures = torch.rand(4, 1, 8, 8)
    assert torch.equal(D(pictures), plain(pictures)), "nothing yet"
    one.state.networks["strength"].get_buffer("p").fill_(1.0)
    torch.manual_seed(2)
    changed = D(pictures)
    torch.manual_seed(2)
    torch.testing.assert_close(changed, plain(pictures + torch.rand(4, 1, 1, 1) - 0.5))


# What is saved


def state_of(run: ganlab.Run, iteration: int) -> Path:
    return run.directory / f"checkpoints/{iteration:08d}/state.safetensors"


def test_a_run_that_was_continued_ends_with_the_same_bits() -> None:
    at_once = ganlab.train(tiny(**BOTH), out="at-once")
    ganlab.train(tiny(train={"iterations": 5}, **BOTH), out="in-two")
    continued = ganlab.train(tiny(**BOTH), out="in-two")
    assert state_of(at_once, 12).read_bytes() == state_of(continued, 12).read_bytes()
    saved = load_file(state_of(continued, 12))
    assert saved["networks/equilibrium/iterations"].item() == 12
    assert saved["networks/strength/updates"].item() == 24
    assert saved["networks/equilibrium/k"].item() != 0.25
    assert saved["networks/strength/p"].item() > 0
    shipped = load_file(at_once.generator)
    assert len(shipped) == len(trainer().state.networks["generator"].state_dict()), "nothing of it is shipped"


def test_a_rollback_puts_it_back() -> None:
    Explosive.left[:] = [1]
    explosive = {**BOTH, "loss": {"name": "explosive"}}
    train = {"on_nonfinite": "rollback"}
    run = ganlab.train(tiny(train=train, **explosive), out="rolled-back")
    saved = load_file(state_of(run, 12))
    assert json.loads((state_of(run, 12).parent / "manifest.json").read_text())["rollbacks"] == 1
    assert saved["networks/equilibrium/iterations"].item() == 12
    assert saved["networks/strength/updates"].item() == 24
    assert saved["networks/equilibrium/k"].isfinite()


def test_it_is_told_in_a_dry_run_and_only_networks_are_named_in_the_log() -> None:
    told = preview(parse_recipe(tiny(train={"iterations": 1}, **BOTH)))
    lines = [line for line in told.splitlines() if line.startswith(("network ", "state "))]
    assert lines[2:] == [
        "state       equilibrium: 2 numbers remembered, of the loss",
        "network     head: 130 parameters, of the loss",
        "state       strength: 2 numbers remembered, of the augmentation",
    ]
    run = ganlab.train(tiny(train={"iterations": 1}, **BOTH), out="logged")
    (line,) = [line for line in (run.directory / "log.txt").read_text().splitlines() if "parameters: " in line]
    assert line.endswith(", head 130")
    assert "equilibrium" not in line


# What is refused


class Bringing(Loss):
    """Brings what it is told to."""

    api = 1
    brings: ClassVar[tuple[str, ...]] = ("memory",)
    built: ClassVar[Any] = {}

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        made: dict[str, nn.Module] = self.built
        return made

    def updates(self, networks: Mapping[str, Any], batches: Iterator[Batch], iteration: Iteration) -> Iterator[Update]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("built", "sentence"),
    [
        ({}, "loss Bringing states brings = ('memory',), but built ()"),
        ({"memory": nn.Identity(), "more": nn.Identity()}, "states brings = ('memory',), but built ('memory', 'more')"),
        ({"memory": torch.zeros(1)}, "loss Bringing must return a dict of torch modules from build()"),
        ([nn.Identity()], "loss Bringing must return a dict of torch modules from build()"),
        (None, "loss Bringing must return a dict of torch modules from build()"),
    ],
)
def test_what_build_returns_is_what_the_class_states(
    built: Any, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bringing, "built", built)
    with pytest.raises(PluginError) as caught:
        build_brought(Bringing(), IMAGES)
    assert sentence in str(caught.value)


def test_options_for_what_is_not_trained_are_refused_by_a_run_and_a_dry_run() -> None:
    idle = tiny(optimizer={"strength": {"lr": 0.1}}, **BOTH)
    for refusing in (lambda: ganlab.train(idle, out="idle"), lambda: preview(parse_recipe(idle))):
        with pytest.raises(RecipeError) as caught:
            refusing()
        assert caught.value.problems == [
            "optimizer.strength: strength has no weights to train, so no optimizer moves it; leave the table out"
        ]


class Replacing(Balanced):
    """Puts a new tensor into a buffer's place."""

    api = 1

    def updates(self, networks: Mapping[str, Any], batches: Iterator[Batch], iteration: Iteration) -> Iterator[Update]:
        yield from super().updates(networks, batches, iteration)
        networks["equilibrium"].k = networks["equilibrium"].k + 1


class Growing(Strengthened):
    """Registers a buffer when it is first needed."""

    api = 1

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        state["strength"].register_buffer("late", torch.zeros(()))


class Tracking(Balanced):
    """Writes what has a graph into a buffer, so that the graph grows from iteration to iteration."""

    api = 1

    def updates(self, networks: Mapping[str, Any], batches: Iterator[Batch], iteration: Iteration) -> Iterator[Update]:
        yield from super().updates(networks, batches, iteration)
        networks["equilibrium"].k.add_(networks["head"].weight.sum())


class Moving(Balanced):
    """Names what it only remembers in an update."""

    api = 1

    def updates(self, networks: Mapping[str, Any], batches: Iterator[Batch], iteration: Iteration) -> Iterator[Update]:
        for update in super().updates(networks, batches, iteration):
            yield Update(("discriminator", "equilibrium"), update.loss)


@pytest.mark.parametrize(
    ("component", "sentence"),
    [
        (
            Replacing,
            'loss "broken" (this process) puts another tensor into the place of equilibrium.k, which it brings along: '
            "register it in build(), and write into it in place, as with copy_(), add_() or lerp_() under "
            "torch.no_grad()",
        ),
        (Growing, 'augmentation "broken" (this process) puts another tensor into the place of strength.late'),
        (
            Tracking,
            "writes into equilibrium.k, which it brings along, what has a graph: write into it under torch.no_grad()",
        ),
        (Moving, "updates ['equilibrium'], which has no weights that can be trained"),
    ],
)
def test_a_component_that_misuses_it_is_refused(component: type[Loss | Augmentation], sentence: str) -> None:
    kind = "loss" if issubclass(component, Loss) else "augmentation"
    with isolated({"broken": component}):
        one = trainer(**{**BOTH, kind: {"name": "broken"}})
        with pytest.raises(PluginError) as caught:
            trained(one, 1)
    assert sentence in str(caught.value)
