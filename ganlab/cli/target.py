"""The file that a verb writes: under a name that is free, or one that the user lets it replace."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from pathlib import Path

import click

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what --out names.")


def target(out: Path | None, default: Path, overwrite: bool) -> Path:
    """Return where to write: `out`, or else `default` with a number behind it where that is taken.

    Raises `GanlabError` where `out` is taken, unless it may be replaced.
    """
    from ganlab.errors import GanlabError
    from ganlab.regular import named_path

    if out is None:
        numbered = (default.with_name(f"{default.stem}-{number}{default.suffix}") for number in count(2))
        return default if not _is_taken(default) else next(path for path in numbered if not _is_taken(path))
    named_path(out)
    if out.is_dir():
        raise GanlabError(f"--out {out} is a directory; name a file")
    if not overwrite:
        refuse_taken([out])
    return out


def refuse_taken(paths: Iterable[Path]) -> None:
    """Raise `GanlabError` where something lies under one of these names."""
    from ganlab.errors import GanlabError

    for path in filter(_is_taken, paths):
        raise GanlabError(f"--out: {path} is there already; name another place, or replace it with --overwrite")


def _is_taken(path: Path) -> bool:
    return path.exists() or path.is_symlink()
