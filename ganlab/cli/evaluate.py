"""`ganlab evaluate`: how good generators are, beside real pictures."""

from __future__ import annotations

from collections.abc import Iterator
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

    from ganlab.judging.report import Evaluation


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
    """Print the scores as a table, one column a generator, and below it what they were computed from."""
    from rich.table import Table
    from rich.text import Text

    from ganlab.messages import printable

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("metric", style="bold", overflow="fold")
    table.add_column("better", overflow="fold")
    columns = (*found.columns, found.reference)
    for column in columns:
        table.add_column(Text(printable(column.name)), overflow="fold")
    for name, better in found.better.items():
        cells = (mean_and_spread(column.scores.get(name)) for column in columns)
        table.add_row(name, "" if better == "neither" else better, *cells)
    console.print(table)
    about = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    about.add_column(style="bold", overflow="fold")
    about.add_column(overflow="fold")
    for label, text in _protocol(found):
        about.add_row(label, Text(printable(text)))
    console.print()
    console.print(about)


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
