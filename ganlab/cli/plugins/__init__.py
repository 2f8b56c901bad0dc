"""`ganlab plugins`: what is installed, from where, what is broken, and what is switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ganlab.cli.output import say, say_row
from ganlab.cli.plugins.check import check
from ganlab.cli.plugins.new import new
from ganlab.registry.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ganlab.registry.entry_points import Provider
    from ganlab.registry.kinds import Kind


@click.group(invoke_without_command=True, short_help="List what is installed; start, check or disable a plugin.")
@click.pass_context
def plugins(context: click.Context) -> None:
    """List the installed components with the distributions they come from, and what is broken.

    With GANLAB_STRICT_PLUGINS=1, which is for authors, what is broken or odd makes this and every other verb fail.
    """
    if context.invoked_subcommand is None:
        _list(without_plugins=context.find_root().params.get("no_plugins", False))


plugins.add_command(new)
plugins.add_command(check)


@plugins.command("show", short_help="Show what a component is, and its options.")
@click.argument("kind", type=click.Choice([*KINDS]))
@click.argument("name")
def show(kind: Kind, name: str) -> None:
    """Show what a component is, which options it takes, and how a recipe names it."""
    from ganlab.recipe.options import snippet
    from ganlab.registry.lookup import registry

    provider = registry.provider(kind, name)
    cls = registry.load(provider)
    say(f"{provider.title}\n{_source(provider, cls)}\n")
    say(f"{_doc(cls)}\n")
    for line in _options(provider, cls):
        say(line)
    say(snippet(provider, cls, name))


@plugins.command("disable", short_help="Leave a distribution out from now on.")
@click.argument("name")
def disable(name: str) -> None:
    """Leave out every component of the distribution NAME from now on, for this user, in all runs."""
    from ganlab.errors import GanlabError
    from ganlab.registry.disabled import disabled, write_disabled
    from ganlab.registry.entry_points import HOST, normalized

    key, off, found = normalized(name), disabled(), _distributions()
    if key == HOST:
        raise GanlabError("ganlab itself cannot be disabled; a recipe switches an observer off with name = false")
    if key in off:
        say(f"{found.get(key, name)} is disabled already")
    elif key not in found:
        raise GanlabError(_no_distribution(name, found))
    else:
        write_disabled({*off, key})
        say(f"{found[key]} is disabled; ganlab plugins enable {found[key]} takes that back")


@plugins.command("enable")
@click.argument("name")
def enable(name: str) -> None:
    """Take back what `ganlab plugins disable NAME` has done."""
    from ganlab.errors import GanlabError
    from ganlab.registry.disabled import disabled, write_disabled
    from ganlab.registry.entry_points import normalized

    key, off, found = normalized(name), disabled(), _distributions()
    if key in off:
        write_disabled(off - {key})
        say(f"{found.get(key, name)} is enabled")
    elif key in found:
        say(f"{found[key]} is not disabled")
    else:
        raise GanlabError(_no_distribution(name, {**dict.fromkeys(off), **found}))


def _list(without_plugins: bool) -> None:
    """Print the table, row by row: each component is imported just before its row, so that what is broken shows."""
    from ganlab.errors import PluginError
    from ganlab.registry.entry_points import strict
    from ganlab.registry.lookup import registry

    providers = registry.providers()
    names, origins = _width([who.name for who in providers]), _width([who.origin for who in providers])
    say(f"{'kind':<12}  {'name':<{names}}  {'from':<{origins}}  what it is", bold=True)
    faults = [item.sentence for item in registry.unreadable()]
    for who in providers:
        row = f"{who.kind:<12}  {who.name:<{names}}  {who.origin:<{origins}}"
        try:
            say_row(row, _first_sentence(registry.load(who)))
        except PluginError as error:
            faults.append(str(error))
            say(f"{row}  broken, see below", fg="red")
    remarks = registry.warnings() + registry.clashes()
    for heading, colour, sentences in (("Broken:", "red", faults), ("To know:", "yellow", remarks)):
        if sentences:
            say(f"\n{heading}", bold=True)
        for sentence in sentences:
            say_row("", " ".join(sentence.split()), fg=colour)
    if faults:
        say("  Everything else works. ganlab plugins disable NAME leaves a distribution out.")
    for line in _left_out(registry.left_out(), without_plugins):
        say(line)
    if strict() and (faults or remarks):
        count = len(faults) + len(remarks)
        raise PluginError(f"{count} {'thing' if count == 1 else 'things'} to put right (GANLAB_STRICT_PLUGINS is set)")


def _left_out(providers: list[Provider], without_plugins: bool) -> Iterator[str]:
    offered: dict[str, list[str]] = {}
    for who in providers:
        offered.setdefault(who.origin, []).append(f"{who.kind} {who.name}")
    if offered:
        yield "\nLeft out by --no-plugins:" if without_plugins else "\nDisabled (ganlab plugins enable NAME):"
    for origin, components in offered.items():
        yield f"  {origin}: {', '.join(components)}"


def _distributions() -> dict[str, str]:
    """Return the distributions that offer components, or try to, by their normalized names."""
    from ganlab.registry.entry_points import installed, normalized

    providers, broken = installed()
    names = [who.distribution for who in providers] + [item.distribution for item in broken if item.version]
    return {normalized(name): name for name in names}


def _no_distribution(name: str, found: dict[str, str | None] | dict[str, str]) -> str:
    from ganlab.messages import did_you_mean, quoted
    from ganlab.registry.entry_points import HOST, installed

    others = sorted(found.keys() - {HOST})
    of_component = [who.distribution for who in installed()[0] if who.name == name and who.distribution != HOST]
    hint = f"; did you mean {of_component[0]}?" if of_component else did_you_mean(name, others)
    return f"{quoted(name)} is no distribution with components{hint} (installed: {', '.join(others) or 'none'})"


def _source(provider: Provider, cls: type) -> str:
    """Return where the class is written."""
    import inspect

    try:
        return f"{provider.target} in {inspect.getsourcefile(cls)}"
    except TypeError:  # made in a notebook, or compiled
        return provider.target


def _options(provider: Provider, cls: type) -> Iterator[str]:
    from textwrap import wrap

    from ganlab.recipe.options import options_of
    from ganlab.registry.loading import blaming

    with blaming(provider, "has options that cannot be described"):
        options = list(options_of(cls))
    yield "Options:" if options else "It has no options.\n"
    for option in options:
        yield f"  {option.name} = {option.default}"
        yield from wrap(f"{option.accepted}. {option.doc}", 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    if options:
        yield ""


def _doc(cls: type) -> str:
    """Return the class's own documentation: what it inherits describes every component of its kind."""
    import inspect

    return inspect.cleandoc(cls.__doc__ or "It has no description.")


def _first_sentence(cls: type) -> str:
    import re

    text = " ".join((cls.__doc__ or "").split())
    found = re.match(r".*?(?<!\bal)[.!?](?=\s|$)", text)  # "et al." ends no sentence
    return found[0] if found else text


def _width(words: list[str]) -> int:
    return max(map(len, words), default=0)
