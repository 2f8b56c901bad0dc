"""What a shell completes after Tab: names of recipes and exporters, keys of `--set`, directories of runs.

A line that is being typed may hold anything, so what cannot be read completes nothing and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem


def complete_recipes(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the names of shipped recipes, then files."""
    from ganlab.recipe.recipe import shipped_recipes

    return [*_beginning(typed, (path.stem for path in shipped_recipes())), _file(typed)]


def complete_shipped(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the names of shipped recipes."""
    return complete_recipes(context, parameter, typed)[:-1]


def complete_exporters(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the names of installed exporters."""
    from ganlab.registry.lookup import registry

    return _beginning(typed, registry.names("exporter"))


def complete_metrics(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the names of installed metrics, behind those that the list already has."""
    from ganlab.registry.lookup import registry

    before, comma, _ = typed.rpartition(",")
    return _beginning(typed, (f"{before}{comma}{name}" for name in registry.names("metric")))


def complete_runs(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the directories of the runs that are known here, newest first, or their short names, then files.

    Behind a run and an `@`, complete what may stand there.
    """
    from ganlab.run.directory import indexed_runs
    from ganlab.run.names import short_name

    run, at, _ = typed.rpartition("@")
    if at and (found := _beginning(typed, (f"{run}@{which}" for which in _generators(run)))):
        return found
    paths = [entry.directory.path for entry in indexed_runs()]
    return [*(_beginning(typed, map(str, paths)) or _beginning(typed, map(short_name, paths))), _file(typed)]


def complete_settings(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete the keys that the recipe of the command line has, or, where none is named yet, the quickstart."""
    from ganlab.errors import GanlabError
    from ganlab.interfaces import Options
    from ganlab.recipe.recipe import MovingAverage, Snapshots, Train, find_recipe, load_recipe

    try:
        # A line that ends in --set is none yet, so Click leaves its arguments unnamed.
        named = [context.params.get("recipe"), *context.args, "quickstart"]
        table = load_recipe(find_recipe(next(word for word in named if word))).table
    except GanlabError:
        return []
    tables: Mapping[str, type[Options]] = {"train": Train, "moving_average": MovingAverage, "snapshot": Snapshots}
    unset = [f"{name}.{key}" for name, options in tables.items() for key in options.model_fields]
    return _beginning(typed, (f"{key}=" for key in [*_keys(table), *unset]))


def _generators(run: str) -> list[str]:
    """Return what may stand behind a run, as far as it is one, and an `@`; nothing where that cannot be found out."""
    from ganlab.errors import GanlabError
    from ganlab.regular import named_path
    from ganlab.run.directory import RunDirectory
    from ganlab.run.names import named_run
    from ganlab.run.places import AT_BEST, moments

    try:
        directory = RunDirectory(named_run(named_path(run)))
    except GanlabError:
        return []
    return [*map(str, moments(directory)), *([AT_BEST] if directory.best.is_file() else [])]


def _keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _beginning(typed: str, words: Iterable[str]) -> list[CompletionItem]:
    """Return the words that begin so, each once; one that a shell's line cannot hold as it is, is left out."""
    return [CompletionItem(word) for word in dict.fromkeys(words) if word.startswith(typed) and word.isprintable()]


def _file(typed: str) -> CompletionItem:
    """Let the shell complete files, too."""
    return CompletionItem(typed, type="file")
