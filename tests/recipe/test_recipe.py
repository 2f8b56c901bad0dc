"""Recipes: what a file's tables become, what they are together, and the resolved dump."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import SMALLEST, Block, Cross, Flow, Folder, Matching, Mirror, Net, Steep, Watcher, registry_of_all
from pydantic import field_serializer

from ganlab.errors import PluginError, RecipeError
from ganlab.recipe.recipe import STANDARD_OBSERVERS, load_recipe, make_component, make_components, parse_recipe
from ganlab.registry import Registry
from ganlab.standard.metrics.kid import KID
from ganlab.standard.metrics.mind import MIND
from ganlab.standard.metrics.prdc import PRDC
from ganlab.standard.optimizers.adam import Adam


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
range = "full"
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
name = "adam"
lr = 0.0002
betas = [0.5, 0.999]
eps = 1e-08

[train]
batch_size = 64
iterations = 25000
device = "auto"
precision = "auto"
deterministic = false
compile = false
on_nonfinite = "stop"
rank_timeout_seconds = 600.0
tick_seconds = 2.0

[moving_average]
enabled = true
half_life_images = 44000.0
warm_up = true
statistics_batches = 8

[snapshot]
samples = 64
keep = 2
"""
        + "".join(f"\n[observers.{name}]\nevery = 1\n" for name in STANDARD_OBSERVERS)
    )
    assert (recipe.name, recipe.seed, recipe.model, recipe.loss) == ("smallest", 0, Net(), Cross())
    assert recipe.dataset == Folder(root=Path("x"))
    assert (recipe.train.iterations, recipe.train.epochs) == (25_000, None)
    assert list(recipe.observers) == list(STANDARD_OBSERVERS)


def test_each_network_has_an_optimizer_with_its_own_overrides(components: Registry) -> None:
    text = SMALLEST + "[optimizer]\nlr = 1e-3\n[optimizer.discriminator]\nbetas = [0, 0.9]\neps = 1e-4\n"
    recipe = parse_recipe(text, components=components)
    generator, discriminator = recipe.optimizer["generator"], recipe.optimizer["discriminator"]
    assert list(recipe.optimizer) == ["generator", "discriminator"]
    assert generator == Adam(lr=1e-3)
    assert discriminator == Adam(lr=1e-3, betas=(0.0, 0.9), eps=1e-4)
    assert recipe.table["optimizer"]["discriminator"] == {"betas": [0.0, 0.9], "eps": 1e-4}


OWN_RATES = "[optimizer]\ngenerator = { lr = 1e-3 }\ndiscriminator = { lr = 2e-4 }\n"


def test_a_rate_that_no_network_would_learn_by_is_refused_where_it_is_written_over_theirs(
    components: Registry, tmp_path: Path
) -> None:
    problem = (
        "optimizer.lr = 0.01: changes nothing, for each network has its own: optimizer.generator.lr and "
        "optimizer.discriminator.lr"
    )
    with pytest.raises(RecipeError) as caught:
        parse_recipe(SMALLEST + OWN_RATES, "r", {"optimizer.lr": 0.01}, components=components)
    assert caught.value.problems == [f"overrides['optimizer.lr']: {problem}"]
    (tmp_path / "base.toml").write_text(SMALLEST + OWN_RATES)
    (tmp_path / "mine.toml").write_text('extends = "base.toml"\n[optimizer]\nlr = 0.01\n')
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "mine.toml", components=components)
    assert caught.value.problems == [f"{tmp_path / 'mine.toml'}:3: {problem}"]


def test_a_rate_of_all_networks_is_read_where_one_learns_by_it_or_nothing_was_written_over(
    components: Registry,
) -> None:
    one = SMALLEST + "[optimizer]\ngenerator = { lr = 1e-3 }\n"
    recipe = parse_recipe(one, "r", {"optimizer.lr": 0.01}, components=components)
    assert (recipe.optimizer["generator"].lr, recipe.optimizer["discriminator"].lr) == (1e-3, 0.01)
    both = {"optimizer.lr": 0.01, "optimizer.betas": [0.0, 0.9], "optimizer.generator": {"lr": 0.01}}
    assert parse_recipe(SMALLEST, "r", both, components=components).optimizer["generator"].lr == 0.01
    resolved = parse_recipe(SMALLEST + OWN_RATES, components=components).dump()
    assert parse_recipe(resolved, components=components).optimizer["generator"].lr == 1e-3, "as a run keeps its recipe"


