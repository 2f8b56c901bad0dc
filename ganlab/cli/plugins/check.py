"""`ganlab plugins check`: hold a component, a distribution or a plugin's folder to the contract."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from ganlab.cli.output import say

if TYPE_CHECKING:
    from ganlab.interfaces import Component
    from ganlab.registry.entry_points import Provider
    from ganlab.registry.kinds import Kind

    Tables = Mapping[Provider, dict[str, Any]]
    """The options to check each component with."""

COLOURS = {"ok": "green", "failed": "red", "advice": "yellow", "-": None}


@click.command()
@click.argument("name", metavar="NAME|PATH")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Check with this option; where several components are checked, as COMPONENT.KEY=VALUE. Repeatable.",
)
@click.option(
    "--with",
    "companion",
    metavar="NAME",
    help="The loss that trains the model, or the model that the loss trains, instead of the plugin's own.",
)
def check(name: str, settings: tuple[str, ...], companion: str | None) -> None:
    """Hold components to ganlab's contract, and say what to change. Exits with 2 where a check has failed.

    NAME is a component or a distribution, PATH the folder of a plugin, which need not be installed: its code is
    imported from there. A model is built, trained for a few iterations, resumed and exported. Nothing is left behind.
    """
    from ganlab.errors import PluginError

    with _chosen(name, companion) as providers:
        tables = _tables(providers, settings)
        failed = total = 0
        for provider in providers:
            say(provider.title, bold=True)
            for failure in _checked(provider, tables, companion):
                failed, total = failed + failure, total + 1
        if failed:
            raise PluginError(f"{failed} of {total} checks failed")
        say(f"{total} checks, none failed")


def _checked(provider: Provider, tables: Tables, companion: str | None) -> Iterator[bool]:
    """Run the checks of a component, print each as soon as it is done, and yield whether it has failed."""
    from ganlab.errors import PluginError
    from ganlab.registry.lookup import registry
    from ganlab.testing.subject import Subject
    from ganlab.testing.suite import Suite

    try:
        cls: type[Component] = registry.load(provider)
    except PluginError as error:
        _print("failed", "load", str(error))
        yield True
        return
    suite = Suite([Subject(provider.kind, cls, tables[provider], **_companions(provider, cls, tables, companion))])
    for rule in suite.checks.values():
        with redirect_stdout(sys.stderr):  # what a component prints is not ours
            outcome = suite.outcome(rule.name)
        words = {"passed": "ok", "blocked": "-", "unknown": "-"}
        _print(words.get(outcome.verdict, outcome.verdict), rule.name, outcome.advice or rule.proves)
        yield outcome.verdict == "failed"


def _print(verdict: str, name: str, sentence: str) -> None:
    say(f"  {verdict:<6}", fg=COLOURS[verdict], nl=False)
    say(f"  {name:<13}  {' '.join(sentence.split())}")


@contextmanager
def _chosen(name: str, companion: str | None) -> Iterator[list[Provider]]:
    """Yield the components that are meant: those of a plugin's folder, or installed ones."""
    from ganlab.registry.entry_points import normalized
    from ganlab.registry.lookup import registry
    from ganlab.registry.project import PYPROJECT, offered, read_project
    from ganlab.regular import named_path

    path = named_path(name)
    folder = path.parent if path.name == PYPROJECT else path
    if (folder / PYPROJECT).is_file() or "/" in name or name in (".", ".."):
        project = read_project(folder)
        say(f"importing {project.name} {project.version} from {folder}, which runs its code", err=True)
        _, _, short = (companion or "").rpartition(":")
        beside = [normalized(who.distribution) for who in registry.providers() if who.name == short]
        with offered(project, beside) as providers:
            _refuse_unreadable(project.name)
            yield providers
    else:
        yield _installed(name)


def _installed(name: str) -> list[Provider]:
    """Return the installed components of this name, or of the distribution of this name."""
    from ganlab.errors import PluginError
    from ganlab.messages import did_you_mean
    from ganlab.registry.entry_points import normalized
    from ganlab.registry.lookup import registry

    providers = registry.providers()
    distribution, _, short = name.rpartition(":")
    found = [who for who in providers if who.name == short]
    if distribution:
        found = [who for who in found if normalized(who.distribution) == normalized(distribution)]
    else:
        found += [who for who in providers if normalized(who.distribution) == normalized(name) and who not in found]
    if not found:
        names = [word for who in providers for word in (who.name, who.distribution)]
        raise PluginError(
            f'"{name}" is no installed component or distribution, and no folder with a pyproject.toml'
            f"{did_you_mean(short, dict.fromkeys(names))} (ganlab plugins lists what is installed)"
        )
    return found


def _refuse_unreadable(distribution: str) -> None:
    """Raise `PluginError` for entry points that mean nothing to ganlab."""
    from ganlab.errors import PluginError
    from ganlab.registry.lookup import registry

    problems = [broken.reason for broken in registry.unreadable() if broken.distribution == distribution]
    if problems:
        raise PluginError(f"{distribution}: {'; '.join(problems)}")


def _tables(providers: Sequence[Provider], settings: tuple[str, ...]) -> Tables:
    """Return the options to check each component with."""
    from ganlab.errors import PluginError
    from ganlab.recipe.compose import read_overrides

    table = read_overrides(settings, "ganlab plugins check").table
    if len(providers) == 1:
        return {providers[0]: table}
    names = [who.name for who in providers]
    for key, value in table.items():
        if key not in names or not isinstance(value, dict):
            raise PluginError(
                f"--set {key}: several components are checked, so begin with the name of one: {', '.join(names)}"
            )
    return {who: table.get(who.name, {}) for who in providers}


def _companions(provider: Provider, cls: type[Component], tables: Tables, companion: str | None) -> dict[str, Any]:
    """Return what the component is tried with: what `--with` names, else what its own distribution has for it."""
    from pydantic import ValidationError

    from ganlab.errors import PluginError
    from ganlab.interfaces import Loss, Model
    from ganlab.registry.lookup import registry
    from ganlab.testing.subject import Subject
    from ganlab.testing.suite import made

    kind: Kind
    if issubclass(cls, Model):
        kind, usual = "loss", False  # its author's own loss is how it is meant to be trained
    elif issubclass(cls, Loss):
        kind, usual = "model", {"generator", "discriminator"}.issuperset(cls.networks)
    else:
        return {}
    if companion is not None:
        return {kind: made(registry.get(kind, companion))}
    for who in registry.providers(kind) if not usual else ():
        if who.distribution != provider.distribution:
            continue
        try:
            other = Subject(kind, registry.load(who), tables.get(who, {})).make()
        except (PluginError, ValidationError):
            continue  # its own checks say so
        model, loss = (cls, other) if kind == "loss" else (other, cls)
        if set(loss.networks) <= set(model.networks):
            return {kind: other}
    return {}
