"""`ganlab report`: runs as one page that opens anywhere."""

from __future__ import annotations

from pathlib import Path

import click

from ganlab.cli.completion import complete_runs
from ganlab.cli.output import say


@click.command(short_help="Write a page about runs: curves, pictures, scores.")
@click.argument("names", metavar="[RUN]...", nargs=-1, type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The page's file.  [default: report.html in the run, or here where there are several]",
)
def report(names: tuple[Path, ...], out: Path | None) -> None:
    """Write one HTML file about each RUN, or the newest: curves, the film of its samples, scores, recipe.

    It opens in any browser, from the disk, without a network. Several runs stand beside each other, with what differs
    in their recipes and their curves in one plot.
    """
    from ganlab.cli.source import newest_file
    from ganlab.messages import printable
    from ganlab.run.report import write_report

    path = write_report(names or [newest_file(lambda run: run.recipe, "a recipe").parent], out)
    say(f"{printable(str(path))}  {path.stat().st_size / 1e6:.2f} MB")
