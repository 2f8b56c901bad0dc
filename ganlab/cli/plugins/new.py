"""`ganlab plugins new`: a plugin to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ganlab.cli.output import say
from ganlab.registry.kinds import KINDS

if TYPE_CHECKING:
    from ganlab.registry.kinds import Kind


@click.command()
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice([*KINDS]),
    multiple=True,
    default=["model"],
    show_default=True,
    help="What the plugin offers. Repeatable.",
)
def new(name: str, kinds: tuple[Kind, ...]) -> None:
    """Write a plugin to start from, into a new folder NAME.

    It works as it stands: a component that trains, its test, a recipe and a README. Recipes will call it NAME, and pip
    ganlab-NAME.
    """
    from ganlab.scaffold import write_plugin

    written = write_plugin(name, kinds)
    folder, component = written.folder, written.names.component
    for path in written.files:
        say(folder / path)
    say("Next:")
    say(f'  pip install -e "{folder}[test]"')
    say(f"  pytest {folder}")
    say(f"  ganlab run {folder}/recipes/{component}.toml")
