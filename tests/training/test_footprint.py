"""What is found out without numbers, against networks that are really built, and against counting by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from toys import tiny

from ganlab import ImageSpec, Model
from ganlab.recipe.recipe import Recipe, parse_recipe
from ganlab.registry import registry
from ganlab.training.footprint import META, generated, lighter, rehearse, state_without_numbers, trainable
from ganlab.training.state import build_state

CPU = torch.device("cpu")


class Linear(Model):
    """One layer each."""

    api = 1

    def check(self, images: ImageSpec) -> None: ...

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        size = images.channels * images.height * images.width
        generator = nn.Sequential(nn.Linear(self.latent_dim, size), nn.Unflatten(1, images[:3]))
        return {"generator": generator, "discriminator": nn.Sequential(nn.Flatten(), nn.Linear(size, 1), nn.Flatten(0))}


class Measured(Linear):
    """Looks at a weight that it has drawn."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        networks = super().build(images)
        assert all(bool(parameter.isfinite().all()) for parameter in networks["generator"].parameters())
        return networks


class Broken(Linear):
    """Cannot be built anywhere."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        raise ZeroDivisionError("in build")


TOYS = {"linear": Linear, "measured": Measured, "broken": Broken}


@pytest.fixture(autouse=True)
def _models() -> Iterator[None]:
    for name, cls in TOYS.items():
        registry.add("model", name, cls)
    yield
    for name in TOYS:
        registry.remove("model", name)


class Allocated(TorchDispatchMode):
    """Adds up the bytes of all tensors that operations make elsewhere than on the meta device."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.total += sum(t.nbytes for t in tree_leaves(made) if isinstance(t, Tensor) and t.device != META)
        return made


def recipe(**tables: Any) -> Recipe:
    return parse_recipe(tiny(**tables))


SMALL: list[dict[str, Any]] = [
    {},
    {"model": {"projection": "linear", "head": "linear", "generator_dropout": 0.5}},
    {"model": {"discriminator_batchnorm": False}, "moving_average": {"enabled": False}},
    {"model": {"name": "linear"}},
    {"model": {"name": "measured"}},
]


@pytest.mark.parametrize("tables", SMALL, ids=str)
def test_it_has_the_tensors_of_networks_that_are_really_built(tables: dict[str, Any]) -> None:
    loaded, images = recipe(**tables), ImageSpec(1, 8, 8)

    def described(device: torch.device) -> list[tuple[str, torch.Size, torch.dtype, int]]:
        state = (
            build_state(loaded, images, CPU) if device == CPU else state_without_numbers(loaded, images, notes.append)
        )
        return [(name, tensor.shape, tensor.dtype, tensor.nbytes) for name, tensor in state.tensors()]

    notes: list[str] = []
    assert described(META) == described(CPU)
    assert len(notes) == (tables.get("model", {}).get("name") == "measured")


def test_networks_of_any_size_take_no_memory() -> None:
    """1.4 billion parameters, which would be 20 GB with all that belongs to them."""
    large, images = (
        recipe(model={"base_channels": 64}, dataset={"channels": 3}, train={"batch_size": 64}),
        ImageSpec(3, 1024, 1024),
    )
    with Allocated() as allocated:
        state = state_without_numbers(large, images, pytest.fail)
        assert generated(large, state, images) == (64, 3, 1024, 1024)
        rehearse(large, state, images)
    assert sum(p.numel() for network in state.networks.values() for p in network.parameters()) > 1.4e9
    assert allocated.total < 100_000


def test_a_model_that_looks_at_its_numbers_is_built_with_them_and_that_is_said() -> None:
    notes: list[str] = []
    measured = recipe(model={"name": "measured"})
    state = state_without_numbers(measured, ImageSpec(1, 8, 8), notes.append)
    (note,) = notes
    assert note.startswith('model "measured" cannot be built without numbers (')
    assert note.endswith("); it was built as a run builds it")
    assert all(tensor.is_meta for network in state.networks.values() for tensor in network.parameters())
    with pytest.raises(ZeroDivisionError, match="in build"):
        state_without_numbers(recipe(model={"name": "broken"}), ImageSpec(1, 8, 8), notes.append)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_batches_of_an_iteration_are_counted(steps: int) -> None:
    loaded, images = recipe(loss={"discriminator_steps": steps}), ImageSpec(1, 8, 8)
    assert rehearse(loaded, state_without_numbers(loaded, images, pytest.fail), images).batches == steps


def test_activations_are_those_counted_by_hand() -> None:
    """The linear layers keep what they are given: the latents, the real pictures, and the generated ones, which the
    generator's update keeps once more in the same place. Of the logits, a number a picture, a few copies are kept."""
    loaded, images = recipe(model={"name": "linear", "latent_dim": 99}, train={"batch_size": 32}), ImageSpec(3, 16, 16)
    seen = rehearse(loaded, state_without_numbers(loaded, images, pytest.fail), images)
    least = 4 * 32 * (99 + 2 * 768)
    assert least <= seen.activations_bytes <= least + 12 * 4 * 32


def test_what_networks_share_is_counted_once() -> None:
    shared, own, frozen = nn.Linear(3, 5), nn.Linear(5, 1), nn.Linear(7, 7).requires_grad_(False)
    assert trainable({"generator": nn.Sequential(shared, own), "velocity": nn.Sequential(shared, frozen)}) == 20 + 6


def test_an_option_is_found_that_makes_the_networks_small_enough() -> None:
    images = ImageSpec(3, 64, 64)
    dcgan = parse_recipe({"dataset": {"name": "stripes", "resolution": 64, "channels": 3}}).model
    found = lighter(dcgan, images, 2_000_000)
    assert found is not None
    option, value, total = found
    assert (option, value) == ("base_channels", 32)
    networks = type(dcgan)(**(dict(dcgan) | {option: value})).build(images)
    assert total == sum(p.numel() for network in networks.values() for p in network.parameters()) <= 2_000_000
    assert lighter(Linear(latent_dim=2), images, 10_000) is None, "no option of it makes so much of a difference"
    assert lighter(Measured(), images, 10_000) is None, "it cannot be built without numbers"
