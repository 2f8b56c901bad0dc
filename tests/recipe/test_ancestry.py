"""Which shipped recipe a recipe comes from, and what it says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlab.recipe.ancestry import Descent, descent_of
from ganlab.recipe.recipe import find_recipe, load_recipe, parse_recipe
from ganlab.registry import registry
from ganlab.standard.losses.bce import BCE


class Softer(BCE):
    """Another loss, of which a recipe need not write every option."""

    api = 1
    softness: float = 0.0
    """How soft."""
    hardness: float = 1.0
    """How hard."""


def descent(text: str, *overrides: str) -> Descent | None:
    Path("mine.toml").write_text(text)
    return descent_of(load_recipe(Path("mine.toml"), overrides))


def test_a_shipped_recipe_differs_in_what_was_overridden() -> None:
    path = find_recipe("quickstart")
    assert descent_of(load_recipe(path)) == ("quickstart", ())
    changed = load_recipe(path, ["model.base_channels=12", "seed=3", "observers.gif=false"])
    assert descent_of(changed) == ("quickstart", ("seed=3", "model.base_channels=12"))


def test_a_recipe_that_extends_one_differs_in_what_it_says_too() -> None:
    model = load_recipe(find_recipe("quickstart")).table["model"]
    same, width = model["latent_dim"], model["base_channels"]  # written again, they are no changes
    text = f'extends = "quickstart"\n[model]\nbase_channels = 12\nlatent_dim = {same}\n[observers]\ngif = false\n'
    assert descent(text) == ("quickstart", ("model.base_channels=12",))
    assert descent(text, f"model.base_channels={width}", "train.batch_size=7") == (
        "quickstart",
        ("train.batch_size=7",),
    )


def test_a_recipe_in_between_counts_and_of_shipped_ones_the_nearest_is_meant() -> None:
    Path("middle.toml").write_text('extends = "dcgan_fashion_mnist"\n[train]\nbatch_size = 32\n')
    text = 'extends = "middle.toml"\nseed = 5\n'
    assert descent(text) == ("dcgan_fashion_mnist", ("seed=5", "train.batch_size=32"))
    assert descent_of(load_recipe(find_recipe("dcgan_fashion_mnist"))) == ("dcgan_fashion_mnist", ())


def test_the_defaults_of_another_component_and_the_other_of_two_lengths_are_no_changes() -> None:
    registry.add("loss", "softer", Softer)
    text = 'extends = "dcgan_mnist"\n[loss]\nname = "softer"\nsoftness = 0.5\n[train]\niterations = 50\n'
    assert descent(text) == ("dcgan_mnist", ('loss.name="softer"', "loss.softness=0.5", "train.iterations=50"))
    registry.remove("loss", "softer")


def test_what_a_run_begins_with_counts_and_its_digest_does_not() -> None:
    recipe = load_recipe(find_recipe("quickstart")).with_init("runs/faces/0001").with_init(sha256="ab" * 32)
    assert descent_of(recipe) == ("quickstart", ('train.init_from="runs/faces/0001"',))


def test_a_recipe_of_one_s_own_comes_from_none(tmp_path: Path) -> None:
    assert descent(find_recipe("quickstart").read_text()) is None
    assert descent_of(parse_recipe({"extends": "quickstart", "seed": 4})) == ("quickstart", ("seed=4",))


@pytest.mark.parametrize("name", ["quickstart", "dcgan_celeba"])
def test_a_link_to_a_shipped_recipe_is_that_recipe(name: str) -> None:
    Path("linked.toml").symlink_to(find_recipe(name))
    assert descent_of(load_recipe(Path("linked.toml"))) == (name, ())
