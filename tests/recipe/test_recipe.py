"""Recipes: every mistake at once with its place and remedy, layers, and the resolved dump."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import PositiveInt, field_validator, model_validator

from ganlab.errors import PluginError, RecipeError
from ganlab.interfaces import Dataset, ImageSpec, Loss, Model, Observer, Options, Source
from ganlab.recipe.compose import find_recipe, shipped_recipes
from ganlab.recipe.recipe import STANDARD_OBSERVERS, Recipe, load_recipe, make_component, parse_recipe
from ganlab.recipe.toml import parse
from ganlab.registry import Registry


class Block(Options):
    """A table in a table."""

    width: PositiveInt = 8
    """Width."""


class Net(Model):
    """A model that wants even sizes."""

    api = 1
    depth: PositiveInt | tuple[PositiveInt, PositiveInt] = 3
    """Depth."""
    block: Block = Block()
    """A block."""
    spare: Block | None = None
    """Another."""

    @field_validator("depth")
    @classmethod
    def _small(cls, depth: int | tuple[int, int]) -> int | tuple[int, int]:
        if depth == 13:
            raise ValueError("13 is unlucky; take 12 or 14")
        return depth

    def check(self, images: ImageSpec) -> None:
        if images.height % 2:
            raise ValueError(f"{images.height} is odd; take {images.height - 1} or {images.height + 1}")
        if images.channels == 7:
            raise TypeError("oh")

    def build(self, images: ImageSpec) -> dict[str, Any]:
        return {}


class Flow(Model):
    """A model that is not adversarial."""

    api = 1
    networks = ("generator", "velocity")
    anything: Any = 0
    """Anything."""

    def check(self, images: ImageSpec) -> None:
        pass

    def build(self, images: ImageSpec) -> dict[str, Any]:
        return {}


class Folder(Dataset):
    """A dataset with an option that must be written."""

    api = 1
    root: Path
    """Where."""
    split: Literal["train", "test"] = "train"
    """Which."""
    ratio: float = 1e-300
    """A number."""

    def sources(self) -> Iterable[Path]:
        return []

    def open(self) -> Source:
        raise NotImplementedError


class Cross(Loss):
    """A loss with a rule over two options."""

    api = 1
    real_label: float = 1.0
    """Real."""
    fake_label: float = 0.0
    """Fake."""

    @model_validator(mode="after")
    def _ordered(self) -> Cross:
        if self.real_label <= self.fake_label:
            raise ValueError(f"real_label = {self.real_label} must be greater than fake_label = {self.fake_label}")
        if self.real_label == 7:
            raise TypeError("a bug")
        return self

    def updates(self, networks: Any, batches: Any, iteration: Any) -> Iterator[Any]:
        yield


class Watcher(Observer):
    """An observer with an option."""

    api = 1
    every: PositiveInt = 1
    """How often."""


@pytest.fixture(scope="module")
def components() -> Registry:
    registry = Registry()
    registry.scan(lambda distribution: False)
    registry.add("model", "dcgan", Net)
    registry.add("model", "flow", Flow)
    registry.add("dataset", "folder", Folder)
    registry.add("loss", "bce", Cross)
    for name in (*STANDARD_OBSERVERS, "board"):
        registry.add("observer", name, Watcher)
    return registry


SMALLEST = '[dataset]\nname = "folder"\nroot = "x"\n'


def problems(source: str, components: Registry, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(source, "r.toml", overrides, components=components)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


# What a recipe becomes


def test_everything_not_written_has_its_documented_default(components: Registry) -> None:
    recipe = parse_recipe(SMALLEST, "smallest", components=components)
    assert recipe.dump() == (
        """\
seed = 0

[model]
name = "dcgan"
latent_dim = 100
latent = "normal"
depth = 3

[model.block]
width = 8

[dataset]
name = "folder"
resolution = 64
channels = 3
crop = "center"
flip = false
background = "#ffffff"
on_bad = "error"
max_pixels = 64000000
root = "x"
split = "train"
ratio = 1e-300

[loss]
name = "bce"
real_label = 1.0
fake_label = 0.0

[optimizer]
lr = 0.0002
betas = [0.5, 0.999]
eps = 1e-08

[train]
batch_size = 64
epochs = 25.0
device = "auto"
precision = "auto"
deterministic = false
on_nonfinite = "stop"
rank_timeout_seconds = 600.0
tick_seconds = 2.0

