"""Mistakes: every one at once, each in a sentence with its place and what to write instead."""

from __future__ import annotations

import pytest
from made_up import SMALLEST

from ganlab.errors import RecipeError
from ganlab.recipe.compose import Written
from ganlab.recipe.recipe import TABLES, parse_recipe
from ganlab.recipe.settings import MovingAverage, Settings, Snapshots, Train
from ganlab.recipe.validation import ALIASES, Mistakes
from ganlab.registry import Registry, registry
from ganlab.standard.optimizers.adam import Adam


def problems(source: str, components: Registry, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(source, "r.toml", overrides, components=components)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed = -1", "4: seed = -1: must be a whole number of at least 0"),
        ("seed = 1.0", "4: seed = 1.0: must be a whole number of at least 0"),
        ("lr = 1", "4: lr is not an option of a recipe; it is an option of [optimizer]"),
        ("[trian]", "4: trian is not an option of a recipe; did you mean train?"),
        ("train = 3", "4: train = 3: must be a table, [train]"),
        ('[train]\nbatch_size = "64"', '5: train.batch_size = "64": must be a whole number above 0'),
        ("[train]\nbatch_size = true", "5: train.batch_size = true: must be a whole number above 0"),
        (
            "[train]\nbatch_size = 9223372036854775808",
            "5: train.batch_size = 9223372036854775808: must be a whole number above 0, within 64 bits",
        ),
        ("[train]\nepochs = nan", "5: train.epochs = nan: must be a number above 0 up to 1000000000"),
        ("[train]\nepochs = inf", "5: train.epochs = inf: must be a number above 0 up to 1000000000"),
        ("[train]\nepochs = 1e400", "5: train.epochs = inf: must be a number above 0 up to 1000000000"),
        ("[train]\nepochs = 2024-01-01", "5: train.epochs = 2024-01-01: must be a number above 0 up to 1000000000"),
        (
            '[train]\ndevice = "gpu"',
            '5: train.device = "gpu": must be text such as "auto", "cpu", "cuda", "cuda:0" or "mps"',
        ),
        (
            '[train]\nprecision = "bf61"',
            '5: train.precision = "bf61": must be "auto", "fp32", "tf32", "bf16" or "fp16"; did you mean "bf16"?',
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
            '5: optimizer.momentum is not an option of optimizer "adam"; its options are lr, '
            "betas, eps, name, generator, discriminator",
        ),
        (
            "[optimizer]\nbetas = [0.5]",
            "5: optimizer.betas = [0.5]: must be an array of two values, each a number from 0 to below 1, "
            "or a schedule",
        ),
        ("[snapshot]\nkeep = 1", "5: snapshot.keep = 1: must be a whole number of at least 2"),
        (
            "[moving_average]\nhalf_life_images = 0",
            "5: moving_average.half_life_images = 0: must be a number above 0, or a schedule",
        ),
        (
            "[moving_average]\ndecay = 0.999",
            "5: moving_average.decay is not an option of [moving_average]; did you mean half_life_images?",
        ),
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
        ("[observers.gif]\nevry = 1", '5: observers.gif.evry is not an option of observer "gif"; did you mean every?'),
        (
            '"a b" = 1',
            '4: "a b" is not an option of a recipe; its options are seed, extends, model, dataset, '
            "loss, augmentation, optimizer, train, moving_average, snapshot, evaluate, observers",
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
        ('[dataset]\nname = "folder"', "r.toml:1: dataset.root is missing; it must be a path"),
        (
            '[dataset]\nname = "folder"\nroot = "x"\nsplit = "tets"',
            'r.toml:4: dataset.split = "tets": must be "train" or "test"; did you mean "test"?',
        ),
    ],
)
def test_a_mistake_in_the_table_that_must_be_there(text: str, sentence: str, components: Registry) -> None:
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
        ("train.epochs=x", '--set train.epochs=x: train.epochs = "x": must be a number above 0 up to 1000000000'),
        ("train.epochs=", '--set train.epochs=: train.epochs = "": must be a number above 0 up to 1000000000'),
        ("train=3", "--set train=3: train = 3: must be a table, [train]"),
        (
            "train.epochs=1\nseed = 2",
            '--set train.epochs=1\\nseed = 2: train.epochs = "1\\nseed = 2": must be a number above 0 up to 1000000000',
        ),
    ],
)
def test_a_mistake_in_an_override_is_placed_there(override: str, sentence: str, components: Registry) -> None:
    assert problems(SMALLEST, components, override) == [sentence]


@pytest.mark.parametrize("count", [100, 101, 1_234])
def test_a_hundred_mistakes_are_told_and_the_others_counted(count: int, components: Registry) -> None:
    unknown = "".join(f"x{number} = 1\n" for number in range(count - 1))
    found = problems(f'seed = "a"\n{unknown}{SMALLEST}', components)
    assert found[0] == 'r.toml:1: seed = "a": must be a whole number of at least 0'
    assert all(f": x{number} is not an option of a recipe" in line for number, line in enumerate(found[1:100]))
    rest = {101: ["r.toml: and 1 more mistakes"], 1_234: ["r.toml: and 1,134 more mistakes"]}
    assert found[100:] == rest.get(count, [])


def test_a_table_without_mistakes_becomes_its_options() -> None:
    mistakes = Mistakes(Written({"lr": 1, "betas": [0, 0.9], "name": "adam"}, {}, "here"))
    table = {"lr": 1, "betas": [0, 0.9], "name": "adam"}
    assert mistakes.read(Adam, table, ("optimizer",), also=("name",)) == Adam(lr=1.0, betas=(0.0, 0.9))
    assert not mistakes
    mistakes.raise_any()
    mistakes.key(("optimizer", "lr"), "is odd")
    assert mistakes
    with pytest.raises(RecipeError, match=r"^here: optimizer\.lr is odd$"):
        mistakes.raise_any()


def test_what_other_projects_call_an_option_leads_to_one_that_exists() -> None:
    names = {name for cls in (Settings, Train, MovingAverage, Snapshots) for name in cls.model_fields}
    names |= {
        option for who in registry.providers() if who.kind in TABLES for option in registry.load(who).model_fields
    }
    assert set(ALIASES.values()) <= names
    assert not ALIASES.keys() & names
