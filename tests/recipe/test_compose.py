"""Layers: what files, what they extend and overrides say together, and where each value was written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from made_up import SMALLEST, Net

from ganlab.errors import RecipeError
from ganlab.recipe.compose import find_recipe, read_layers, read_overrides, read_tables, shipped_recipes
from ganlab.recipe.recipe import Recipe, load_recipe
from ganlab.recipe.toml import parse
from ganlab.registry import Registry


def write(folder: Path, /, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)


def load(path: Path, components: Registry, *overrides: str) -> Recipe:
    return load_recipe(path, overrides, components=components)


def failure(path: Path) -> str:
    with pytest.raises(RecipeError) as caught:
        read_layers(path)
    [problem] = caught.value.problems
    return problem


# Overrides


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.epochs", "--set train.epochs: must be of the form key=value, as in train.epochs=1"),
        ("train.=1", "--set train.=1: train. is not a dotted key such as train.epochs"),
        ("=1", "--set =1:  is not a dotted key such as train.epochs"),
        ("train.epochs=[1", "--set train.epochs=[1: its value is not TOML: unclosed array"),
        ("extends=a.toml", "--set extends=a.toml: only a file can extend another"),
        ("a" * 100, f"--set {'a' * 77}...: must be of the form key=value, as in train.epochs=1"),
    ],
)
def test_an_override_that_is_none_is_refused(override: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_overrides([override], "r.toml")
    assert caught.value.problems == [sentence]


def test_overrides_contradict_each_other() -> None:
    with pytest.raises(RecipeError) as caught:
        read_overrides(["train=3", "train.epochs=1", "seed=1", "seed={a=1}"], "r.toml")
    assert caught.value.problems == [
        "--set train.epochs=1: contradicts another override, which gives train a value",
        "--set seed={a=1}: contradicts another override, which gives seed otherwise",
    ]


def test_overrides_are_toml_or_text_and_the_last_one_counts() -> None:
    overrides = [
        "dataset.root=a b",
        "dataset.resolution=[8, 6]",
        'model.latent="uniform"',
        "seed=1",
        "seed=2",
        "train={epochs=3}",
        "train={tick_seconds=1}",
    ]
    assert read_overrides(overrides, "r").table == {
        "dataset": {"root": "a b", "resolution": [8, 6]},
        "model": {"latent": "uniform"},
        "seed": 2,
        "train": {"epochs": 3, "tick_seconds": 1},
    }


# Places


def test_a_value_was_written_in_its_line_its_table_or_somewhere_in_the_file(tmp_path: Path) -> None:
    write(tmp_path, r="seed = 1\n[train]\nepochs = 3\n")
    written = read_layers(tmp_path / "r.toml", ["loss.real_label=1", "train.epochs=4"])
    file = f"{tmp_path}/r.toml"
    assert written.place(("seed",)) == f"{file}:1"
    assert written.place(("train", "device")) == f"{file}:2"
    assert written.place(("train", "epochs")) == "--set train.epochs=4"
    assert written.place(("loss", "real_label")) == "--set loss.real_label=1"
    assert written.place(("model", "depth")) == file


def test_tables_from_python_are_what_toml_would_hold() -> None:
    source = {"dataset": {"root": Path("a"), "resolution": (8, 6), "split": None}, "seed": None}
    written = read_tables(source, "notebook", ["train.epochs=1"])
    assert written.table == {"dataset": {"root": "a", "resolution": [8, 6]}, "train": {"epochs": 1}}
    assert written.place(("dataset", "root")) == "notebook"


# Recipes that extend another


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
    assert read_layers(tmp_path / "other.toml").table["model"] == {"name": "flow", "latent": "uniform"}
    write(tmp_path, bad="extends = 'base.toml'\n[model]\nname = 'flow'\ndepth = 1\n")
    with pytest.raises(RecipeError, match='depth is not an option of model "flow"'):
        load(tmp_path / "bad.toml", components)


def test_what_cannot_be_extended(tmp_path: Path) -> None:
    write(tmp_path, a="extends = 'b.toml'\n", b="extends = 'c.toml'\n", c="#\nextends = 'a.toml'\n")
    assert failure(tmp_path / "a.toml") == (
        f'{tmp_path}/c.toml:2: extends = "a.toml": goes round in a circle: '
        f"{tmp_path}/a.toml ▶ {tmp_path}/b.toml ▶ {tmp_path}/c.toml ▶ {tmp_path}/a.toml"
    )
    write(tmp_path, base=SMALLEST, typo="extends = 'bsae.toml'")
    assert failure(tmp_path / "typo.toml") == (
        f'{tmp_path}/typo.toml:1: extends = "bsae.toml": there is no {tmp_path}/bsae.toml; did you mean base.toml?'
    )
    write(tmp_path, number="extends = 3", broken="extends = 'bad.toml'", bad="a = \n")
    what = "must be the path of a recipe, or the name of one that comes with ganlab"
    assert failure(tmp_path / "number.toml") == f"{tmp_path}/number.toml:1: extends = 3: {what}"
    assert failure(tmp_path / "broken.toml") == f"{tmp_path}/bad.toml:1: is not TOML: invalid value at column 5"
    write(tmp_path, folder="extends = '.'")
    assert failure(tmp_path / "folder.toml") == (f'{tmp_path}/folder.toml:1: extends = ".": {tmp_path} is not a file')
    write(tmp_path, zero='extends = "a\\u0000"')
    assert failure(tmp_path / "zero.toml") == f'{tmp_path}/zero.toml:1: extends = "a\\u0000": {what}'


def test_recipes_may_extend_eight_deep(tmp_path: Path) -> None:
    write(tmp_path, r0=SMALLEST, **{f"r{i}": f"extends = 'r{i - 1}.toml'\n" for i in range(1, 10)})
    assert read_layers(tmp_path / "r8.toml").table == parse(SMALLEST).table
    assert failure(tmp_path / "r9.toml") == (
        f'{tmp_path}/r1.toml:1: extends = "r0.toml": is the 9th recipe in a row that extends another; 8 are allowed'
    )


def test_a_recipe_may_extend_a_shipped_one_by_name(tmp_path: Path) -> None:
    write(tmp_path, mine="extends = 'dcgan_celeba'\n[train]\nepochs = 1\n")
    shipped = parse(find_recipe("dcgan_celeba").read_bytes()).table
    recipe = load_recipe(tmp_path / "mine.toml")
    assert recipe.train.epochs == 1
    assert recipe.table["dataset"]["name"] == shipped["dataset"]["name"]


def test_what_names_another_optimizer_starts_from_that_ones_defaults(tmp_path: Path, components: Registry) -> None:
    """For all networks, and for one; a network's own optimizer stays where only the others' is another."""
    steep = "[optimizer.discriminator]\nname = 'steep'\nmomentum = 0.5\n"
    write(tmp_path, base=SMALLEST + "[optimizer]\nlr = 1e-3\neps = 1e-4\n[optimizer.generator]\nlr = 1e-5\n" + steep)
    table = load(tmp_path / "base.toml", components).table["optimizer"]
    assert (table["lr"], table["generator"]["lr"], table["discriminator"]["momentum"]) == (1e-3, 1e-5, 0.5)

    write(tmp_path, general="extends = 'base.toml'\n[optimizer]\nname = 'steep'\nmomentum = 0.9\n")
    table = load(tmp_path / "general.toml", components).table["optimizer"]
    assert table == {"name": "steep", "lr": 2e-4, "momentum": 0.9, "discriminator": {"momentum": 0.5}}

    write(tmp_path, network="extends = 'base.toml'\n[optimizer.discriminator]\nname = 'adam'\nbetas = [0, 0.9]\n")
    table = load(tmp_path / "network.toml", components).table["optimizer"]
    assert table["discriminator"] == {"betas": [0.0, 0.9]}, "and lr is that of all networks"
    assert (table["lr"], table["generator"]["lr"]) == (1e-3, 1e-5)


def test_a_recipe_from_memory_extends_what_lies_in_the_current_folder(tmp_path: Path) -> None:
    write(tmp_path, base="seed = 3\n[train]\nepochs = 2\n")  # where every test begins
    sources: list[dict[str, Any] | str] = [
        {"extends": "base.toml", "train": {"iterations": 4}},
        "extends = 'base.toml'\ntrain = { iterations = 4 }",
    ]
    for source in sources:
        assert read_tables(source, "notebook").table == {"seed": 3, "train": {"iterations": 4}}


# Files


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    assert failure(tmp_path / "no.toml") == f"{tmp_path}/no.toml: cannot be read: No such file or directory"
    hint = "to train on the pictures in a folder: ganlab run own_pictures --set dataset.root=FOLDER"
    assert failure(tmp_path) == f"{tmp_path}: is not a file; {hint}"
    os.mkfifo(tmp_path / "pipe")
    assert failure(tmp_path / "pipe") == f"{tmp_path}/pipe: is not a file"
    (tmp_path / "binary").write_bytes(b"seed = 1\n\xff\x00")
    assert failure(tmp_path / "binary") == f"{tmp_path}/binary:2: is not a text file in UTF-8"
    (tmp_path / "big").write_bytes(b"#" * 2_000_000)
    assert failure(tmp_path / "big") == f"{tmp_path}/big: is longer than 1,000,000 bytes"
    with pytest.raises(RecipeError) as caught:
        read_layers(tmp_path / "binary", ["a", "train.epochs=1", "="])
    assert [problem.rpartition("binary")[2].split(":")[0] for problem in caught.value.problems] == [
        "",
        "--set a",
        "--set =",
    ]
    (tmp_path / "bom.toml").write_bytes(SMALLEST.encode("utf-8-sig"))
    assert read_layers(tmp_path / "bom.toml").table == parse(SMALLEST).table


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


def test_a_pipe_or_a_device_is_no_recipe_and_no_base(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert failure(Path("/dev/zero")) == "/dev/zero: is not a file"
    for base in (f"{tmp_path}/pipe", "/dev/zero"):
        (tmp_path / "r.toml").write_text(f'extends = "{base}"')
        said = failure(tmp_path / "r.toml")
        assert said.startswith(f"{tmp_path}/r.toml:1: extends = ")
        assert said.endswith(f"{base} is not a file")
