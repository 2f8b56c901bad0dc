"""A run is deleted: first it gets another name, then what ganlab has written goes; what is somebody else's stays.

So a deletion that is interrupted leaves no directory that looks like a run and is half of one. What has the other name
can be deleted again, by the same command.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from ganlab.durable import FILES, MARKER, OWN, WORKPLACE, check_way
from ganlab.errors import GanlabError, RunError
from ganlab.messages import one_line
from ganlab.regular import named_path, read_regular
from ganlab.run.directory import RunDirectory, take_lock
from ganlab.run.names import DELETED, half_deleted, named_run
from ganlab.run.owed import NOTE as OWED
from ganlab.run.standing import NOTE, SCORE, SESSION, is_locked
from ganlab.training.checkpoint import delete_checkpoint
from ganlab.training.record import RECORD, Record

LIST_BYTES = 1 << 28

_NOTES = (SESSION, NOTE, SCORE, OWED, RECORD, FILES, f"{OWN}/lock")
"""The files of ganlab's own folder but for the marker: while that is there, a deletion can go on."""
_FOLDERS = ("samples", "checkpoints", WORKPLACE, OWN)


def deletable(source: Path) -> RunDirectory:
    """Return the run that is to be deleted. Raise `GanlabError` where it is none, is on, or is only linked to."""
    path = half_deleted(named_path(source)) or named_run(source)
    if not os.path.lexists(path):
        raise GanlabError(f"{source} does not exist; ganlab runs lists the runs that are known here")
    if path.is_symlink():
        raise GanlabError(f"{path} is a link to {os.readlink(path)}; name the directory itself")
    run = RunDirectory(path)
    if not run.is_run and not (path.name.endswith(DELETED) and _is_bare(path)):
        raise GanlabError(f"{path} is no run of this ganlab, so what in it may be deleted is not known")
    Record(path).names()  # which are refused where they are damaged
    try:
        if is_locked(run):
            raise _running(run)
    except OSError as error:
        raise RunError(f"cannot look at {run.lock}: {error.strerror or error}") from error
    if not path.name.endswith(DELETED) and os.path.lexists(begun := path.with_name(f"{path.name}{DELETED}")):
        raise GanlabError(f"{begun} is in the way; if an interrupted deletion has left it, delete that first")
    return run


def size_of(run: RunDirectory) -> int:
    """Return how many bytes the files in a run's directory have."""
    total = 0
    for folder, _, files in os.walk(run.path):
        for file in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, file)).st_size
    return total


def delete_run(run: RunDirectory) -> list[str]:
    """Delete what ganlab has written in a run; return what stays in its directory, which is gone where nothing does.

    Raises `RunError` where the disk refuses.
    """
    origin = run.path.with_name(run.path.name.removesuffix(DELETED))
    place = origin.with_name(f"{origin.name}{DELETED}")
    try:
        with _locked(run):
            check_way(run.path / MARKER)
            if run.path != place:
                os.rename(run.path, place)
            _delete_in(RunDirectory(place))
            left = sorted(_left(place))
            if left and not os.path.lexists(origin):
                os.rename(place, origin)
                place = origin
            # The marker last: without it, nobody would know what this is the rest of.
            with suppress(FileNotFoundError):
                os.unlink(place / MARKER)
            with suppress(OSError):  # it may hold what is not ours
                (place / OWN).rmdir()
            if not left:
                place.rmdir()
            return left
    except OSError as error:
        raise RunError(
            f"cannot delete {error.filename or place}: {error.strerror or error}; the same command goes on with what "
            f"is left"
        ) from error


@contextmanager
def _locked(run: RunDirectory) -> Iterator[None]:
    try:
        lock = os.open(run.lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:  # an interrupted deletion came so far
        yield
        return
    try:
        take_lock(lock)
        yield
    except BlockingIOError:
        raise _running(run) from None
    finally:
        os.close(lock)


def _running(run: RunDirectory) -> GanlabError:
    try:
        owner = one_line(read_regular(run.lock, 1000).decode(errors="replace")) or "another process"
    except OSError:
        owner = "another process"
    return GanlabError(f"{run.path} is in use by {owner}; stop that first. Nothing was deleted")


def _delete_in(run: RunDirectory) -> None:
    place, folders = run.path, set(_FOLDERS)
    checkpoints = Record(place).names()
    for name in sorted(checkpoints | set(_files(place))):
        parts = PurePosixPath(name).parts
        # The list may be a stranger's: no line of it leads out of the run, or behind a link in it.
        if not parts or name.startswith("/") or ".." in parts or "\0" in name or parts[0] == OWN:
            continue
        folders.update("/".join(parts[:end]) for end in range(1, len(parts)))
        with suppress(FileNotFoundError):
            _delete(place.joinpath(*parts), name in checkpoints)
    run.sweep(lambda _: None)  # what it cannot clear stays, and is named with the rest
    for name in _NOTES:
        with suppress(FileNotFoundError):
            os.unlink(place / name)
    for name in sorted(folders - {OWN}, key=lambda name: name.count("/"), reverse=True):
        with suppress(OSError):  # it holds what is not ours
            (place / name).rmdir()


def _delete(path: Path, recorded: bool) -> None:
    """Delete a file, or a checkpoint that is `recorded`. What is anything else by now is not ours."""
    try:
        check_way(path)
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if stat.S_ISREG(mode):
        os.unlink(path)
    elif stat.S_ISDIR(mode) and recorded:
        delete_checkpoint(path)


def _files(run: Path) -> Iterator[str]:
    """Yield the names on the list of a run's files; a line that is damaged is passed over."""
    try:
        lines = read_regular(run / FILES, LIST_BYTES).splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        with suppress(ValueError, RecursionError):
            if isinstance(name := json.loads(line), str):
                yield name


def _is_bare(place: Path) -> bool:
    """Tell whether nothing is left in a directory, which a deletion was about to remove when it was interrupted."""
    return not any(_left(place))


def _left(place: Path) -> Iterator[str]:
    """Yield what is still in a directory besides the marker: files, links, and folders that are empty."""
    for folder, folders, files in os.walk(place):
        names = [*files, *(name for name in folders if os.path.islink(os.path.join(folder, name)))]
        if not names and not folders and Path(folder) not in (place, place / OWN):
            yield f"{Path(folder).relative_to(place)}/"
        found = (str(Path(folder, name).relative_to(place)) for name in names)
        yield from (name for name in found if name != MARKER)
