"""Every shipped recipe: it loads, and trains two iterations on a stand-in of its data in the real file format."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from stand_ins import make

import ganlab
from ganlab.recipe.recipe import Recipe, find_recipe, load_recipe, shipped_recipes
from ganlab.standard.optimizers.adam import Adam
from ganlab.training.state import build_networks, parameter_counts

RECIPES = [path.stem for path in shipped_recipes()]
QUICK = (
    "train.batch_size=4",
    "train.iterations=2",
    "train.device=cpu",
    "snapshot.samples=4",
    "observers.terminal=false",
)


def load(name: str, *overrides: str) -> Recipe:
    return load_recipe(find_recipe(name), overrides)


def test_the_recipes_that_the_documentation_promises_are_there() -> None:
    assert {
        "quickstart",
        "own_pictures",
        "own_pictures_64",
        "dcgan_celeba",
        "dcgan_celeba_28",
        "dcgan_mnist_28",
        "dcgan_mnist_generator_first",
        "dcgan_faces_32",
        "dcgan_mnist",
        "dcgan_fashion_mnist",
        "dcgan_cifar10",
    } <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_on_files_in_the_format_of_its_data(name: str, tmp_path: Path) -> None:
    dataset = load(name).table["dataset"]["name"]
    root = make(dataset, tmp_path / "data", count=12)
    # Thinner networks: the shapes and the path are the recipe's own.
    overrides = [*QUICK, "model.base_channels=4", "moving_average.statistics_batches=1"]
    if name != "quickstart":  # which trains on what ganlab ships
        overrides.append(f"dataset.root={root}")
    recipe = load(name, *overrides)
    run = ganlab.train(recipe)
    assert run.iterations == 2
    pictures = ganlab.load_generator(run.generator).sample([0, 1])
    assert pictures.shape == (2, *ganlab_size(recipe), recipe.dataset.channels)
    assert (run.directory / "progress.gif").exists()
    assert (run.directory / "losses.png").exists()


def ganlab_size(recipe: Recipe) -> tuple[int, int]:
    size = recipe.dataset.resolution
    return (size, size) if isinstance(size, int) else size


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_gives_and_how_long_it_takes(name: str) -> None:
    text = find_recipe(name).read_text(encoding="utf-8")
    header = text[: text.index("\n\n")]
    assert re.search(r"^# .*Gives: ", header, re.MULTILINE), header
    assert re.search(r"Takes: ", header), header


PUBLISHED = {
    "dcgan_celeba": {"generator": 3_576_704, "discriminator": 2_765_568},
    "dcgan_faces_32": {"generator": 793_536, "discriminator": 691_585},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_builds_the_published_networks(name: str) -> None:
    recipe = load(name)
    networks = build_networks(recipe.model, ganlab.ImageSpec(3, *ganlab_size(recipe)))
    assert parameter_counts(networks) == PUBLISHED[name]


def test_what_is_not_in_the_paper_stands_in_no_published_network() -> None:
    """The hidden layer and the width of its own are for the recipes that reproduce nobody."""
    found = {name: load(name).model.model_dump() for name in RECIPES}
    changed = {name for name, model in found.items() if model["head_channels"] or model["discriminator_channels"]}
    assert changed == {"quickstart", "own_pictures"}


def test_the_recipes_say_what_the_papers_and_projects_say() -> None:
    celeba = load("dcgan_celeba")
    assert celeba.train.batch_size == 128
    assert celeba.optimizer["generator"] == Adam(lr=2e-4, betas=(0.5, 0.999))
    assert not celeba.dataset.flip
    first = load("dcgan_mnist_generator_first")
    assert first.loss.model_dump()["generator_first"]
    assert (first.train.batch_size, first.train.epochs, first.model.latent_dim) == (128, 50, 100)
    assert first.snapshot.every_epochs == 1
    faces = load("dcgan_celeba_28")
    assert faces.model.latent == "normal"
    assert faces.model.model_dump()["generator_dropout"] > 0
    assert faces.loss.model_dump()["real_label"] < 1
    assert faces.loss.model_dump()["fake_label"] == 0
    course = load("dcgan_faces_32")
    assert (course.train.batch_size, course.train.epochs) == (32, 30)
    for name in ("dcgan_mnist", "dcgan_fashion_mnist", "dcgan_cifar10"):
        recipe = load(name)
        assert (recipe.train.batch_size, recipe.train.epochs, recipe.model.latent_dim) == (128, 200, 100)
        assert recipe.model.model_dump()["start"] == 2
        assert "gif" in recipe.observers
