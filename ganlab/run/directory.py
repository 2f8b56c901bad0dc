"""What lies where in a run's directory, the lock on it, and the index of all runs."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ganlab.errors import GanlabError, RunError

RUNS = Path("runs")
"""Where runs without a directory of their own are kept, below the current directory."""
INDEX = RUNS / "index.jsonl"


class RunDirectory(NamedTuple):
    """The directory of one run."""

    path: Path

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.toml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def generator(self) -> Path:
        return self.path / "generator.safetensors"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process. The kernel frees the lock whenever and however the process ends."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._take(lock)
            yield
        finally:
            os.close(lock)

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            os.write(lock, f"pid {os.getpid()} on {socket.gethostname()}".encode())
        except BlockingIOError:
            owner = os.pread(lock, 200, 0).decode(errors="replace").strip() or "another process"
            raise GanlabError(
                f"{self.path} is in use by {owner}; wait for it, or choose another directory with --out"
            ) from None
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self.path}: {error.strerror}; choose another directory with --out")


class IndexEntry(NamedTuple):
    """One run in the index."""

    directory: RunDirectory
    recipe: str
    """The recipe's name."""
    started: float
    """Seconds since 1970."""


def new_directory(recipe: str) -> RunDirectory:
    """Create `runs/<recipe>/<next number>` and return it; the recipe's name cannot lead out of there."""
    parent = RUNS / _folder_name(recipe)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.name) for path in parent.iterdir() if re.fullmatch(r"\d{1,9}", path.name)]
        number = max(numbers, default=0) + 1
        while True:
            path = parent / f"{number:04d}"
            try:
                path.mkdir()
            except FileExistsError:  # another run of this recipe has just begun
                number += 1
                continue
            return RunDirectory(path)
    except OSError as error:
        raise RunError(f"cannot write {parent}: {error.strerror}; choose a directory with --out DIR") from error


def enter_in_index(directory: RunDirectory, recipe: str) -> None:
    """Append a run to the index."""
    path = directory.path.resolve()
    if path.is_relative_to(Path.cwd()):  # so that a folder with its runs can be moved
        path = path.relative_to(Path.cwd())
    line = json.dumps({"run": str(path), "recipe": recipe, "started": round(time.time(), 3)}) + "\n"
    try:
        INDEX.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(INDEX, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = "\n" + line  # a crash cut the last line short; it must not swallow this one
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RunError(f"cannot write {INDEX}: {error.strerror}; run ganlab where you may write") from error


def indexed_runs() -> list[IndexEntry]:
    """Return the runs of the index that still exist, newest first; a line that a crash cut short is passed over."""
    try:
        lines = INDEX.read_text(errors="replace").splitlines()
    except OSError:
        return []
    entries = []
    for line in reversed(lines):
        try:
            table = json.loads(line)
            entry = IndexEntry(RunDirectory(Path(table["run"])), str(table["recipe"]), float(table["started"]))
        except (ValueError, KeyError, TypeError):
            continue
        if entry.directory.path.is_dir():
            entries.append(entry)
    return entries


def newest_run(has: Callable[[RunDirectory], bool], needed: str, recipe: str | None = None) -> IndexEntry:
    """Return the newest run that has what a verb needs; `needed` says in words what that is."""
    for entry in indexed_runs():
        if (recipe is None or entry.recipe == recipe) and has(entry.directory):
            return entry
    of_recipe = f" of {recipe}" if recipe else ""
    raise GanlabError(
        f"no run{of_recipe} with {needed} is known in {RUNS}/ here; "
        "train one with ganlab run RECIPE, or name a file or run"
    )


def _folder_name(recipe: str) -> str:
    """Return a recipe's name, which is that of a file or a program's choice, as the name of one folder."""
    plain = "".join(letter if letter.isprintable() and letter not in "/\\" else "_" for letter in recipe)
    return plain.lstrip(".")[:60] or "recipe"