def test_each_network_may_name_an_optimizer_of_its_own(components: Registry) -> None:
    """Then it begins with its own defaults; where it names the general one, nothing has been named."""
    text = SMALLEST + '[optimizer]\nlr = 1e-3\n[optimizer.discriminator]\nname = "steep"\nmomentum = 0.9\n'
    recipe = parse_recipe(text, components=components)
    assert recipe.components["optimizer"] == recipe.optimizer["generator"] == Adam(lr=1e-3)
    assert recipe.optimizer["discriminator"] == Steep(momentum=0.9)
    own = {"name": "steep", "lr": 2e-4, "momentum": 0.9}
    assert recipe.table["optimizer"] == {"name": "adam", "lr": 1e-3, "betas": [0.5, 0.999], "eps": 1e-8} | {
        "discriminator": own
    }
    assert [named[:2] for named in recipe.decisive()][-2:] == [("optimizer", "adam"), ("optimizer", "steep")]
    assert parse_recipe(recipe.dump(), components=components) == parse_recipe(text, components=components)

    text = SMALLEST + '[optimizer]\nlr = 1e-3\n[optimizer.discriminator]\nname = "adam"\neps = 1e-4\n'
    same = parse_recipe(text, components=components)
    assert same.optimizer["discriminator"] == Adam(lr=1e-3, eps=1e-4)
    assert same.table["optimizer"]["discriminator"] == {"eps": 1e-4}


def test_a_network_inherits_what_its_optimizer_demands(components: Registry) -> None:
    text = SMALLEST + '[optimizer]\nname = "steep"\nmomentum = 0.9\n[optimizer.generator]\nlr = 1.0\n'
    recipe = parse_recipe(text, components=components)
    assert recipe.optimizer == {"generator": Steep(lr=1.0, momentum=0.9), "discriminator": Steep(momentum=0.9)}


def test_observers_are_switched_on_and_off(components: Registry) -> None:
    text = SMALLEST + "[observers]\ngif = false\nboard = true\n[observers.plot]\nevery = 5\n"
    recipe = parse_recipe(text, components=components)
    assert list(recipe.observers) == ["terminal", "metrics", "log", "samples", "plot", "health", "report", "board"]
    assert recipe.observers["plot"] == Watcher(every=5)
    assert recipe.table["observers"]["gif"] is False
    assert "gif = false\n" in recipe.dump()


def test_an_augmentation_is_there_where_the_recipe_has_one(components: Registry) -> None:
    recipe = parse_recipe(SMALLEST + '[augmentation]\nname = "mirror"\n', components=components)
    assert recipe.augmentation == Mirror(often=2)
    assert recipe.table["augmentation"] == {"name": "mirror", "often": 2}
    assert parse_recipe(recipe.dump(), components=components) == recipe
    without = parse_recipe(SMALLEST, components=components)
    assert without.augmentation is None
    assert "augmentation" not in without.table
    assert without.sha256 != recipe.sha256


def test_a_model_may_bring_networks_of_its_own(components: Registry) -> None:
    text = SMALLEST + '[model]\nname = "flow"\n[loss]\nname = "matching"\n[optimizer.velocity]\nlr = 1\n'
    recipe = parse_recipe(text, components=components)
    assert (recipe.model, recipe.loss) == (Flow(), Matching())
    assert {name: options.lr for name, options in recipe.optimizer.items()} == {"generator": 2e-4, "velocity": 1.0}


def test_iterations_take_the_place_of_epochs(components: Registry) -> None:
    text = SMALLEST + "[train]\nepochs = 3\n[snapshot]\nevery_iterations = 10\n"
    recipe = parse_recipe(text, components=components)
    assert (recipe.train.epochs, recipe.train.iterations) == (3.0, None)
    assert (recipe.snapshot.every_epochs, recipe.snapshot.every_iterations) == (None, 10)
    recipe = parse_recipe(text, overrides=["train.iterations=5", "snapshot.every_epochs=0.5"], components=components)
    assert (recipe.train.epochs, recipe.train.iterations) == (None, 5)
    assert (recipe.snapshot.every_epochs, recipe.snapshot.every_iterations) == (0.5, None)
    assert "epochs" not in recipe.table["train"]


def test_epochs_take_the_place_of_the_default_length_in_every_layer(components: Registry) -> None:
    for text, overrides in ((SMALLEST + "[train]\nepochs = 3\n", []), (SMALLEST, ["train.epochs=3"])):
        recipe = parse_recipe(text, overrides=overrides, components=components)
        assert (recipe.train.epochs, recipe.train.iterations) == (3.0, None)
        assert parse_recipe(recipe.dump(), components=components) == recipe


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
    assert digest() == digest("observers.gif=false") == digest("optimizer.lr=0.0002") == digest("seed=0")
    assert digest() == digest("train.iterations=25000")
    assert digest() == digest("dataset.root=y"), "where the pictures lie does not"
    assert len({digest(), digest("seed=1"), digest("dataset.resolution=16"), digest("optimizer.generator.lr=1")}) == 4


