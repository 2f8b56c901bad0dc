"""`ganlab recipes`: the shipped ones, checked, shown and copied."""

from __future__ import annotations

from pathlib import Path

from command_line import Command

from ganlab.recipe.compose import find_recipe, shipped_recipes
from ganlab.recipe.json_schema import DIRECTIVE, FILE
from ganlab.recipe.recipe import load_recipe
from ganlab.recipe.toml import parse


def test_the_list_has_a_row_a_recipe_with_its_own_words(command: Command) -> None:
    ended = command("recipes")
    assert (ended.code, ended.err) == (0, "")
    rows = dict(row.split(maxsplit=1) for row in ended.out.splitlines())
    assert list(rows) == [path.stem for path in shipped_recipes()]
    for path in shipped_recipes():
        comments = [line for line in path.read_text().splitlines() if line.startswith("# ")]
        assert rows[path.stem] == comments[0].removeprefix("# ")


def test_a_recipe_is_checked_shown_and_copied(command: Command) -> None:
    assert command("recipes", "check", "dcgan_mnist").out.endswith("dcgan_mnist.toml: no mistakes found\n")
    ended = command("recipes", "show", "dcgan_mnist", "--set", "train.batch_size=3")
    assert ended.out == load_recipe(find_recipe("dcgan_mnist"), ["train.batch_size=3"]).dump()
    assert command("recipes", "copy", "dcgan_mnist", ".").out.startswith("dcgan_mnist.toml: edit it, then ganlab run")
    assert command("recipes", "check", "dcgan_mnist.toml").code == 0
    ended = command("recipes", "copy", "dcgan_mnist", ".")
    assert (ended.code, ended.err) == (2, "ganlab: dcgan_mnist.toml exists; name another file\n")
    ended = command("recipes", "check", "dcgan_mnist.toml", "--set", "train.epochs=0")
    assert ended == (
        2,
        "",
        "ganlab: --set train.epochs=0: train.epochs = 0: must be a number above 0 up to 1000000000\n",
    )


def test_only_a_recipe_is_copied(command: Command) -> None:
    Path("notes.toml").write_text("a = \n")
    ended = command("recipes", "copy", "notes.toml", "copy.toml")
    assert ended == (2, "", "ganlab: notes.toml:1: is not TOML: invalid value at column 5\n")
    assert not Path("copy.toml").exists()


def test_a_copy_leads_to_a_schema_only_where_there_is_one(command: Command) -> None:
    command("recipes", "copy", "dcgan_mnist", "without.toml")
    assert DIRECTIVE not in Path("without.toml").read_text()
    Path(FILE).write_text("{}")
    command("recipes", "copy", "dcgan_mnist", "with.toml")
    assert Path("with.toml").read_text() == f"{DIRECTIVE}\n{Path('without.toml').read_text()}"
    assert parse(Path("with.toml").read_bytes()).table == parse(Path("without.toml").read_bytes()).table
