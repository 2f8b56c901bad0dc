"""`ganlab push`: a generator to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from ganlab.cli.completion import complete_runs
from ganlab.cli.output import say


@click.command()
@click.argument("source", type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.argument("repository", metavar="USER/NAME")
@click.option("--license", "licence", metavar="ID", help="As of ganlab card.")
@click.option("--title", metavar="TEXT", help="As of ganlab card.")
@click.option("--scores", type=click.Path(path_type=Path), metavar="FILE", help="As of ganlab card.")
@click.option("--dataset", metavar="USER/NAME", help="As of ganlab card.")
@click.option("--space", is_flag=True, help="Push a static Space with the exported page instead.")
@click.option("--private", is_flag=True, help="Make a repository that only you see, if there is none yet.")
@click.option("--revision", metavar="BRANCH", help="The branch.  [default: main]")
@click.option("--dry-run", is_flag=True, help="Show every file that would be sent, and send nothing.")
def push(
    source: Path,
    repository: str,
    licence: str | None,
    title: str | None,
    scores: Path | None,
    dataset: str | None,
    space: bool,
    private: bool,
    revision: str | None,
    dry_run: bool,
) -> None:
    """Send a generator to the Hugging Face hub.

    What ganlab card writes of SOURCE, a run or a generator, goes to USER/NAME in one commit.

    The token is that of the hub's own tools, hf auth login or HF_TOKEN; ganlab neither stores nor shows it.
    """
    from ganlab.cli.card import gathered, show_files
    from ganlab.cli.source import generator_source
    from ganlab.hub import upload
    from ganlab.hub.folder import write_folder, write_space

    handed = gathered(generator_source(source), licence, repository, title, scores, dataset)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, "folder")
        show_files((write_space if space else write_folder)(handed, folder))
        if dry_run:
            say(f"nothing was sent; without --dry-run this goes to {repository}", err=True)
            return
        say(upload.push(folder, repository, kind="space" if space else "model", private=private, revision=revision))
