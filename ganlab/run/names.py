"""What a user calls a run: its directory, or in short its recipe and number, `faces/2` for `runs/faces/0002`."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ganlab.errors import GanlabError
from ganlab.messages import did_you_mean, in_words
from ganlab.run.directory import RUNS, folder_name

DELETED = ".deleted"
"""What the name of a run's directory ends in while it is being deleted."""
LISTED = 5
"""So many numbers of runs are named one by one."""

_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


def named_run(source: Path) -> Path:
    """Return the directory of the run that `source` calls by recipe and number; any other path as it is.

    What follows a run behind an `@`, where one of its generators is meant, stays there. Raise `GanlabError` where that
    could be two things, and with what there is where it is none.
    """
    begin, at, which = source.name.rpartition("@")
    if begin and not os.path.lexists(source):
        run = named_run(source.with_name(begin))
        return run.with_name(f"{run.name}{at}{which}")
    name, number = _parts(source)
    if number is None:
        return source
    here = [path for path in _numbered(name) if int(path.name) == number]
    if os.path.lexists(source):
        others = [path for path in here if not _same(path, source)]
        if source.parts[0] != RUNS.name and others:
            raise GanlabError(
                f"{source} is a path here, and in short the run {others[0]}; name either by its whole path, "
                f"{source.absolute()} or {others[0]}"
            )
        return source
    if len(here) > 1:
        raise GanlabError(f"{source} is {in_words([str(path) for path in here], 'or')}; name one by its whole path")
    if here:
        return here[0]
    if numbers := numbers_of(name):
        raise GanlabError(f"there is no run {number} of {name}; {numbers}")
    if guess := did_you_mean(name, _names()):
        raise GanlabError(f"{RUNS}/ has no run of {name}{guess}")
    return source


def half_deleted(source: Path) -> Path | None:
    """Return what an interrupted deletion has left of the run that `source` calls, where there is no such run now."""
    name, number = _parts(source)
    places = [source.with_name(f"{source.name}{DELETED}")] if source.name else []
    if number is not None:
        places += [path for path in _numbered(name, DELETED) if int(path.name.removesuffix(DELETED)) == number]
    gone = (path for path in places if not os.path.lexists(path.with_name(path.name.removesuffix(DELETED))))
    return next((path for path in gone if os.path.isdir(path)), None)


def short_name(path: Path) -> str:
    """Return what a run is called in short, if `named_run` understands that."""
    if path.parts[:1] == RUNS.parts and len(path.parts) == 3 and _NUMBER.fullmatch(path.name):
        return f"{path.parent.name}/{path.name}"
    return str(path)


def numbers_of(name: str) -> str:
    """Say which runs of a recipe there are, as in "there are 1, 2 and 5"; nothing where there is none."""
    numbers = sorted(int(path.name) for path in _numbered(name))
    if not numbers:
        return ""
    if len(numbers) > LISTED:
        return f"there are {len(numbers)}, the newest is {numbers[-1]}"
    return f"there {'is' if len(numbers) == 1 else 'are'} {in_words([str(number) for number in numbers])}"


def _parts(source: Path) -> tuple[str, int | None]:
    """Return the recipe and the number that a path of the form of a run's name has; any other has no number."""
    parts = source.parts
    if len(parts) == 3 and parts[0] == RUNS.name:
        parts = parts[1:]
    if len(parts) != 2 or not _NUMBER.fullmatch(parts[1]) or folder_name(parts[0]) != parts[0]:
        return "", None
    return parts[0], int(parts[1])


def _numbered(name: str, ending: str = "") -> list[Path]:
    try:
        paths = sorted(path for path in (RUNS / name).iterdir() if path.name.endswith(ending) and path.is_dir())
    except OSError:
        return []
    return [path for path in paths if _NUMBER.fullmatch(path.name.removesuffix(ending))]


def _names() -> list[str]:
    """Return the recipes that have runs."""
    try:
        return sorted(path.name for path in RUNS.iterdir() if _numbered(path.name))
    except OSError:
        return []


def _same(first: Path, second: Path) -> bool:
    try:
        return os.path.samefile(first, second)
    except OSError:
        return False