values = st.fixed_dictionaries(
    {"dataset": st.fixed_dictionaries({"name": st.just("folder"), "root": st.text(min_size=1).map(os.path.normpath)})},
    optional={
        "seed": st.integers(0, 2**63 - 1),
        "optimizer": st.fixed_dictionaries(
            {},
            optional={"lr": st.floats(1e-300, 1e300), "generator": st.fixed_dictionaries({"eps": st.floats(1e-9, 1)})},
        ),
        "train": st.fixed_dictionaries({"iterations": st.integers(1, 2**63 - 1)})
        | st.fixed_dictionaries({"epochs": st.floats(1e-300, 1e9)}),
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
        ("model = []", "4: model = []: must be a table, [model]"),
        ("[[loss]]", "4: loss = [{}]: must be a table, [loss]"),
        ("optimizer = 1", "4: optimizer = 1: must be a table, [optimizer]"),
        ("[optimizer]\nname = 3", "5: optimizer.name = 3: must be text, the name of an optimizer: adam, steep"),
        (
            '[optimizer.generator]\nname = "stepp"',
            '5: optimizer.generator.name = "stepp": no optimizer "stepp" is installed; did you mean steep? '
            "(installed: adam, steep)",
        ),
        ('[optimizer.generator]\nname = "steep"', "4: optimizer.generator.momentum is missing; it must be a number"),
        (
            '[optimizer.generator]\nname = "steep"\nmomentum = 1\nbetas = [0, 0]',
            '7: optimizer.generator.betas is not an option of optimizer "steep"; it is an option of [optimizer]',
        ),
        ("observers = 1", "4: observers = 1: must be a table, [observers]"),
        ("[train]\nepochs = 1\niterations = 2", "5: train.epochs = 1: stands beside iterations; write one of the two"),
        ("[optimizer]\ngenerator = 1", "5: optimizer.generator = 1: must be a table, [optimizer.generator]"),
        (
            "[optimizer.discrimnator]",
            "4: optimizer.discrimnator is not a network of this recipe; did you mean discriminator? "
            "its networks are generator, discriminator",
        ),
        ("[optimizer.generator]\nlr = 0", "5: optimizer.generator.lr = 0: must be a number above 0, or a schedule"),
        (
            '[model]\nname = "dcgn"',
            '5: model.name = "dcgn": no model "dcgn" is installed; did you mean dcgan? (installed: dcgan, flow)',
        ),
        ("[model]\nname = 3", "5: model.name = 3: must be text, the name of a model: dcgan, flow"),
        ("[observers]\ngif = 3", "5: observers.gif = 3: must be true, false or a table of its options"),
        (
            "[observers]\ngfi = false",
            '5: observers.gfi = false: no observer "gfi" is installed; did you mean gif? '
            "(installed: board, gif, health, log, metrics, plot, report, samples, terminal)",
        ),
        ("augmentation = 3", "4: augmentation = 3: must be a table, [augmentation]"),
        (
            '[augmentation]\nname = "mirror"\noften = 0',
            "6: augmentation.often = 0: must be a whole number above 0",
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
        (SMALLEST + "resolution = 63", "r.toml:4: dataset.resolution = 63: 63 is odd; take 62 or 64"),
        (
            '[model]\nname = "flow"\n' + SMALLEST,
            'r.toml: loss.name: the loss "bce" needs a network discriminator; the model has generator, velocity; '
            "losses that fit: matching",
        ),
        (
            SMALLEST + '[loss]\nname = "matching"',
            'r.toml:5: loss.name = "matching": this loss needs a network velocity; '
            "the model has generator, discriminator; losses that fit: bce",
        ),
        (
            SMALLEST + '[model]\nname = "flow"\n[loss]\nname = "matching"\n[augmentation]\nname = "mirror"',
            'r.toml:9: augmentation.name = "mirror": an augmentation needs a discriminator; '
            "the model has generator, velocity",
        ),
    ],
)
def test_a_mistake_between_tables(text: str, sentence: str, components: Registry) -> None:
    assert problems(text, components) == [sentence]


class Inferring(Cross):
    """A loss with a head of its own."""

    api = 1
    brings = ("head", "balance")


class Critical(Matching):
    """A loss that brings what some models have."""

    api = 1
    networks = ("generator",)
    brings = ("discriminator",)


class Adaptive(Mirror):
    """An augmentation that calls its own as the loss does."""

    api = 1
    brings = ("strength", "balance")


@pytest.fixture
def bringing(components: Registry) -> Registry:
    """Components that bring something along."""
    components.add("loss", "inferring", Inferring)
    components.add("loss", "critical", Critical)
    components.add("augmentation", "adaptive", Adaptive)
    return components


def test_what_is_brought_along_is_a_network_for_the_optimizer(bringing: Registry) -> None:
    text = SMALLEST + '[loss]\nname = "inferring"\n[optimizer]\nlr = 0.1\n[optimizer.head]\nlr = 0.2'
    recipe = parse_recipe(text, components=bringing)
    lrs = {name: options.lr for name, options in recipe.optimizer.items()}
    assert lrs == {"generator": 0.1, "discriminator": 0.1, "head": 0.2, "balance": 0.1}
    assert parse_recipe(recipe.dump(), components=bringing) == recipe
    assert problems(text.replace("optimizer.head", "optimizer.heat"), bringing) == [
        "r.toml:8: optimizer.heat is not a network of this recipe; did you mean head? "
        "its networks are generator, discriminator, head, balance"
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '[loss]\nname = "critical"',
            'r.toml:5: loss.name = "critical": brings "discriminator", as the model does: '
            "take another loss, or rename it in the code of one of them",
        ),
        (
            '[loss]\nname = "inferring"\n[augmentation]\nname = "adaptive"',
            'r.toml:7: augmentation.name = "adaptive": brings "balance", as the loss does: '
            "take another augmentation, or rename it in the code of one of them",
        ),
    ],
)
def test_one_name_for_two_networks_is_a_mistake(text: str, sentence: str, bringing: Registry) -> None:
    assert problems(SMALLEST + text, bringing) == [sentence]
    assert parse_recipe(SMALLEST + '[augmentation]\nname = "adaptive"', components=bringing).brought == {
        "strength": "augmentation",
        "balance": "augmentation",
    }


