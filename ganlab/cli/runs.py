"""`ganlab runs`: the runs that are known here, how each stands, and what is done with one."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlab.cli.completion import complete_runs
from ganlab.cli.output import say, say_row
from ganlab.messages import counted, listed, one_line, printable

if TYPE_CHECKING:
    from ganlab.run.listing import Summary
    from ganlab.run.standing import LastScore

COLOURS = {"running": "green", "failed": "red", "half deleted": "red"}
TEXT_LETTERS = 120
"""Of a value or a note, so that a row stays one."""


@click.group(invoke_without_command=True, short_help="List the runs that are known here; note or delete one.")
@click.pass_context
def runs(context: click.Context) -> None:
    """List the runs that are known here, newest first: how each stands, and what was changed in its recipe.

    A run is running, finished, stopped (by a signal, or killed) or failed. Verbs take one by its directory or, in
    short, by its recipe and number: faces/2 is runs/faces/0002.
    """
    if context.invoked_subcommand is None:
        _list()


@runs.command("rm", short_help="Delete runs: what ganlab has written in them.")
@click.argument(
    "names", metavar="RUN", nargs=-1, required=True, type=click.Path(path_type=Path), shell_complete=complete_runs
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(names: tuple[Path, ...], yes: bool) -> None:
    """Delete each RUN, once you have agreed. What ganlab has not written stays where it is, and is named."""
    from ganlab.errors import GanlabError
    from ganlab.run.deletion import deletable, delete_run, size_of
    from ganlab.run.listing import Known, summary

    chosen = {run.path.resolve(): run for run in map(deletable, names)}
    sizes = []
    for run in chosen.values():
        sizes.append(size_of(run))
        known = summary(Known(run, run.of_recipe or "", run.begun_at))
        say_row(f"{known.name}  {known.state}  {_age(known.begun)}  {_bytes(sizes[-1])}", _details(known))
    if not yes:
        say(f"Delete {counted(len(sizes), 'run')} of {_bytes(sum(sizes))} for ever? [y/N] ", nl=False)
        answer = "" if sys.stdin is None else sys.stdin.readline()  # it may be closed
        if answer.strip().lower() not in ("y", "yes"):
            raise GanlabError("nothing was deleted; y or --yes deletes")
    for run in chosen.values():
        stays = delete_run(run)
        kept = f" but for what ganlab has not written: {listed([printable(name) for name in stays])}" if stays else ""
        say(f"{printable(str(run.path))} is deleted{kept}")


@runs.command("note", short_help="Keep a note on a run.")
@click.argument("name", metavar="RUN", type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.argument("text")
def note(name: Path, text: str) -> None:
    """Keep TEXT as the note on RUN, in place of the one before; an empty TEXT takes that away."""
    from ganlab.errors import GanlabError
    from ganlab.regular import named_path
    from ganlab.run.directory import RunDirectory
    from ganlab.run.names import named_run
    from ganlab.run.standing import write_note

    run = RunDirectory(named_run(named_path(name)))
    if not run.is_run:
        raise GanlabError(f"{name} is no run; ganlab runs lists those that are known here")
    write_note(run, text)


def _list() -> None:
    """Print the table, row by row."""
    from ganlab.run.listing import known_runs, summary

    known = known_runs()
    if not known:
        say("no runs are known here; ganlab run RECIPE begins one")
        return
    rows = [summary(run) for run in known]
    width = max(3, *(len(printable(row.name)) for row in rows))
    say(f"{'run':<{width}}  {'state':<12}  {'age':>6}  {'images':>11}  changes, score, losses, note", bold=True)
    for row in rows:
        images = "-" if row.images is None else f"{row.images:,}"
        head = f"{printable(row.name):<{width}}  {row.state:<12}  {_age(row.begun):>6}  {images:>11}"
        say_row(head, _details(row), fg=COLOURS.get(row.state))


def _details(row: Summary) -> str:
    changed = ", ".join(one_line(text, TEXT_LETTERS) for text in row.changes)
    own = None if row.name.startswith(f"{row.recipe}/") else row.recipe
    base = None if row.shipped == row.recipe else row.shipped
    names = ", ".join(one_line(name, TEXT_LETTERS) for name in (own, base and f"from {base}") if name)
    said = " with ".join(filter(None, (names, changed)))
    losses = ", ".join(f"{one_line(name, TEXT_LETTERS)} {value:.4g}" for name, value in row.losses.items())
    return "; ".join(filter(None, (said, _score(row.score), losses, one_line(row.note))))


def _score(score: LastScore | None) -> str:
    """Return the last score in words, and the best one where a best generator is kept."""
    if score is None:
        return ""
    best = "" if score.best is None else " (the best)" if score.best == score.value else f" (best {score.best:.4g})"
    return f"{one_line(score.name, TEXT_LETTERS)} {score.value:.4g}{best}"


def _age(begun: float) -> str:
    seconds = max(0.0, time.time() - begun)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
