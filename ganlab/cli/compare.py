"""`ganlab compare`: which of two generators is better, and what they differ in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ganlab.cli.completion import complete_runs
from ganlab.cli.judging import (
    Wanted,
    check_out,
    described,
    judge,
    judging_options,
    mean_and_spread,
    protocol_rows,
    rounded,
    write_json,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ganlab.judging.differences import Contrast, Differences, Side
    from ganlab.judging.report import Protocol
    from ganlab.recipe.keys import Pair

OPTIONS = {"names": "--metrics", "settings": "--set", "count": "--count", "seeds": "--seeds"}
"""What an evaluation that is there already says of itself."""
PLACES = {"features": "--features", "data": "--data", "device": "--device"}
"""What is asked for where one of the two is still to be evaluated."""


@click.command(short_help="Tell which of two generators is better, and why.")
@click.argument("first", metavar="A", type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.argument("second", metavar="B", type=click.Path(path_type=Path), shell_complete=complete_runs)
@judging_options
@click.option("--json", "out", type=click.Path(path_type=Path), metavar="FILE", help="Also write all of it there.")
@click.pass_context
def compare(
    context: click.Context,
    first: Path,
    second: Path,
    names: str | None,
    settings: tuple[str, ...],
    features: str | None,
    count: int,
    seeds: int,
    data: str | None,
    device: str,
    out: Path | None,
) -> None:
    """Compare two generators: score by score, with the difference and its spread, and what their recipes differ in.

    A and B are runs, a generator.safetensors or .onnx files, which are judged by the same pictures, as by ganlab
    evaluate; or JSON files that ganlab evaluate --json wrote. Of a file with several generators, FILE@2 is the second.
    """
    from ganlab.judging.differences import Side, check_blocks
    from ganlab.judging.differences import compare as compare_sides

    check_out(out)
    saved = [_saved(source) for source in (first, second)]
    given = [name for name in (*OPTIONS, *PLACES) if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    wanted = Wanted(names, settings, features, count, seeds, data, device)
    _check_options(given, [side.called for side in saved if side is not None])
    missing = [source for source, side in zip((first, second), saved, strict=True) if side is None]
    if missing:
        known = next((side.evaluation for side in saved if side is not None), None)
        wanted = wanted if known is None else _same(known.protocol, wanted)
        check_blocks(wanted.seeds)
        found = judge(missing, wanted)
        judged = iter([Side(column.name, found, column) for column in found.columns])
        saved = [side or next(judged) for side in saved]
    a, b = (side for side in saved if side is not None)
    differences = compare_sides(a, b)
    write_json(out, differences.as_json())
    from rich.console import Console

    show(differences, Console(highlight=False))


def _saved(source: Path) -> Side | None:
    """Return the generator of an evaluation that was written before; None for a source that is to be evaluated."""
    from ganlab.errors import GanlabError
    from ganlab.judging.differences import Side
    from ganlab.judging.saved import read_evaluation
    from ganlab.messages import counted
    from ganlab.regular import named_path

    path, number = named_path(source), None
    if not path.exists() and (parts := re.fullmatch(r"(.+)@([0-9]{1,6})", source.name)) is not None:
        path, number = source.with_name(parts[1]), int(parts[2])
    if not _is_evaluation(path):
        return None
    found = read_evaluation(path)
    columns = found.columns
    if number is None and len(columns) == 1:
        number = 1
    if number is None or not 1 <= number <= len(columns):
        names = "; ".join(f"{path}@{index} is {column.name}" for index, column in enumerate(columns, 1))
        raise GanlabError(f"{path} has {counted(len(columns), 'generator')}{f'; name one: {names}' if names else ''}")
    return Side(str(source), found, columns[number - 1])


def _is_evaluation(path: Path) -> bool:
    """Tell whether a path is a JSON file: by its name, or by how it begins, as no generator does."""
    from ganlab.regular import named_path

    if not named_path(path).is_file():
        return False
    if path.suffix.lower() == ".json":
        return True
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError:
        return False


def _check_options(given: list[str], evaluations: list[str]) -> None:
    """Refuse options that say how to judge what has been judged already."""
    from ganlab.errors import GanlabError

    unused = [*OPTIONS, *PLACES] if len(evaluations) == 2 else list(OPTIONS) if evaluations else []
    if wrong := [name for name in given if name in unused]:
        word = (OPTIONS | PLACES)[wrong[0]]
        has, one = ("have", "they are") if len(evaluations) == 2 else ("has", "both are")
        raise GanlabError(
            f"{word} says how generators are judged, and {' and '.join(evaluations)} {has} been judged already: leave "
            f"it out, {one} compared as the file says"
        )


def _same(protocol: Protocol, wanted: Wanted) -> Wanted:
    """Return how a generator is to be judged so that it can be compared with one that was judged under a protocol."""
    from ganlab.errors import GanlabError
    from ganlab.judging.lite0 import NAME
    from ganlab.recipe.toml import dump_value

    features = wanted.features
    if features is None and protocol.network is not None:
        if protocol.network != NAME:
            raise GanlabError(
                f"the evaluation compares features of the network {protocol.network}: name its file, --features FILE"
            )
        features = NAME
    settings = tuple(
        f"{metric}.{option}={dump_value(value)}"
        for metric, options in protocol.metrics.items()
        for option, value in options.items()
        if value is not None
    )
    names = ",".join(protocol.metrics)
    return replace(wanted, names=names, settings=settings, features=features, count=protocol.real, seeds=protocol.seeds)


def show(found: Differences, console: Console) -> None:
    """Print the scores as a table, then what else differs, and below it what they were computed from."""
    from rich.text import Text

    from ganlab.messages import printable

    scores = _table("score", "A", "B", "A - B", "better")
    for name, score in found.scores.items():
        means = (rounded(one.mean, score.difference.spread) for one in (score.first, score.second))
        scores.add_row(name, *means, mean_and_spread(score.difference), _verdict(score))
    console.print(scores)
    for title, pairs in (("option", found.recipe), ("what else differs", found.others)):
        if pairs:
            console.print()
            console.print(_pairs(title, pairs))
    about = _table()
    for label, text in _about(found):
        about.add_row(label, Text(printable(text)))
    console.print()
    console.print(about)


def _table(*heads: str) -> Table:
    """Return an empty table whose first column stands out; without heads it has two columns."""
    from rich.table import Table

    table = Table(box=None, show_header=bool(heads), pad_edge=False, padding=(0, 2, 0, 0))
    for index, head in enumerate(heads or ("", "")):
        table.add_column(head, style="bold" if index == 0 else None, overflow="fold")
    return table


def _pairs(title: str, pairs: Mapping[str, Pair]) -> Table:
    """Return a table of what is not the same in A and in B."""
    from rich.text import Text

    from ganlab.messages import one_line

    table = _table(title, "A", "B")
    for key, pair in pairs.items():
        table.add_row(*(Text(one_line(text)) for text in (key, _value(pair.first), _value(pair.second))))
    return table


def _value(value: object) -> str:
    """Return a value as a table shows it: a count of pictures with commas, others as a recipe has them."""
    from ganlab.recipe.keys import value_shown

    return value if isinstance(value, str) else value_shown(value)


def _verdict(score: Contrast) -> str:
    """Return in words which of two scores is better."""
    words = {"none": "no difference seen", "differ": "they differ"}
    return words.get(score.verdict, f"{score.verdict}, {score.better}")


def _about(found: Differences) -> Iterator[tuple[str, str]]:
    yield "A", f"{found.first.name}: {described(found.first)}"
    yield "B", f"{found.second.name}: {described(found.second)}"
    yield from protocol_rows(found.protocol)
    yield "better", found.rule
    for remark in found.remarks:
        yield "note", remark