def test_an_augmentation_has_no_default(components: Registry) -> None:
    [problem] = problems(SMALLEST + "[augmentation]", components)
    assert problem.startswith("r.toml:4: augmentation.name is missing; it must be text, the name of a")


def test_overrides_contradict_each_other(components: Registry) -> None:
    assert problems(SMALLEST, components, "train.epochs=1", "train.iterations=1") == [
        "--set train.epochs=1: train.epochs = 1: stands beside iterations; write one of the two"
    ]


def test_a_component_that_breaks_down_is_named_with_its_distribution(components: Registry) -> None:
    with pytest.raises(PluginError, match=r'^model "dcgan" \(this process\) broke down in check\(\): TypeError: oh$'):
        parse_recipe(SMALLEST + "channels = 7", components=components)
    with pytest.raises(
        PluginError, match=r'^loss "bce" \(this process\) broke down over its options: TypeError: a bug$'
    ):
        parse_recipe(SMALLEST + "[loss]\nreal_label = 7", components=components)


class Unwritable(Watcher):
    """An observer whose options cannot be written."""

    api = 1

    @field_serializer("every")
    def _refuse(self, every: int) -> int:
        raise ZeroDivisionError(f"at {every}")


def test_a_component_that_breaks_down_over_the_dump_is_named_too() -> None:
    components = registry_of_all()
    components.add("observer", "board", Unwritable)
    with pytest.raises(PluginError, match=r'^observer "board" \(this process\) broke down over writing its options: '):
        parse_recipe(SMALLEST + "[observers]\nboard = true", components=components)


# Metrics


@pytest.fixture(scope="module")
def judging() -> Registry:
    found = registry_of_all()
    found.add("metric", "kid", KID)
    found.add("metric", "mind", MIND)
    found.add("metric", "prdc", PRDC)
    return found


def test_a_metric_has_the_options_of_its_table_and_else_its_defaults(judging: Registry) -> None:
    text = f'{SMALLEST}[evaluate]\nmetrics = ["kid", "prdc"]\n[evaluate.kid]\nsubset_size = 50\n'
    recipe = parse_recipe(text, components=judging)
    assert recipe.metrics == {"kid": KID(subset_size=50), "prdc": PRDC()}
    assert recipe.table["evaluate"] == {
        **{"metrics": ["kid", "prdc"], "count": 1024, "every": 1},
        **{"kid": {"subsets": 100, "subset_size": 50}, "prdc": {"k": 5}},
    }
    again = parse_recipe(recipe.dump(), components=judging)
    assert (again.table, again.metrics) == (recipe.table, recipe.metrics)
    assert parse_recipe(text, "r", ["evaluate.kid.subset_size=60"], components=judging).metrics["kid"] == KID(
        subset_size=60
    )
    assert parse_recipe(SMALLEST, components=judging).metrics == {}
    assert recipe.sha256 == parse_recipe(SMALLEST, components=judging).sha256


