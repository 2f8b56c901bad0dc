"""`ganlab evaluate`: how good generators are, beside real pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlab.cli.completion import complete_runs
from ganlab.cli.judging import (
    Wanted,
    check_out,
    described,
    judge,
    judging_options,
    mean_and_spread,
    protocol_rows,
    write_json,
)

if TYPE_CHECKING:
    from rich.console import Console

    from ganlab.judging.report import Column, Evaluation

BETTER = ("better", "higher", "lower")
GAP = 2
"""Blanks between columns."""
LEAST_HEADER = 12
"""Letters of a generator's name that stand beside each other at least; the rest of it goes below."""


@click.command(short_help="Judge generators by their pictures, beside real ones.")
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path), shell_complete=complete_runs)
@judging_options
@click.option("--json", "out", type=click.Path(path_type=Path), metavar="FILE", help="Also write all of it there.")
def evaluate(
    sources: tuple[Path, ...],
    names: str | None,
    settings: tuple[str, ...],
    features: str | None,
    count: int,
    seeds: int,
    data: str | None,
    device: str,
    out: Path | None,
) -> None:
    """Judge generators: draw pictures, and compare them with real ones by metrics.

    A SOURCE is a run's directory, a generator.safetensors or an .onnx file; without one it is the newest run. RUN@best
    is the best generator of a run, RUN@468 that of its iteration 468. Several are judged by the same pictures. Beside
    them stand real pictures, judged as if they were drawn.
    """
    check_out(out)
    found = judge(sources or (None,), Wanted(names, settings, features, count, seeds, data, device))
    write_json(out, found.as_json())
    from rich.console import Console

    show(found, Console(highlight=False))


def show(found: Evaluation, console: Console) -> None:
    """Print the scores in tables, one column a generator, and below what they were computed from."""
    from rich.table import Table
    from rich.text import Text

    from ganlab.messages import printable

    for columns in _side_by_side(found, console.width):
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
        table.add_column("metric", style="bold", min_width=_widest(found.better))
        table.add_column("better", min_width=_widest(BETTER))
        for column in columns:
            table.add_column(Text(printable(column.name)), overflow="fold", min_width=_widest(_cells(found, column)))
        rows = zip(found.better.items(), *(_cells(found, column) for column in columns), strict=True)
        for (name, better), *cells in rows:
            table.add_row(name, "" if better == "neither" else better, *cells)
        console.print(table)
        console.print()
    about = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    about.add_column(style="bold", overflow="fold")
    about.add_column(overflow="fold")
    for label, text in _protocol(found):
        about.add_row(label, Text(printable(text)))
    console.print(about)


def _side_by_side(found: Evaluation, width: int) -> Iterator[list[Column]]:
    """Yield the generators that fit beside each other, at least one, with real pictures behind them."""
    beside = _widest(found.better) + GAP + _widest(BETTER) + GAP + _widest(_cells(found, found.reference))
    columns: list[Column] = []
    room = width - beside
    for column in found.columns:
        needed = max(_widest(_cells(found, column)), LEAST_HEADER) + GAP
        if columns and room < needed:
            yield [*columns, found.reference]
            columns, room = [], width - beside
        columns.append(column)
        room -= needed
    yield [*columns, found.reference]


def _cells(found: Evaluation, column: Column) -> list[str]:
    return [mean_and_spread(column.scores.get(name)) for name in found.better]


def _widest(texts: Iterable[str]) -> int:
    return max(map(len, texts))


def _protocol(found: Evaluation) -> Iterator[tuple[str, str]]:
    for label, text in protocol_rows(found.protocol):
        yield label, f"{text}; as many others for {found.reference.name}" if label == "real" else text
    for column in found.columns:
        yield "generator", f"{column.name}: {described(column)}"
    yield "ganlab", found.protocol.ganlab
    reasons: dict[str, list[str]] = {}
    for name, reason in found.left_out.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        yield "left out", f"{', '.join(names)}: {reason}"
