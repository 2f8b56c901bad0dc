"""The file or run that a verb works on: the one that is named, or the newest that has a generator."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ganlab.cli.output import say

if TYPE_CHECKING:
    from ganlab.run.directory import RunDirectory


def generator_source(source: Path | None) -> Path:
    """Return where a generator lies: `source` itself, in the run `source`, what `RUN@best` or `RUN@468` names, or the
    newest run's. It is a file, or a checkpoint's directory.

    Says on stderr which run was taken where none was named, and how old it is.
    """
    from ganlab.errors import GanlabError
    from ganlab.generator.reference import reference_of
    from ganlab.generator.remote import fetched
    from ganlab.regular import named_path
    from ganlab.run.directory import RunDirectory
    from ganlab.run.names import named_run, numbers_of
    from ganlab.run.places import generator_place, is_checkpoint

    if source is None:
        return newest_file(lambda run: run.generator, "a generator")
    if (reference := reference_of(source)) is not None:
        return fetched(reference)
    source = generator_place(named_run(named_path(source)))
    if is_checkpoint(source):
        return source
    if not source.exists():
        if runs := numbers_of(source.name) if source.parent == Path() else "":
            raise GanlabError(f"which run of {source}? {runs}; name one, as in {source}/1")
        raise GanlabError(f"{source} does not exist; name a generator file or a run's directory")
    if source.is_dir():
        generator = RunDirectory(source).generator
        if not generator.is_file():
            raise GanlabError(f"{source} has no {generator.name}; name a run's directory or a generator file")
        return generator
    return source


def newest_file(file: Callable[[RunDirectory], Path], needed: str) -> Path:
    """Return a file of the newest run that has it, and say on stderr which run that is, and how old."""
    from ganlab.messages import printable
    from ganlab.run.directory import newest_run

    entry = newest_run(lambda run: file(run).is_file(), needed)
    path = file(entry.directory)
    say(printable(f"newest run: {entry.directory.path} ({entry.recipe}, {_age(path)})"), err=True)
    return path


def beside(place: Path, name: str) -> Path:
    """Return where a verb writes what it makes of a generator, if it is not told.

    In the run, or else in the file's folder, with what tells the generator from the newest one behind the name: of the
    best one `sample-best.png`, of that of iteration 468 `sample-00000468.png`. Of one from a hub, here.
    """
    from ganlab.generator.remote import is_fetched
    from ganlab.run.places import run_of

    if is_fetched(place):
        return Path(name)
    folder, stem = run_of(place).path, Path(name).stem
    which = place.name.partition(".")[0]
    if folder == place.parent:
        found = re.fullmatch(r"generator-(\w+)", which)
        which = found[1] if found else ""
    return folder / f"{stem}{f'-{which}' if which else ''}{Path(name).suffix}"


def _age(path: Path) -> str:
    seconds = max(0.0, time.time() - path.stat().st_mtime)
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"saved {count} {unit}{'s' if count > 1 else ''} ago"
    return "saved just now"
