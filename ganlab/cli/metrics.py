"""`ganlab metrics`: the weights that some metrics need, downloaded where the user asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganlab.cli.completion import complete_metrics
from ganlab.cli.output import Told, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ganlab.interfaces import PublishedWeights


@click.group(short_help="Fetch the weights that some metrics need.")
def metrics() -> None:
    """Fetch the weights that some metrics need. ganlab evaluate lists and computes metrics, and downloads nothing."""


@metrics.command("fetch", short_help="Download the weights that metrics need.")
@click.argument("names", metavar="METRIC", nargs=-1, shell_complete=complete_metrics)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to; a metric then takes it as its option.  [default: the cache, where metrics look]",
)
@click.option(
    "--url", metavar="URL", help="Where from instead, such as a mirror; the digest must be the published one."
)
def fetch(names: tuple[str, ...], out: Path | None, url: str | None) -> None:
    """Download the weights that each METRIC needs; without one, those of all that are installed.

    What is fetched, from where, how large it is and where it goes is said first. A file is there with the published
    SHA-256, or not at all.
    """
    from ganlab.errors import GanlabError
    from ganlab.judging.published import fetch as download
    from ganlab.judging.published import is_there, place_of
    from ganlab.regular import named_path

    wanted = _wanted(names)
    if not wanted:
        raise GanlabError("no installed metric needs weights")
    if len(wanted) > 1 and (out is not None or url is not None):
        raise GanlabError(f"--out and --url are for one file, and there are {len(wanted)}: name one METRIC")
    for weights, needing in wanted.items():
        target = place_of(weights) if out is None else named_path(out).absolute()
        if target.exists() and not target.is_file():
            raise GanlabError(f"--out {out} exists and is not a file; name another one")
        if url is not None:
            weights = weights._replace(url=url)
        say(f"{weights.file}, for {' and '.join(needing)}: {weights.about}")
        say(f"  from     {weights.url}\n  to       {target}\n  size     {weights.size / 1e6:.1f} MB")
        say(f"  SHA-256  {weights.sha256}")
        if is_there(weights, target):
            say("  is there already")
        else:
            download(weights, target, Told())
            say("  is there now")


def _wanted(names: Sequence[str]) -> dict[PublishedWeights, list[str]]:
    """Return the files that metrics need, each with the names of those."""
    from ganlab.errors import GanlabError, PluginError
    from ganlab.registry.lookup import registry

    found: dict[PublishedWeights, list[str]] = {}
    for name in names or registry.names("metric"):
        try:
            weights: PublishedWeights | None = registry.get("metric", name).published
        except PluginError:
            if names:
                raise
            continue  # a broken one harms only who names it
        if weights is not None:
            found.setdefault(weights, []).append(name)
        elif names:
            raise GanlabError(f'metric "{name}" needs no weights')
    return found
