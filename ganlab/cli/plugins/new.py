"""`ganlab plugins new`: a plugin to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from ganlab.cli.output import say
from ganlab.registry.kinds import KINDS

if TYPE_CHECKING:
    from ganlab.registry.kinds import Kind


class _Kind(click.ParamType):  # type: ignore[type-arg]  # click 8.1 takes no arguments
    """A kind of component, and the name of its own where one follows."""

    name = "kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Kind, str | None]:
        if isinstance(value, tuple):
            return value
        kind, equals, name = value.partition("=")
        if kind not in KINDS:
            self.fail(f"'{kind}' is not one of {', '.join(map(repr, KINDS))}.", param, ctx)
        return cast("Kind", kind), name if equals else None


@click.command()
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    type=_Kind(),
    multiple=True,
    default=["model"],
    show_default="model",
    metavar="KIND[=NAME]",
    help=f"What the plugin offers: {', '.join(KINDS)}; with a name of its own, as in loss=hinge. Repeatable.",
)
def new(name: str, kinds: tuple[tuple[Kind, str | None], ...]) -> None:
    """Write a plugin to start from, into a new folder NAME.

    It works as it stands: a component that trains, its test, a recipe and a README. Recipes will call it NAME, and pip
    ganlab-NAME.
    """
    from ganlab.errors import GanlabError
    from ganlab.scaffold import write_plugin

    called: dict[Kind, str] = {}
    for kind, own in kinds:
        chosen = name if own is None else own
        if called.setdefault(kind, chosen) != chosen:
            raise GanlabError(f"--kind {kind} is given twice; begin with one, and add the other beside it")
    written = write_plugin(name, called)
    folder, component = written.folder, written.names.component
    for path in written.files:
        say(folder / path)
    say("Next:")
    say(f'  pip install -e "{folder}[test]"')
    say(f"  pytest {folder}")
    say(f"  ganlab run {folder}/recipes/{component}.toml")