def test_without_a_list_the_metrics_that_have_tables_are_those_of_the_recipe(judging: Registry) -> None:
    recipe = parse_recipe(f"{SMALLEST}[evaluate.mind]\nprojections = 10\n", components=judging)
    assert recipe.evaluate is not None
    assert recipe.evaluate.metrics is None
    assert recipe.metrics == {"mind": MIND(projections=10)}
    empty = parse_recipe(f"{SMALLEST}[evaluate.mind]\n", components=judging)
    assert empty.metrics == parse_recipe(empty.dump(), components=judging).metrics == {"mind": MIND()}


def test_another_list_of_metrics_does_not_inherit_the_options_of_those_it_leaves_out(
    judging: Registry, tmp_path: Path
) -> None:
    (tmp_path / "base.toml").write_text(
        f'{SMALLEST}[evaluate]\nmetrics = ["kid", "prdc"]\nkid.subsets = 7\nprdc.k = 3\n'
    )
    top = f"extends = {str(tmp_path / 'base.toml')!r}\n"
    listing = parse_recipe(f'{top}[evaluate]\nmetrics = ["prdc"]\n', components=judging)
    assert listing.metrics == {"prdc": PRDC(k=3)}
    assert parse_recipe(f"{top}[evaluate]\nkid.subset_size = 9\n", components=judging).metrics == {
        "kid": KID(subsets=7, subset_size=9),
        "prdc": PRDC(k=3),
    }
    assert parse_recipe(top, "r", ['evaluate.metrics=["mind"]'], components=judging).metrics == {"mind": MIND()}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kid.subset = 5", '4: evaluate.kid.subset is not an option of metric "kid"; did you mean subsets?'),
        ("kid.subsets = 0", "4: evaluate.kid.subsets = 0: must be a whole number above 0"),
        ("kid = 500", "4: evaluate.kid = 500: must be a table, [evaluate.kid]"),
        ("kdi.subsets = 5", '4: evaluate.kdi: no metric "kdi" is installed; did you mean kid? (installed: kid, '),
        ('metrics = ["kid", "kdi"]', '4: evaluate.metrics = ["kid", "kdi"]: no metric "kdi" is installed; did you'),
        (
            'metrics = ["prdc"]\nkid.subsets = 5',
            '5: evaluate.kid has options, and evaluate.metrics does not name it: add "kid" there, or leave these out',
        ),
        ("evry = 2", "4: evaluate.evry is not an option of [evaluate]; did you mean every?"),
        ("subset_size = 5", "4: evaluate.subset_size is not an option of [evaluate]; its options are metrics, "),
    ],
)
def test_a_mistake_over_a_metric_is_named_with_its_place(text: str, sentence: str, judging: Registry) -> None:
    (problem,) = problems(f"{SMALLEST[:-1]}\n[evaluate]\n{text}\n".replace("\n\n", "\n"), judging)
    assert problem.startswith(f"r.toml:{int(sentence[0]) + 1}{sentence[1:]}")


def test_metrics_from_key_value_texts(judging: Registry) -> None:
    found = make_components("metric", ["kid.subsets=3", "kid.subset_size=9", "prdc.k=2"], components=judging)
    assert found == {"kid": KID(subsets=3, subset_size=9), "prdc": PRDC(k=2)}
    with pytest.raises(RecipeError) as caught:
        make_components("metric", ["kid.substs=3", "prdc.k=0", "prcd.k=1"], components=judging)
    assert caught.value.problems == [
        '--set kid.substs=3: kid.substs is not an option of metric "kid"; did you mean subsets?',
        "--set prdc.k=0: prdc.k = 0: must be a whole number above 0",
        '--set prcd.k=1: prcd: no metric "prcd" is installed; did you mean prdc? (installed: kid, mind, prdc)',
    ]


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


def test_a_table_in_place_of_an_optimizers_name_is_a_mistake_of_the_recipe(components: Registry) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(SMALLEST + "[optimizer.name.a]\nlr = 1e-3\n", components=components)
    assert "optimizer.name is not a network of this recipe" in caught.value.problems[0]
