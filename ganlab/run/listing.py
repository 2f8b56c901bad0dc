"""The runs that are known here, and what each has left of itself: for a table, and read in no time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ganlab.errors import GanlabError
from ganlab.run.directory import RUNS, RunDirectory, index_entries
from ganlab.run.names import DELETED, half_deleted, short_name
from ganlab.run.standing import LastScore, State, last_session, read_note, read_score, state_of
from ganlab.training.checkpoint import NUMBER_LIMIT, begun_with

METRICS = "metrics.jsonl"
TAIL_BYTES = 16384
"""So much of the end of `metrics.jsonl` is read: some dozens of lines."""
LOSSES = 4
"""So many losses of a line are shown."""


class Known(NamedTuple):
    """A run that is known here."""

    directory: RunDirectory
    recipe: str
    begun: float
    """Seconds since 1970."""
    overrides: tuple[str, ...] = ()
    """What was changed in its recipe, as the index says."""


class Summary(NamedTuple):
    """What a table says of a run."""

    name: str
    state: State | Literal["half deleted"]
    begun: float
    images: int | None
    """Pictures seen: by what it goes on from, while it runs by now; None where nothing says."""
    recipe: str
    """Its name."""
    shipped: str | None
    """The name of the recipe coming with ganlab that it is or extends."""
    changes: tuple[str, ...]
    """What is otherwise than in that one, else what was changed for this time; what only watches is left out."""
    score: LastScore | None
    losses: Mapping[str, float]
    """The last ones."""
    note: str


def known_runs() -> list[Known]:
    """Return the runs of the index and those that lie in `runs/` without being listed, each once, newest first.

    What an interrupted deletion has left is one of them: it is to be seen, so that it can be deleted.
    """
    found: dict[str, Known] = {}
    for run in (*_listed(), *_lying_here()):
        found.setdefault(os.path.realpath(run.directory.path), run)
    return sorted(found.values(), key=lambda run: run.begun, reverse=True)


def summary(run: Known) -> Summary:
    """Read what a run has left of itself; what is damaged is left out."""
    directory = run.directory
    half = directory.path.name.endswith(DELETED)
    state = state_of(directory)
    session, last = last_session(directory), _last_tick(directory.path / METRICS)
    shipped, changes = None, run.overrides
    if session is not None:
        shipped, changes = session.shipped, session.overrides if session.shipped is None else session.changes
    return Summary(
        short_name(directory.path),
        "half deleted" if half and state != "running" else state,
        run.begun,
        _images(directory, last if state == "running" else {}),
        run.recipe,
        shipped,
        tuple(text for text in changes if not text.startswith("observers.")),
        read_score(directory),
        dict(list(_losses(last))[:LOSSES]),
        read_note(directory),
    )


def _listed() -> Iterator[Known]:
    for entry in index_entries():
        path, begun = entry.directory.path, max(0.0, min(entry.started, NUMBER_LIMIT))  # whatever a line holds
        if path.is_dir():
            yield Known(entry.directory, entry.recipe, begun, entry.overrides)
        elif (left := half_deleted(path)) is not None and RunDirectory(left).is_run:
            yield Known(RunDirectory(left), entry.recipe, begun, entry.overrides)


def _lying_here() -> Iterator[Known]:
    with suppress(OSError):
        for folder in sorted(path for path in RUNS.iterdir() if path.is_dir() and not path.is_symlink()):
            for path in sorted(folder.iterdir()):
                with suppress(OSError):
                    if (run := RunDirectory(path)).is_run:
                        yield Known(run, run.of_recipe or folder.name, run.begun_at)


def _images(directory: RunDirectory, tick: Mapping[str, Any]) -> int | None:
    if type(images := tick.get("images")) is int and 0 <= images < NUMBER_LIMIT:
        return images
    with suppress(GanlabError, KeyError, TypeError, ValueError):
        manifest = begun_with(directory.checkpoints)
        return None if manifest is None else manifest.drawn * int(manifest.provenance.recipe["train"]["batch_size"])
    return None


def _losses(tick: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in tick.items():
        if name.startswith("loss_") and isinstance(value, float):
            yield name, value


def _last_tick(path: Path) -> Mapping[str, Any]:
    """Return the last line of the metrics that can be read: a kill may have cut off one, and anybody writes there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(descriptor, "rb") as file:
            file.seek(max(0, os.fstat(descriptor).st_size - TAIL_BYTES))
            lines = file.read(TAIL_BYTES).splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        with suppress(ValueError, RecursionError):
            values = json.loads(line)
            if isinstance(values, dict) and type(values.get("iteration")) is int and any(_losses(values)):
                return values
    return {}
