"""Where packed pictures are kept, whether they are still those of their sources, and who may write them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple
from weakref import WeakKeyDictionary

from ganlab.data.folders import CACHE_SIGNATURE, CACHE_TAG, walk_folder
from ganlab.durable import TEMPORARY
from ganlab.errors import DataError, RunError, printable
from ganlab.interfaces import Dataset, locations
from ganlab.regular import named_path

WITHOUT_EFFECT = {"flip"}
"""Options of every dataset that change nothing in the packed pixels."""
OF_CACHE = (".lock", ".safetensors", ".onnx", ".pth", CACHE_TAG)
"""How the names of the cache's own files end."""
_UNFILED: WeakKeyDictionary[type[Dataset], str] = WeakKeyDictionary()
"""A state for each class that was typed into a notebook: what it makes is never taken for another's."""


class Place(NamedTuple):
    """Where the packed pictures of a dataset belong."""

    path: Path
    """Depends on the dataset, its options and where its sources lie."""
    sources: str
    """The state of the sources: names, sizes and times, hashed. The file at `path` must have been made from it."""


def place(dataset: Dataset, name: str) -> Place:
    """Return where the packed pictures of `dataset` belong, and the state of its sources."""
    for given in locations(dataset).values():  # before the dataset looks there itself
        named_path(os.path.expanduser(named_path(given)))
    roots = [Path(os.path.realpath(named_path(os.path.expanduser(path)))) for path in dataset.sources()]
    # The sources stand for the paths, so that `data` and `./data` are the same data.
    what = {
        "dataset": [name, type(dataset).__module__, type(dataset).__qualname__],
        "options": dataset.model_dump(mode="json", exclude=WITHOUT_EFFECT | locations(dataset).keys()),
        "sources": [str(root) for root in roots],
    }
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    word = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).lstrip(".-")
    return Place(directory() / f"{word}-{key}.safetensors", _state(roots) if roots else _state_of_code(dataset))


def directory() -> Path:
    """Return the cache's directory: `$GANLAB_CACHE`, else `$XDG_CACHE_HOME/ganlab`, else `~/.cache/ganlab`."""
    try:
        if own := os.environ.get("GANLAB_CACHE"):
            return Path(own).expanduser().absolute()
        shared = os.environ.get("XDG_CACHE_HOME", "")
        # The XDG specification: a relative path is to be ignored.
        return (Path(shared) if os.path.isabs(shared) else Path.home() / ".cache") / "ganlab"
    except RuntimeError as error:
        raise DataError(
            "there is no home directory to keep packed pictures in; set GANLAB_CACHE to a folder for them"
        ) from error


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[bool]:
    """Hold the right to write `path`, and yield whether another process had it before.

    `waiting` is called several times a second until then. Raise `RunError` where the cache cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _tag(path.parent)
        # The lock file stays: deleting it would let a third process lock a file that a second one still waits for.
        # For reading, too: only then does opening a pipe in its place not wait for a reader.
        lock = os.fdopen(os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o666), "rb")
    except OSError as error:
        raise RunError(
            f"cannot write to {path.parent}, where packed pictures are kept: {error.strerror}; "
            "set GANLAB_CACHE to a folder that can be written"
        ) from error
    with lock:
        waited = False
        while not _try_lock(lock):
            waited = True
            waiting()
            time.sleep(0.2)
        yield waited


def _tag(folder: Path) -> None:
    """Mark the cache as one: backups leave it out, and so do datasets in whose folder it lies."""
    with suppress(FileExistsError), (folder / CACHE_TAG).open("xb") as file:
        file.write(CACHE_SIGNATURE + b"\n# Packed pictures of ganlab, which makes them again where they are deleted.\n")


def prepare(path: Path, needed: int, name: str) -> None:
    """Remove what killed processes left of `path`; raise `RunError` where the disk lacks `needed` bytes.

    Call it with the lock held: whoever wrote the remains held it before.
    """
    for remains in path.parent.glob(f"{TEMPORARY}*-{path.name}"):
        remains.unlink(missing_ok=True)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise RunError(
            f'the packed pictures of dataset "{name}" need {needed:,} bytes in {path.parent}, where {free:,} are free; '
            "free some space, or set GANLAB_CACHE to a folder on another disk"
        )


def _try_lock(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # A file system without locks: two processes may then do the same work, and the rename keeps either whole.
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    return True


def _state(roots: Iterable[Path]) -> str:
    """Return a hash of the names, sizes and times of all files in `roots`; one that is missing counts as such."""
    digest = hashlib.sha256()
    try:
        for root in roots:
            files = _files(root) if root.is_dir() else [str(root)]
            lines = [f"{root}\n", *(_line(file) for file in files)]
            digest.update("".join(lines).encode(errors="surrogateescape"))
    except OSError as error:
        raise DataError(f"cannot look through {printable(str(error.filename))}: {error.strerror}") from error
    return digest.hexdigest()


def _files(root: Path) -> Iterator[str]:
    """Yield the files below `root` in a fixed order."""
    cache = directory()
    for folder, _, files in walk_folder(root, skip_unreadable=True):
        # A cache in the very folder of the pictures must not be a change in them.
        own = OF_CACHE if Path(folder) == cache else ()
        yield from (f"{folder}/{name}" for name in files if not name.endswith(own) or not own)


def _line(file: str) -> str:
    try:
        status = os.stat(file)
    except OSError as error:
        return f"{file}\0{error.errno}\n"
    return f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n"


def _state_of_code(dataset: Dataset) -> str:
    """Return the state of the module that makes pictures out of nothing; of the class itself where it has no file."""
    module = sys.modules.get(type(dataset).__module__)
    file = None if module is None else vars(module).get("__file__")
    return _state([Path(file)]) if file else _UNFILED.setdefault(type(dataset), secrets.token_hex(32))
