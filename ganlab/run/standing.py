"""How a run stands, as it has noted itself: whether it ended and how, what was changed in its recipe, a user's note."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from ganlab.durable import OWN, replacing_file
from ganlab.errors import GanlabError
from ganlab.events import Reason
from ganlab.regular import read_regular
from ganlab.run.directory import RunDirectory, texts_in

if TYPE_CHECKING:
    from ganlab.recipe.ancestry import Descent

SESSION = f"{OWN}/session.json"
"""What the last session that trained here was called with, and how it ended. One that was killed has noted no end."""
NOTE = f"{OWN}/note.json"
SCORE = f"{OWN}/score.json"
"""How good the generator was when it was last judged."""
RECORD_BYTES = 1 << 20
NOTE_LETTERS = 1000

State = Literal["running", "stopped", "failed", "finished", "unknown"]
"""Of a run; unknown is one of an older ganlab, which noted no end, and one that this user may not look into."""


STATES: dict[Reason | None, State] = {
    None: "stopped",
    "interrupted": "stopped",
    "failed": "failed",
    "finished": "finished",
}
"""How a run stands whose session has ended so; None is one that was killed."""


class Session(NamedTuple):
    """What a run has noted of the last session that trained in it."""

    ended: Reason | None
    """None while it is at work, and where it was killed."""
    overrides: tuple[str, ...]
    """What was changed in the recipe for this time, as `key=value` texts."""
    shipped: str | None = None
    """The name of the recipe coming with ganlab that this one is or extends; None where there is none."""
    changes: tuple[str, ...] = ()
    """What is otherwise than in that one, overrides included, as `key=value` texts."""


class LastScore(NamedTuple):
    """How good the generator was when it was last judged, and the best one by the same score."""

    iteration: int
    name: str
    value: float
    best: float | None
    """None where the recipe keeps no best generator."""


def begin_session(
    directory: RunDirectory, overrides: tuple[str, ...], of_its_own: bool, descent: Descent | None = None
) -> None:
    """Note that a session begins; of a run's `own` recipe, what was changed before is in it, and stays noted."""
    before = last_session(directory) if of_its_own else None
    shipped, changes = descent or (None, ())
    if before is not None:
        shipped = before.shipped
        changes = () if shipped is None else _latest((*before.changes, *overrides))
        overrides = (*before.overrides, *overrides)
    _write(directory, Session(None, _latest(overrides), shipped, changes))


def _latest(texts: Iterable[str]) -> tuple[str, ...]:
    """Return `key=value` texts, of one key the last: its word counts."""
    return tuple({text.partition("=")[0].strip(): text for text in texts}.values())


def end_session(directory: RunDirectory, ended: Reason) -> None:
    """Note how the session has ended. Raise `RunError` where the disk refuses."""
    before = last_session(directory) or Session(None, ())
    if before.ended != ended:
        _write(directory, before._replace(ended=ended))


def last_session(directory: RunDirectory) -> Session | None:
    """Return what is noted, or None where nothing is, or nothing that can be read."""
    table = _read(directory, SESSION)
    ended, shipped = table.get("ended"), table.get("shipped")
    if ended not in (None, *get_args(Reason)) or not isinstance(table.get("overrides"), list):
        return None
    overrides, changes = texts_in(table.get("overrides")), texts_in(table.get("changes"))
    return Session(ended, overrides, shipped if isinstance(shipped, str) else None, changes)


def state_of(directory: RunDirectory) -> State:
    """Tell how a run stands."""
    try:
        if is_locked(directory):
            return "running"
    except OSError:
        return "unknown"
    session = last_session(directory)
    return "unknown" if session is None else STATES[session.ended]


def is_locked(directory: RunDirectory) -> bool:
    """Tell whether a process holds the run. Raise `OSError` where that cannot be found out."""
    try:
        lock = os.open(directory.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        # There is no other way to ask. A run that begins in this moment tries again.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def check_note(text: str) -> None:
    """Refuse a note that is too long for a line."""
    if len(text) > NOTE_LETTERS:
        raise GanlabError(f"the note has {len(text):,} letters; {NOTE_LETTERS:,} at most")


def write_note(directory: RunDirectory, text: str) -> None:
    """Keep a user's note on one line; an empty one takes the note away."""
    check_note(text)
    if text := " ".join(text.split()):
        with replacing_file(directory.path / NOTE) as temporary:
            temporary.write_text(json.dumps({"note": text}) + "\n", encoding="ascii")
        return
    with suppress(FileNotFoundError):
        (directory.path / NOTE).unlink()


def read_note(directory: RunDirectory) -> str:
    """Return the user's note, which is empty where there is none."""
    note = _read(directory, NOTE).get("note")
    return note if isinstance(note, str) else ""


def write_score(directory: RunDirectory, score: LastScore) -> None:
    """Note how good the generator is that was just judged. Raise `RunError` where the disk refuses."""
    with replacing_file(directory.path / SCORE) as temporary:
        temporary.write_text(json.dumps(score._asdict()) + "\n", encoding="ascii")


def read_score(directory: RunDirectory) -> LastScore | None:
    """Return what `write_score` wrote, or None where nothing is, or nothing that can be read."""
    match _read(directory, SCORE):
        case {"iteration": int(iteration), "name": str(name), "value": float(value), "best": float() | None as best}:
            numbers = [value] if best is None else [value, best]
            return LastScore(iteration, name, value, best) if all(map(math.isfinite, numbers)) else None
    return None


def forget_score_after(directory: RunDirectory, iteration: int) -> None:
    """Forget the score of a generator whose training is lost: the run goes on from before it."""
    score = read_score(directory)
    if score is not None and score.iteration > iteration:
        with suppress(FileNotFoundError):
            (directory.path / SCORE).unlink()


def _write(directory: RunDirectory, session: Session) -> None:
    with replacing_file(directory.path / SESSION) as temporary:
        temporary.write_text(json.dumps(session._asdict()) + "\n", encoding="ascii")


def _read(directory: RunDirectory, name: str) -> dict[str, Any]:
    try:
        table = json.loads(read_regular(directory.path / name, RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}
