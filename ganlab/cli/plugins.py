"""`ganlab plugins`: what is installed, from where, and what is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ganlab.providers import Kind


@click.group(invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """List the installed components with the distributions they come from, and show their options."""
    if context.invoked_subcommand is None:
        _table()


@plugins.command("show")
@click.argument("kind", type=click.Choice(["model", "dataset", "loss", "augmentation", "exporter", "observer"]))
@click.argument("name")
def show(kind: Kind, name: str) -> None:
    """Show what a component is and which options it takes."""
    import inspect

    from ganlab.options import options_of
    from ganlab.registry import registry

    component = registry.get(kind, name)
    provider = registry.provider(kind, name)
    click.echo(f"{kind} {name}  ({provider.origin}, {provider.target})\n")
    click.echo(f"{inspect.getdoc(component) or ''}\n")
    for option in options_of(component):
        click.echo(f"  {option.name} = {option.default}  ({option.accepted})")
        for line in (option.doc or "").splitlines():
            click.echo(f"      {line}")


def _table() -> None:
    from rich.console import Console
    from rich.table import Table

    from ganlab.registry import registry

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("kind", "name", "from"):
        table.add_column(title, overflow="fold")
    for provider in registry.providers():
        table.add_row(provider.kind, provider.name, provider.origin)
    console = Console()
    console.print(table)
    for broken in registry.broken():
        console.print(f"broken: {broken.distribution} {broken.version}: {broken.reason}", style="red", markup=False)