[moving_average]
enabled = true
decay = 0.999
warm_up = true
statistics_batches = 16

[snapshot]
every_epochs = 1.0
samples = 64
keep = 2
"""
        + "".join(f"\n[observers.{name}]\nevery = 1\n" for name in STANDARD_OBSERVERS)
    )
    assert (recipe.name, recipe.seed, recipe.model, recipe.loss) == ("smallest", 0, Net(), Cross())
    assert recipe.dataset == Folder(root=Path("x"))
    assert recipe.train.iterations is None
    assert list(recipe.observers) == list(STANDARD_OBSERVERS)


def test_each_network_has_an_optimizer_with_its_own_overrides(components: Registry) -> None:
    text = SMALLEST + "[optimizer]\nlr = 1e-3\n[optimizer.discriminator]\nbetas = [0, 0.9]\ndecay_from = 0.5\n"
    recipe = parse_recipe(text, components=components)
    generator, discriminator = recipe.optimizer["generator"], recipe.optimizer["discriminator"]
    assert list(recipe.optimizer) == ["generator", "discriminator"]
    assert (generator.lr, generator.betas, generator.decay_from) == (1e-3, (0.5, 0.999), None)
    assert (discriminator.lr, discriminator.betas, discriminator.decay_from) == (1e-3, (0.0, 0.9), 0.5)
    assert recipe.table["optimizer"]["discriminator"] == {"betas": [0.0, 0.9], "decay_from": 0.5}


def test_observers_are_switched_on_and_off(components: Registry) -> None:
    text = SMALLEST + "[observers]\ngif = false\nboard = true\n[observers.plot]\nevery = 5\n"
    recipe = parse_recipe(text, components=components)
    assert list(recipe.observers) == ["terminal", "metrics", "log", "samples", "plot", "board"]
    assert recipe.observers["plot"] == Watcher(every=5)
    assert recipe.table["observers"]["gif"] is False
    assert "gif = false\n" in recipe.dump()


def test_iterations_take_the_place_of_epochs(components: Registry) -> None:
    text = SMALLEST + "[train]\nepochs = 3\n[snapshot]\nevery_iterations = 10\n"
    recipe = parse_recipe(text, components=components)
    assert (recipe.train.epochs, recipe.train.iterations) == (3.0, None)
    assert (recipe.snapshot.every_epochs, recipe.snapshot.every_iterations) == (None, 10)
    recipe = parse_recipe(text, overrides=["train.iterations=5", "snapshot.every_epochs=0.5"], components=components)
    assert (recipe.train.epochs, recipe.train.iterations) == (None, 5)
    assert (recipe.snapshot.every_epochs, recipe.snapshot.every_iterations) == (0.5, None)
    assert "epochs" not in recipe.table["train"]


def test_a_table_in_a_table(components: Registry) -> None:
    recipe = parse_recipe(SMALLEST + "[model.block]\nwidth = 2\n[model.spare]\n", components=components)
    assert recipe.model == Net(block=Block(width=2), spare=Block())
    assert parse_recipe(recipe.dump(), components=components) == recipe


def test_nested_tables_from_python(components: Registry) -> None:
    table = {
        "dataset": {"name": "folder", "root": Path("a"), "resolution": (8, 6), "split": None},
        "train": {"epochs": None, "iterations": 5},
    }
    recipe = parse_recipe(table, "notebook", ["seed=3"], components=components)
    assert (recipe.name, recipe.seed, recipe.train.iterations) == ("notebook", 3, 5)
    assert recipe.dataset == Folder(root=Path("a"), resolution=(8, 6))
    assert parse_recipe(recipe.table, "notebook", components=components) == recipe
    for value in (np.float32(1), {1, 2}, datetime.date(2024, 1, 1), "\ud800", float("nan"), 2**63, b"x"):
        with pytest.raises(RecipeError, match=r"^notebook: train.tick_seconds = .*: must be a number above 0"):
            parse_recipe({**table, "train": {"tick_seconds": value}}, "notebook", components=components)


def test_the_digest_is_of_what_decides_the_result(components: Registry) -> None:
    def digest(*overrides: str) -> str:
        return parse_recipe(SMALLEST, "r", overrides, components=components).sha256

    assert len(digest()) == 64
    assert digest() == digest("observers.gif=false") == digest("optimizer.lr=0.0002") == digest("train.epochs=25")
    assert len({digest(), digest("seed=1"), digest("dataset.root=y"), digest("optimizer.generator.lr=1")}) == 4


values = st.fixed_dictionaries(
    {"dataset": st.fixed_dictionaries({"name": st.just("folder"), "root": st.text(min_size=1).map(os.path.normpath)})},
    optional={
        "seed": st.integers(0, 2**63 - 1),
        "optimizer": st.fixed_dictionaries(
            {},
            optional={"lr": st.floats(1e-300, 1e300), "generator": st.fixed_dictionaries({"eps": st.floats(1e-9, 1)})},
        ),
        "train": st.fixed_dictionaries({"iterations": st.integers(1, 2**63 - 1)})
        | st.fixed_dictionaries({"epochs": st.floats(1e-300, 1e300)}),
        "model": st.fixed_dictionaries({"depth": st.tuples(st.integers(1, 9), st.integers(1, 9)) | st.integers(1, 9)}),
        "observers": st.dictionaries(st.sampled_from(["gif", "board"]), st.booleans() | st.just({"every": 3})),
    },
)


@given(values)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_resolved_recipe_gives_itself_again(components: Registry, table: dict[str, Any]) -> None:
    recipe = parse_recipe(table, "r", components=components)
    again = parse_recipe(recipe.dump(), "r", components=components)
    assert again == recipe
    assert (again.dump(), again.sha256) == (recipe.dump(), recipe.sha256)


# What a mistake becomes


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed = -1", "4: seed = -1: must be a whole number of at least 0"),
        ("seed = 1.0", "4: seed = 1.0: must be a whole number of at least 0"),
        ("lr = 1", "4: lr is not an option of a recipe; it is an option of [optimizer]"),
        ("[trian]", "4: trian is not an option of a recipe; did you mean train?"),
        ("train = 3", "4: train = 3: must be a table, [train]"),
        ("model = []", "4: model = []: must be a table, [model]"),
        ("[[loss]]", "4: loss = [{}]: must be a table, [loss]"),
        ("optimizer = 1", "4: optimizer = 1: must be a table, [optimizer]"),
        ("observers = 1", "4: observers = 1: must be a table, [observers]"),
        ('[train]\nbatch_size = "64"', '5: train.batch_size = "64": must be a whole number above 0'),
        ("[train]\nbatch_size = true", "5: train.batch_size = true: must be a whole number above 0"),
        (
            "[train]\nbatch_size = 9223372036854775808",
            "5: train.batch_size = 9223372036854775808: must be a whole number above 0, within 64 bits",
        ),
        ("[train]\nepochs = nan", "5: train.epochs = nan: must be a number above 0"),
        ("[train]\nepochs = inf", "5: train.epochs = inf: must be a number above 0"),
        ("[train]\nepochs = 1e400", "5: train.epochs = inf: must be a number above 0"),
        ("[train]\nepochs = 2024-01-01", "5: train.epochs = 2024-01-01: must be a number above 0"),
        ("[train]\nepochs = 1\niterations = 2", "6: train.iterations = 2: stands beside epochs; write one of the two"),
        (
            '[train]\ndevice = "gpu"',
            '5: train.device = "gpu": must be text such as "auto", "cpu", "cuda", "cuda:0" or "mps"',
        ),
        (
            '[train]\nprecision = "bf61"',
            '5: train.precision = "bf61": must be "auto", "fp32", "tf32" or "bf16"; did you mean "bf16"?',
        ),
        ("[train]\nlatent_dim = 3", "5: train.latent_dim is not an option of [train]; it is an option of [model]"),
        (
            "[train]\nlearning_rate = 3",
            "5: train.learning_rate is not an option of [train]; did you mean lr in [optimizer]?",
        ),
        (
            "[train]\nseed = 3",
            "5: train.seed is not an option of [train]; it is an option of the recipe, before its first table",
        ),
        ("[train]\nsteps = 3", "5: train.steps is not an option of [train]; did you mean iterations?"),
        (
            "[optimizer]\nmomentum = 1",
            "5: optimizer.momentum is not an option of [optimizer]; its options are lr, betas, eps, decay_from, "
            "generator, discriminator",
        ),
        ("[optimizer]\nbetas = [0.5]", "5: optimizer.betas = [0.5]: must be an array of two numbers from 0 to below 1"),
        ("[optimizer]\ngenerator = 1", "5: optimizer.generator = 1: must be a table, [optimizer.generator]"),
        (
            "[optimizer.discrimnator]",
            "4: optimizer.discrimnator is not a network of the model; did you mean discriminator? "
            "its networks are generator, discriminator",
        ),
        ("[optimizer.generator]\nlr = 0", "5: optimizer.generator.lr = 0: must be a number above 0"),
        ("[snapshot]\nkeep = 1", "5: snapshot.keep = 1: must be a whole number of at least 2"),
        ("[moving_average]\ndecay = 1.0", "5: moving_average.decay = 1.0: must be a number from 0 to below 1"),
        (
            '[model]\nname = "dcgn"',
            '5: model.name = "dcgn": no model "dcgn" is installed; did you mean dcgan? (installed: dcgan, flow)',
        ),
        ("[model]\nname = 3", "5: model.name = 3: must be text, the name of a model: dcgan, flow"),
        ("[model]\nlatentdim = 3", '5: model.latentdim is not an option of model "dcgan"; did you mean latent_dim?'),
        (
            "[model]\ndepth = [1, 0]",
            "5: model.depth = [1, 0]: must be a whole number above 0, or an array of two whole numbers above 0",
        ),
        ("[model]\ndepth = 13", "5: model.depth = 13: 13 is unlucky; take 12 or 14"),
        ("[model.block]\nwidth = 0", "5: model.block.width = 0: must be a whole number above 0"),
        ("[model.spare]\nwidht = 1", '5: model.spare.widht is not an option of model "dcgan"; did you mean width?'),
        ("[model]\nblock = 3", "5: model.block = 3: must be a table"),
        (
            "[loss]\nreal_label = 0",
            "5: loss.real_label = 0: real_label = 0.0 must be greater than fake_label = 0.0",
        ),
        ("[observers]\ngif = 3", "5: observers.gif = 3: must be true, false or a table of its options"),
        (
            "[observers]\ngfi = false",
            '5: observers.gfi = false: no observer "gfi" is installed; did you mean gif? '
            "(installed: board, gif, log, metrics, plot, samples, terminal)",
        ),
        ("[observers.gif]\nevry = 1", '5: observers.gif.evry is not an option of observer "gif"; did you mean every?'),
        (
            '"a b" = 1',
            '4: "a b" is not an option of a recipe; its options are seed, extends, model, dataset, '
            "loss, augmentation, optimizer, train, moving_average, snapshot, observers",
        ),
    ],
)
def test_one_mistake(text: str, sentence: str, components: Registry) -> None:
    # Tables first and keys of the top after them is not TOML, so the smallest recipe is written in one line each.
    smallest = '#\n#\ndataset = { name = "folder", root = "x" }\n'
    assert problems(smallest + text, components) == ["r.toml:" + sentence]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "r.toml: dataset.name is missing; it must be text, the name of a dataset: folder"),
        ("seed = 1\n[dataset]", "r.toml:2: dataset.name is missing; it must be text, the name of a dataset: folder"),
        ('[dataset]\nname = "folder"', "r.toml:1: dataset.root is missing; it must be a path"),
        (
            '[dataset]\nname = "folder"\nroot = "x"\nsplit = "tets"',
            'r.toml:4: dataset.split = "tets": must be "train" or "test"; did you mean "test"?',
        ),
        (
            '[dataset]\nname = "folder"\nroot = "x"\nresolution = 63',
            "r.toml:4: dataset.resolution = 63: 63 is odd; take 62 or 64",
        ),
        (
            '[model]\nname = "flow"\n[dataset]\nname = "folder"\nroot = "x"',
            "r.toml: loss.name: this loss needs a network discriminator; the model has generator, velocity",
        ),
    ],
)
def test_mistakes_of_the_dataset_and_between_tables(text: str, sentence: str, components: Registry) -> None:
    assert problems(text, components) == [sentence]


@pytest.mark.parametrize("value", ["nan", "[-inf]", "{ a = 2024-01-01 }"])
def test_what_json_cannot_hold_is_refused_even_where_anything_is_accepted(value: str, components: Registry) -> None:
    text = f'[model]\nname = "flow"\nanything = {value}\n'
    [problem] = problems(text + SMALLEST, components)
    assert problem.startswith("r.toml:3: model.anything")
    assert problem.endswith(": must be text, a finite number, true or false, an array or a table")


def test_all_mistakes_come_at_once_in_the_order_of_the_file(components: Registry) -> None:
    text = (
        'seed = "a"\n[train]\nepoch = 1\nthreads = 0\n[model]\nname = "x"\n'
        '[dataset]\nname = "folder"\n[loss]\nreal_label = "a"'
    )
    assert [problem.split(" ")[0] for problem in problems(text, components, "train.device=x")] == [
        "r.toml:1:", "r.toml:3:", "r.toml:4:", "r.toml:6:", "r.toml:7:", "r.toml:10:", "--set",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.epochs=x", '--set train.epochs=x: train.epochs = "x": must be a number above 0'),
        ("train.epochs=", '--set train.epochs=: train.epochs = "": must be a number above 0'),
        ("train.epochs", "--set train.epochs: must be of the form key=value, as in train.epochs=1"),
        ("train.=1", "--set train.=1: train. is not a dotted key such as train.epochs"),
        ("=1", "--set =1:  is not a dotted key such as train.epochs"),
        ("train.epochs=[1", "--set train.epochs=[1: its value is not TOML: unclosed array"),
        ("extends=a.toml", "--set extends=a.toml: only a file can extend another"),
        ("train=3", "--set train=3: train = 3: must be a table, [train]"),
        (
            "train.epochs=1\nseed = 2",
            '--set train.epochs=1\\nseed = 2: train.epochs = "1\\nseed = 2": must be a number above 0',
        ),
    ],
)
def test_a_bad_override(override: str, sentence: str, components: Registry) -> None:
    assert problems(SMALLEST, components, override) == [sentence]


def test_overrides_contradict_each_other(components: Registry) -> None:
    assert problems(SMALLEST, components, "train=3", "train.epochs=1", "seed=1", "seed={a=1}") == [
        "--set train.epochs=1: contradicts another --set, which gives train a value",
        "--set seed={a=1}: contradicts another --set, which gives seed otherwise",
    ]
    assert problems(SMALLEST, components, "train.epochs=1", "train.iterations=1") == [
        "--set train.iterations=1: train.iterations = 1: stands beside epochs; write one of the two"
    ]


def test_overrides_are_toml_or_text_and_the_last_one_counts(components: Registry) -> None:
    overrides = [
        "dataset.root=a b",
        "dataset.resolution=[8, 6]",
        'model.latent="uniform"',
        "seed=1",
        "seed=2",
        "train={epochs=3}",
    ]
    recipe = parse_recipe(SMALLEST, "r", overrides, components=components)
    assert recipe.dataset == Folder(root=Path("a b"), resolution=(8, 6))
    assert (recipe.model.latent, recipe.seed, recipe.train.epochs) == ("uniform", 2, 3.0)


def test_a_component_that_breaks_down_is_named_with_its_distribution(components: Registry) -> None:
    with pytest.raises(PluginError, match=r'^model "dcgan" \(this process\) broke down in check\(\): TypeError: oh$'):
        parse_recipe(SMALLEST + "channels = 7", components=components)
    with pytest.raises(
        PluginError, match=r'^loss "bce" \(this process\) broke down over its options: TypeError: a bug$'
    ):
        parse_recipe(SMALLEST + "[loss]\nreal_label = 7", components=components)


def test_one_component_from_key_value_texts(components: Registry) -> None:
    assert make_component("dataset", "folder", ["root=a", "resolution=8"], components=components) == Folder(
        root=Path("a"), resolution=8
    )
    with pytest.raises(RecipeError) as caught:
        make_component("dataset", "folder", ["resolution=a", "rot=b"], components=components)
    assert caught.value.problems == [
        'dataset "folder": root is missing; it must be a path',
        '--set resolution=a: resolution = "a": must be a whole number above 0, '
        "or an array of two whole numbers above 0",
        '--set rot=b: rot is not an option of dataset "folder"; did you mean root?',
    ]


# Files


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)


def load(path: Path, components: Registry, *overrides: str) -> Recipe:
    return load_recipe(path, overrides, components=components)


def failure(path: Path, components: Registry) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, components=components)
    [problem] = caught.value.problems
    return problem


def test_a_recipe_inherits_and_mistakes_are_placed_where_they_were_written(
    tmp_path: Path, components: Registry
) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path, base="seed = 3\n[dataset]\nname = 'folder'\nroot = 'x'\n[train]\nepochs = 5\nbatch_size = 0\n")
    write(tmp_path / "sub", top="extends = '../base.toml'\n[train]\niterations = 7\ntick_seconds = -1\n")
    with pytest.raises(RecipeError) as caught:
        load(tmp_path / "sub/top.toml", components, "dataset.flip=3")
    assert caught.value.problems == [
        f"{tmp_path}/base.toml:7: train.batch_size = 0: must be a whole number above 0",
        f"{tmp_path}/sub/top.toml:4: train.tick_seconds = -1: must be a number above 0",
        "--set dataset.flip=3: dataset.flip = 3: must be true or false",
    ]
    recipe = load(tmp_path / "sub/top.toml", components, "train.batch_size=2", "train.tick_seconds=1")
    assert (recipe.name, recipe.seed, recipe.train.epochs, recipe.train.iterations) == ("top", 3, None, 7)
    assert "extends" not in recipe.table


def test_another_component_does_not_inherit_options(tmp_path: Path, components: Registry) -> None:
    write(tmp_path, base=SMALLEST + "[model]\nlatent_dim = 7\ndepth = 4\n[observers]\ngif = { every = 2 }\n")
    write(tmp_path, same="extends = 'base.toml'\n[model]\nname = 'dcgan'\nlatent = 'uniform'\n[observers]\ngif = false")
    write(tmp_path, other="extends = 'base.toml'\n[model]\nname = 'flow'\nlatent = 'uniform'\n")
    same = load(tmp_path / "same.toml", components)
    assert same.model == Net(latent_dim=7, depth=4, latent="uniform")
    assert "gif" not in same.observers
    with pytest.raises(RecipeError, match="this loss needs a network discriminator"):
        load(tmp_path / "other.toml", components)
    write(tmp_path, bad="extends = 'base.toml'\n[model]\nname = 'flow'\ndepth = 1\n")
    assert 'depth is not an option of model "flow"' in failure(tmp_path / "bad.toml", components)


def test_what_cannot_be_extended(tmp_path: Path, components: Registry) -> None:
    write(tmp_path, a="extends = 'b.toml'\n", b="extends = 'c.toml'\n", c="#\nextends = 'a.toml'\n")
    assert failure(tmp_path / "a.toml", components) == (
        f'{tmp_path}/c.toml:2: extends = "a.toml": goes round in a circle: '
        f"{tmp_path}/a.toml ▶ {tmp_path}/b.toml ▶ {tmp_path}/c.toml ▶ {tmp_path}/a.toml"
    )
    write(tmp_path, base=SMALLEST, typo="extends = 'bsae.toml'")
    assert failure(tmp_path / "typo.toml", components) == (
        f'{tmp_path}/typo.toml:1: extends = "bsae.toml": there is no {tmp_path}/bsae.toml; did you mean base.toml?'
    )
    write(tmp_path, number="extends = 3", broken="extends = 'bad.toml'", bad="a = \n")
    assert failure(tmp_path / "number.toml", components) == (
        f"{tmp_path}/number.toml:1: extends = 3: "
        "must be the path of a recipe, or the name of one that comes with ganlab"
    )
    assert failure(tmp_path / "broken.toml", components) == (
        f"{tmp_path}/bad.toml:1: is not TOML: invalid value at column 5"
    )


def test_recipes_may_extend_eight_deep(tmp_path: Path, components: Registry) -> None:
    write(tmp_path, r0=SMALLEST, **{f"r{i}": f"extends = 'r{i - 1}.toml'\n" for i in range(1, 10)})
    assert load(tmp_path / "r8.toml", components).model == Net()
    assert failure(tmp_path / "r9.toml", components) == (
        f'{tmp_path}/r1.toml:1: extends = "r0.toml": is the 9th recipe in a row that extends another; 8 are allowed'
    )


def test_files_that_are_no_recipe(tmp_path: Path, components: Registry) -> None:
    assert failure(tmp_path / "no.toml", components) == f"{tmp_path}/no.toml: cannot be read: No such file or directory"
    assert failure(tmp_path, components) == f"{tmp_path}: is not a file"
    os.mkfifo(tmp_path / "pipe")
    assert failure(tmp_path / "pipe", components) == f"{tmp_path}/pipe: is not a file"
    (tmp_path / "binary").write_bytes(b"seed = 1\n\xff\x00")
    assert failure(tmp_path / "binary", components) == f"{tmp_path}/binary:2: is not a text file in UTF-8"
    (tmp_path / "big").write_bytes(b"#" * 2_000_000)
    assert failure(tmp_path / "big", components) == f"{tmp_path}/big: is longer than 1,000,000 bytes"
    with pytest.raises(RecipeError) as caught:
        load(tmp_path / "binary", components, "a", "train.epochs=1", "=")
    assert [problem.rpartition("binary")[2].split(":")[0] for problem in caught.value.problems] == [
        "",
        "--set a",
        "--set =",
    ]
    (tmp_path / "bom.toml").write_bytes(SMALLEST.encode("utf-8-sig"))
    assert load(tmp_path / "bom.toml", components).name == "bom"


def test_shipped_recipes_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = shipped_recipes()
    assert "dcgan_celeba" in [path.stem for path in shipped]
    assert find_recipe("dcgan_celeba") == find_recipe("dcgan_celeba.toml")
    assert find_recipe("dcgan_celeba").is_file()
    (tmp_path / "dcgan_celeba").mkdir()  # a run's directory, say
    assert find_recipe("dcgan_celeba") in shipped
    (tmp_path / "dcgan_celeba.toml").touch()
    assert find_recipe("dcgan_celeba.toml") == Path("dcgan_celeba.toml")
    for wrong, hint in [
        ("dcgan_celba", "; did you mean dcgan_celeba?"),
        ("recipes/dcgan_celeba.toml", "; did you mean dcgan_celeba?"),
        ("zebra", f"; with ganlab come {', '.join(path.stem for path in shipped)}"),
    ]:
        with pytest.raises(RecipeError) as caught:
            find_recipe(wrong)
        assert str(caught.value) == f"{wrong}: there is no such recipe{hint}"


def test_a_recipe_may_extend_a_shipped_one_by_name(tmp_path: Path) -> None:
    write(tmp_path, mine="extends = 'dcgan_celeba'\n[train]\nepochs = 1\n")
    shipped = parse(find_recipe("dcgan_celeba").read_bytes()).table
    recipe = load_recipe(tmp_path / "mine.toml")
    assert recipe.train.epochs == 1
    assert recipe.table["dataset"]["name"] == shipped["dataset"]["name"]


# Anything at all


SOUND: dict[str, Any] = {
    "seed": 1,
    "model": {"name": "dcgan", "latent_dim": 8, "block": {"width": 2}},
    "dataset": {"name": "folder", "root": "x", "resolution": [8, 8]},
    "loss": {"name": "bce", "real_label": 0.9},
    "optimizer": {"lr": 1e-3, "generator": {"betas": [0.0, 0.9]}},
    "train": {"epochs": 2, "device": "cpu"},
    "observers": {"gif": False, "plot": {"every": 2}},
}
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["dcgan", "flow", "center", "auto", "name", "a:b", datetime.date(2024, 1, 1), datetime.time(1)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def keys(table: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *inner) for inner in keys(value))


@given(st.lists(st.tuples(st.sampled_from(list(keys(SOUND))), st.none() | st.text(max_size=4), junk), max_size=3))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mutated_recipe_is_read_or_refused_with_the_keys_at_fault(
    components: Registry, changes: list[tuple[tuple[str, ...], str | None, Any]]
) -> None:
    table = copied(SOUND)
    for path, renamed, value in changes:
        inner: Any = table
        for key in path[:-1]:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(path[-1], None)
            inner[path[-1] if renamed is None else renamed] = value
    found: list[str] = []
    try:
        recipe = parse_recipe(table, "fuzz", components=components)
    except RecipeError as error:
        found = error.problems or ["an error without a reason"]
    else:
        assert parse_recipe(recipe.dump(), "fuzz", components=components) == recipe
    assert all(problem.startswith("fuzz: ") for problem in found)


def copied(table: dict[str, Any]) -> dict[str, Any]:
    return {key: copied(value) if isinstance(value, dict) else value for key, value in table.items()}


LINES = """\
import sys, time
from ganlab.recipe.recipe import find_recipe, load_recipe
begin = time.process_time()
load_recipe(find_recipe("dcgan_celeba"))
print(time.process_time() - begin, time.process_time(), "torch" in sys.modules, "numpy" in sys.modules)
"""


def test_a_check_is_fast_and_does_without_torch() -> None:
    best = 9.0
    for _ in range(3):
        result = subprocess.run([sys.executable, "-c", LINES], capture_output=True, text=True, check=True)
        _, total, torch, numpy = result.stdout.split()
        assert (torch, numpy) == ("False", "False")
        best = min(best, float(total))
    assert best < 0.4
