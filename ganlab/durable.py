"""Files that appear complete or not at all: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganlab.errors import RunError

TEMPORARY = ".tmp-"
"""Prefix of what a killed process may leave behind, followed by its process id."""
OWN = ".ganlab"
"""The folder in a run's directory that is ganlab's alone, and by which the directory proves what it is."""
MARKER = f"{OWN}/run.json"
"""What says in a run's directory that it is one. Nothing else in there is taken for ganlab's because of its name."""
FILES = f"{OWN}/files.jsonl"
"""The list of the files that ganlab has made in a run's directory, a name a line: only these are deleted with it."""
INDEX = "runs/index.jsonl"
"""The list of the runs that were begun in a folder, below it."""
INDEX_START = b'{"run": "'
"""How every line of the index begins."""
WORKPLACE = f"{OWN}/tmp"
"""Where a run's files are written before they are renamed: all that lies in it is ganlab's, to be deleted."""
_DEPTH = 4
"""So many folders above a file its run's directory is looked for."""
_held: dict[Path, tuple[int, int]] = {}
"""The directories of runs that this process holds, and which ones on the disk these are."""
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_FOLDER_FLUSH = {errno.EINVAL, errno.EBADF, errno.ENOTSUP}
"""What some network file systems say when a folder is to be flushed. There is no way to do it there."""


@contextmanager
def replacing_file(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes `path` when the block ends without an error.

    Without `flush` it still appears complete or not at all, but a power cut soon after may take it away.

    Raises `RunError` where the disk refuses; an earlier `path` is then still there, untouched.
    """
    temporary, renamed = path, False
    try:
        run = check_way(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_special(path)
        temporary = temporary_path(path)
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())  # safetensors writes its files for the owner alone
        if flush:
            _flush(temporary)
        _list_new(path, run)
        os.replace(temporary, path)
        renamed = True
        if flush:
            _flush(path.parent)
    except OSError as error:
        refusal = _refused(path, error, renamed)  # before what is half-written, and takes the space, is deleted
        _discard(temporary, path)
        raise refusal from error
    except BaseException:
        _discard(temporary, path)
        raise


@contextmanager
def replacing_directory(path: Path, needed: int | None = None) -> Iterator[Path]:
    """Yield a temporary directory to fill; it becomes `path`, which must not exist, when the block ends well.

    `needed` is how many bytes it will take, for the message where the disk is full.
    """
    temporary, renamed = path, False
    try:
        check_way(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(path)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        yield temporary
        for file in sorted(temporary.iterdir()):
            os.chmod(file, 0o666 & ~_umask())
            _flush(file)
        _flush(temporary)
        os.rename(temporary, path)
        renamed = True
        _flush(path.parent)
    except OSError as error:
        refusal = _refused(path, error, renamed, needed)  # before what is half-written is deleted, as above
        _discard(temporary, path)
        raise refusal from error
    except BaseException:
        _discard(temporary, path)
        raise


def append_text(path: Path, text: str) -> None:
    """Add `text` at the end of `path`, which is made where it is not there. A link is not followed: `OSError`."""
    _list_new(path, check_way(path))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)


def temporary_path(path: Path) -> Path:
    """Return where `path` is written before it is renamed: in its run's own folder, or else beside it."""
    for folder in path.absolute().parents[:_DEPTH]:
        with suppress(OSError):
            status = os.lstat(folder / WORKPLACE)
            own = os.lstat(folder / OWN)
            if all(stat.S_ISDIR(one.st_mode) for one in (own, status)) and status.st_dev == os.stat(path.parent).st_dev:
                parts = path.absolute().relative_to(folder).parts
                return folder / WORKPLACE / f"{TEMPORARY}{os.getpid()}-{'-'.join(parts)}"
    return path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")


class _GoneError(FileNotFoundError):
    """A run's directory is not there any more; it must not be made again by whoever writes into it next."""


def hold(path: Path, descriptor: int) -> None:
    """Let nothing be written into the run's directory `path` any more once it is not the one that is open there."""
    status = os.fstat(descriptor)
    _held[path.absolute()] = status.st_dev, status.st_ino


def let_go(descriptor: int) -> None:
    """Forget a run's directory, wherever it has been."""
    status = os.fstat(descriptor)
    for path in [path for path, held in _held.items() if held == (status.st_dev, status.st_ino)]:
        del _held[path]


def check_way(path: Path) -> Path | None:
    """Raise `OSError` where a link leads from a run's directory down to `path`, or the directory is gone that is held.

    What lies behind a link is not the run's, whoever has put it there, and whenever. Returns the run's directory, or
    None where `path` lies in none.
    """
    above = path.absolute().parents[:_DEPTH]
    run = next((folder for folder in above if folder in _held or os.path.lexists(folder / MARKER)), None)
    if run is None:
        return None
    if run in _held and _held[run] != _identity(run):
        raise _GoneError(errno.ENOENT, f"the run's directory {run} is gone", str(run))
    for folder in above[: above.index(run)]:
        if folder.is_symlink():
            raise OSError(errno.ELOOP, f"{folder} is a link, and none is followed in a run's directory", str(folder))
    return run


def _list_new(path: Path, run: Path | None) -> None:
    """Put a file that is about to appear in a run's directory on its list. What is there already is nobody's news.

    Several processes may write into a run, such as an export beside the training: so a line is added, by one call. It
    is not flushed: of a file that a power cut has taken off the list, it is not known whose it is, and it stays.
    """
    if run is None or os.path.lexists(path):
        return
    name = path.absolute().relative_to(run)
    if name.parts[0] == OWN or not stat.S_ISDIR(os.lstat(run / OWN).st_mode):
        return
    descriptor = os.open(run / FILES, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        os.write(descriptor, f"{json.dumps(name.as_posix())}\n".encode())
    finally:
        os.close(descriptor)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _discard(temporary: Path, path: Path) -> None:
    if temporary == path:
        return  # it could not even be made
    with suppress(OSError):  # what was refused before is the news
        shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink()


def _refused(path: Path, error: OSError, renamed: bool, needed: int | None = None) -> RunError:
    reason = error.strerror or str(error)
    if isinstance(error, _GoneError):
        return RunError(f"cannot write {path}: {reason}")
    if error.errno in _NO_SPACE:
        reason += f" ({'' if needed is None else f'{needed:,} bytes are needed, '}{_free(path.parent)})"
    left = "it is there, but a power cut may take it away" if renamed else "what was there before is untouched"
    return RunError(f"cannot write {path}: {reason}; {left}")


def _free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free:,} bytes are free"
    except OSError:
        return "how much is free is not known"


def _refuse_special(path: Path) -> None:
    """Refuse to replace a device, pipe or directory by a file."""
    if path.exists() and not path.is_file():
        raise OSError(f"{path} exists and is not a file")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in _NO_FOLDER_FLUSH):
            raise
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
