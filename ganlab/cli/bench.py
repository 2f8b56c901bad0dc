"""`ganlab bench`: how fast a recipe trains here, and what keeps it from training faster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ganlab.cli.completion import complete_recipes
from ganlab.cli.output import Told, say
from ganlab.cli.overrides import device_option, set_option, with_device
from ganlab.messages import setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from ganlab.bench.report import Lower, Report, Spread


@click.command(short_help="Measure how fast a recipe trains here, and what limits it.")
@click.argument("recipe", default="quickstart", shell_complete=complete_recipes)
@set_option
@device_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1.0),
    default=20.0,
    show_default=True,
    metavar="S",
    help="How long to measure. The import of torch and the packing of pictures come before.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def bench(recipe: str, overrides: tuple[str, ...], device: str | None, seconds: float, as_json: bool) -> None:
    """Measure how fast RECIPE trains on this machine, and what limits it.

    Trains for a while as `ganlab run` would, by default the quickstart, and keeps nothing but the packed pictures.
    """
    from ganlab.bench.measure import measure
    from ganlab.recipe.recipe import find_recipe, load_recipe

    report = measure(load_recipe(find_recipe(recipe), with_device(overrides, device)), seconds, Told())
    if as_json:
        say(json.dumps(report.as_json(), indent=1))
        return
    from rich.console import Console

    show(report, Console(highlight=False))


def show(report: Report, console: Console) -> None:
    """Print the report as a table of two columns, which fits a narrow terminal too."""
    from rich.table import Table
    from rich.text import Text

    from ganlab.messages import printable

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for label, value in _rows(report):
        table.add_row(label, Text(printable(value)))
    console.print(table)


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    count, channels, height, width = report.pictures
    yield "recipe", f"{report.recipe}, batches of {report.batch_size}"
    yield "pictures", f"{count:,} of {channels} x {height} x {width}"
    cores = f", {report.threads} threads" if report.device == "cpu" else ""
    yield "device", f"{report.device}, {report.precision}{cores}: {report.processor}"
    yield "speed", f"{_spread(report.images_per_second, 1.0)} images/s"
    yield "iteration", f"{_spread(report.iteration_seconds, 1e3)} ms"
    yield "measured", f"{report.iterations:,} iterations in {report.blocks} blocks: median, lowest to highest"
    yield (
        "floor",
        f"{_number(1e3 * report.floor_seconds)} ms: {_number(report.flops / 1e9)} GFLOP an iteration, counted, at "
        f"{_number(report.peak.flops / 1e9)} GFLOP/s, the fastest {report.peak.of} measured here",
    )
    yield "of the floor", f"{report.floor_share:.0%}"
    yield "data", f"{report.data_share:.0%} of an iteration: with one batch again and again it is that much shorter"
    if report.host_seconds is not None and report.host_share is not None:
        what = "is the same whatever the batch" if report.device == "cpu" else "the host takes to give it out"
        yield "host", f"{_number(1e3 * report.host_seconds)} ms, {report.host_share:.0%} of an iteration, {what}"
    yield "limited by", f"{report.crowded}; {LIMITS[report.limit]}" if report.crowded else LIMITS[report.limit]
    if report.lower is not None and not report.crowded:
        yield "precision", _lower(report.lower)
    yield from (("note", note) for note in report.notes)
    of = "of the process" if report.device == "cpu" else "on the device"
    yield "memory", f"{report.memory_bytes / 1e6:,.0f} MB {of}, at most"
    start = report.startup
    yield (
        "first iteration",
        f"after {sum(start):.1f} s: torch {start.torch:.1f}, pictures {start.pictures:.1f}, "
        f"networks {start.networks:.1f}, the iteration {start.iteration:.1f}",
    )


LIMITS = {
    "compute": "the device's arithmetic and memory; smaller networks or a faster device help",
    "data": "the pictures; keep them on a faster disk, or on a device with more memory",
    "others": "measure again when the machine is idle: these figures say nothing about the recipe",
    "host": "the host, which has many small operations to start; a larger train.batch_size helps",
}
"""What limits a training, and what to do about it."""
WORTH_IT = 1.1
"""From how many times as fast a lower precision is advised."""


def _lower(lower: Lower) -> str:
    """Say what a lower precision would do."""
    if lower.times_as_fast < WORTH_IT:
        return f"{lower.precision} is not faster here"
    return f"{setting('train.precision', lower.precision)} is {lower.times_as_fast:.1f} times as fast"


def _spread(values: Spread, factor: float) -> str:
    return (
        f"{_number(factor * values.median)} ({_number(factor * values.lowest)} to {_number(factor * values.highest)})"
    )


def _number(value: float) -> str:
    """Write a number with three digits or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
