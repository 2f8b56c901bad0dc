"""`ganlab recipes`: the recipes that ganlab ships, and checks of your own."""

from __future__ import annotations

from pathlib import Path

import click

from ganlab.cli.completion import complete_recipes, complete_shipped
from ganlab.cli.output import say, say_row
from ganlab.cli.overrides import set_option


@click.group(invoke_without_command=True)
@click.pass_context
def recipes(context: click.Context) -> None:
    """List the shipped recipes; check, show or copy one."""
    if context.invoked_subcommand is not None:
        return
    from ganlab.recipe.recipe import shipped_recipes

    shipped = shipped_recipes()
    width = max((len(path.stem) for path in shipped), default=0)
    for path in shipped:
        say_row(f"{path.stem:<{width}}", _first_comment(path))


@recipes.command(short_help="Find every mistake in a recipe, and train nothing.")
@click.argument("recipe", shell_complete=complete_recipes)
@set_option
def check(recipe: str, overrides: tuple[str, ...]) -> None:
    """Find every mistake in RECIPE without training anything, and without importing torch."""
    from ganlab.recipe.recipe import find_recipe, load_recipe

    path = find_recipe(recipe)
    load_recipe(path, overrides)
    say(f"{path}: no mistakes found")


@recipes.command()
@click.argument("recipe", shell_complete=complete_recipes)
@set_option
def show(recipe: str, overrides: tuple[str, ...]) -> None:
    """Print RECIPE with every default written out."""
    from ganlab.recipe.recipe import find_recipe, load_recipe

    say(load_recipe(find_recipe(recipe), overrides).dump(), nl=False)


@recipes.command(short_help="Copy a shipped recipe, to change it.")
@click.argument("name", shell_complete=complete_shipped)
@click.argument("destination", type=click.Path(path_type=Path), default=Path())
def copy(name: str, destination: Path) -> None:
    """Copy a shipped recipe to DESTINATION, a directory or a file, to change it there."""
    from ganlab.durable import replacing_file
    from ganlab.errors import GanlabError
    from ganlab.recipe.compose import read_layers
    from ganlab.recipe.json_schema import DIRECTIVE, FILE
    from ganlab.recipe.recipe import find_recipe
    from ganlab.regular import named_path

    source = find_recipe(name)
    read_layers(source)  # whatever is no recipe is refused
    target = destination / source.name if named_path(destination).is_dir() else destination
    if target.exists():
        raise GanlabError(f"{target} exists; name another file")
    text = source.read_text(encoding="utf-8")
    if not (target.parent / FILE).exists():  # an editor would complain of a schema that is not there
        text = text.removeprefix(f"{DIRECTIVE}\n")
    with replacing_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(f"{target}: edit it, then ganlab run {target}")


def _first_comment(path: Path) -> str:
    """Return the recipe's own description: the first line of its opening comment."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("#:"):
            return line.lstrip("# ").rstrip()
    return ""
