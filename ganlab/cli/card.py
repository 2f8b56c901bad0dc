"""`ganlab card`: a folder that explains a generator to others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlab.cli.completion import complete_runs
from ganlab.cli.output import say
from ganlab.cli.target import target

if TYPE_CHECKING:
    from ganlab.hub.folder import Handed

LICENCES = "such as cc-by-4.0, mit, apache-2.0 or other"


@click.command()
@click.argument("source", required=False, type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option("--license", "licence", metavar="ID", help=f"Under which others may use it, {LICENCES}; asked for.")
@click.option("--repository", default="user/name", metavar="USER/NAME", help="Where it will lie; for the lines of use.")
@click.option("--title", metavar="TEXT", help="The heading.  [default: model and recipe]")
@click.option(
    "--scores", type=click.Path(path_type=Path), metavar="FILE", help="What ganlab evaluate --json wrote of it."
)
@click.option("--dataset", metavar="USER/NAME", help="The data set on the hub, if it lies there.")
@click.option("--space", is_flag=True, help="Write a static Space instead: its exported page, served as it is.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The folder.  [default: card in the run]")
def card(
    source: Path | None,
    licence: str | None,
    repository: str,
    title: str | None,
    scores: Path | None,
    dataset: str | None,
    space: bool,
    out: Path | None,
) -> None:
    """Write a folder that explains a generator to others.

    It holds the generator, README.md with its front matter, config.json, recipe and pictures.

    SOURCE is what ganlab sample takes; without it the newest run. Nothing is sent anywhere: see ganlab push.
    """
    from ganlab.cli.source import beside, generator_source
    from ganlab.errors import GanlabError
    from ganlab.hub.folder import write_folder, write_space
    from ganlab.messages import printable

    path = generator_source(source)
    if out is not None and out.exists():
        raise GanlabError(f"--out {out} is there already; name a folder that is not")
    folder = target(out, beside(path, "space" if space else "card"), overwrite=False)
    handed = gathered(path, licence, repository, title, scores, dataset)
    written = (write_space if space else write_folder)(handed, folder)
    show_files(written)
    say(printable(str(folder)))


def gathered(
    path: Path, licence: str | None, repository: str, title: str | None, scores: Path | None, dataset: str | None
) -> Handed:
    """Return what is handed over of the generator at `path`, with the licence that was given or is asked for now."""
    from ganlab.errors import GanlabError
    from ganlab.generator.reference import check_repository
    from ganlab.hub.folder import gather
    from ganlab.messages import printable
    from ganlab.run.places import run_of

    check_repository(repository)
    if dataset is not None:
        check_repository(dataset)
    if path.is_dir():
        raise GanlabError(
            f"{path} is a checkpoint, and a file is handed over: ganlab export {path} --safetensors makes one of it"
        )
    if not licence:
        if not sys.stdin.isatty():
            raise GanlabError(f"--license says under which others may use it, {LICENCES}; it is yours to choose")
        licence = click.prompt(f"license, {LICENCES}", type=str, err=True)
    run = run_of(path)
    handed = gather(
        path,
        run.path if run.is_run else None,
        licence=licence,
        repository=repository,
        title=title,
        scores=scores,
        dataset=dataset,
    )
    for other in handed.left_out:
        say(printable(f"{other} is left out: it was made of another generator; export it again"), err=True)
    return handed


def show_files(files: list[tuple[str, int]]) -> None:
    """Print names and sizes."""
    for name, size in files:
        say(f"{size:>12,} bytes  {name}")
