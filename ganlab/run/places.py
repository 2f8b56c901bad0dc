"""Where a generator lies: a file, a run, its best with `RUN@best`, one of before with `RUN@468`, a checkpoint."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ganlab.durable import MARKER
from ganlab.errors import GanlabError
from ganlab.messages import in_words
from ganlab.regular import BEST
from ganlab.run.directory import RunDirectory
from ganlab.training.checkpoint import MANIFEST, STATE, checkpoint_folders, is_numbered

AT_BEST = "best"
"""What stands behind a run and an `@` where its best generator is meant."""
LISTED = 8
"""So many iterations are named one by one."""

_NAMED = re.compile(r"(?P<run>.*)@(?P<which>[^@/]+)", re.DOTALL)
_ITERATION = re.compile(r"\d{1,200}", re.ASCII)


class _Named(NamedTuple):
    """What stands before and behind the last `@` of a path."""

    run: RunDirectory
    which: str

    @property
    def iteration(self) -> int | None:
        return int(self.which) if _ITERATION.fullmatch(self.which) else None


def generator_place(path: Path) -> Path:
    """Return the file or the checkpoint's directory that `RUN@best` or `RUN@468` names; any other path as it is.

    A generator that is kept comes before a checkpoint of the same iteration, and what is there under the very name
    before both. Raise `GanlabError` where the run has none, with those that there are.
    """
    if (named := _named(path)) is None:
        return path
    run, iteration = named.run, named.iteration
    if not run.path.is_dir():
        if iteration is None and named.which != AT_BEST:
            return path
        raise GanlabError(f"{path}: {run.path} is no run's directory; name one, and @{named.which} behind it")
    if named.which == AT_BEST:
        if run.best.is_file():
            return run.best
        raise GanlabError(
            f"{run.path} has no {BEST}: only a run whose recipe names a score, [evaluate] best = NAME, keeps its best "
            f"generator; leave @{AT_BEST} out for its last one"
        )
    if iteration is not None:
        if iteration in run.kept_iterations():
            return run.kept(iteration)
        if (checkpoint := _checkpoints(run).get(iteration)) is not None:
            return checkpoint
    elif not run.is_run and not moments(run):
        return path
    raise GanlabError(f"{_missing(named)}; {_there(run, iteration)}")


def moments(run: RunDirectory) -> list[int]:
    """Return the iterations that may stand behind `RUN@`, in their order: those of kept generators and checkpoints."""
    return sorted({*run.kept_iterations(), *_checkpoints(run)})


def is_checkpoint(place: Path) -> bool:
    """Tell whether a path is a checkpoint's directory, a damaged one too."""
    if not place.is_dir() or RunDirectory(place).generator.exists() or (place / MARKER).exists():
        return False
    return is_numbered(Path(os.path.abspath(place))) or any((place / name).exists() for name in (MANIFEST, STATE))


def run_of(place: Path) -> RunDirectory:
    """Return the run in which a generator's file or a checkpoint lies; of one that lies in none, its folder."""
    folder = place.parent if place.parent.name else Path(os.path.abspath(place.parent))
    run = RunDirectory(folder.parent)
    its_own = folder.name in (run.generators.name, run.checkpoints.name) and (run.path / MARKER).exists()
    return run if its_own else RunDirectory(place.parent)


def stem_of(place: Path) -> Path | None:
    """Return where other formats of a checkpoint's generator lie, without their ending; None for a file.

    It is as if the generator was kept.
    """
    if not is_checkpoint(place):
        return None
    return run_of(place).kept(int(place.name)).with_suffix("") if place.name.isdecimal() else place


def _named(path: Path) -> _Named | None:
    """Take a path apart at its last `@`, if it has one and nothing is there under the whole name."""
    found = _NAMED.fullmatch(str(path))
    if found is None or os.path.lexists(path):
        return None
    return _Named(RunDirectory(Path(found["run"])), found["which"])


def _checkpoints(run: RunDirectory) -> dict[int, Path]:
    """Return the checkpoints of a run by their iterations; of a run whose record is damaged, none is known."""
    with suppress(GanlabError):
        return {int(path.name): path for path in checkpoint_folders(run.checkpoints)}
    return {}


def _missing(named: _Named) -> str:
    if named.iteration is None:
        return f'{named.run.path}@{named.which}: behind @ stands an iteration or best, and "{named.which}" is neither'
    return f"{named.run.path} has no generator of iteration {named.iteration:,} and no checkpoint of it"


def _there(run: RunDirectory, iteration: int | None) -> str:
    """Say what could stand behind `RUN@`, of many the nearest."""
    found = moments(run)
    best = [AT_BEST] * run.best.is_file()
    if not found and not best:
        return (
            f"it keeps none but the newest, {run.path}; with [snapshot] generators = N, a run keeps that of every "
            "Nth snapshot"
        )
    near = sorted(found, key=lambda one: abs(one - (iteration or 0)))[:LISTED]
    names = [f"@{name}" for name in (*sorted(near), *best)]
    if len(found) > len(near):
        return f"of {len(found):,}, the nearest are {in_words(names)}"
    return f"there {'is' if len(names) == 1 else 'are'} {in_words(names)}"
