"""What lies where in a run's directory, the lock on it, and the index of all runs."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from ganlab import durable
from ganlab.durable import INDEX_START, MARKER, OWN, TEMPORARY, WORKPLACE, check_way, hold, let_go, replacing_file
from ganlab.errors import GanlabError, RunError
from ganlab.messages import one_line, option, same_again, shown
from ganlab.regular import BEST, named_path, read_regular
from ganlab.training.record import Record

RUNS = Path("runs")
"""Where runs without a directory of their own are kept, below the current directory."""
INDEX = Path(durable.INDEX)
FORMAT = 2
"""Of the marker that makes a directory a run's; since 2, a record beside it says what ganlab has written."""
MARKER_BYTES = 65536
PATIENCE_SECONDS = 0.5
"""So long a lock is asked for again: who only looks whether a run is on holds it for a moment."""

_OURS = (OWN, "checkpoints", "samples", "generators")
"""The folders in a run's directory that ganlab reads, writes and deletes in."""
_KEPT = re.compile(r"(\d{8}|[1-9]\d{8,199})\.safetensors", re.ASCII)
_OF_PROCESS = re.compile(rf"^{re.escape(TEMPORARY)}(\d{{1,10}})-")


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

    @property
    def generators(self) -> Path:
        """The folder of the generators that are kept beside the newest one."""
        return self.path / "generators"

    def kept(self, iteration: int) -> Path:
        """Return where the generator of an iteration is kept, if it is."""
        return self.generators / f"{iteration:08d}{self.generator.suffix}"

    def kept_iterations(self) -> list[int]:
        """Return the iterations whose generators are kept, in their order."""
        if self.generators.is_symlink():  # what lies behind a link is not the run's
            return []
        try:
            found = [path for path in self.generators.iterdir() if _KEPT.fullmatch(path.name)]
        except OSError:
            return []
        return sorted(int(path.stem) for path in found if path.is_file())

    def keep_generator(self, iteration: int) -> None:
        """Keep the newest generator, which is that of an iteration. Raise `RunError` where the disk refuses."""
        # A copy: a link would be the same file, which another program may write into.
        with replacing_file(self.kept(iteration)) as temporary:
            temporary.write_bytes(self.generator.read_bytes())

    @property
    def best(self) -> Path:
        """The best generator so far, by the score that the recipe names."""
        return self.path / BEST

    @property
    def lock(self) -> Path:
        """The file that whoever trains here holds locked."""
        return self.path / OWN / "lock"

    @property
    def error(self) -> Path:
        """What a plugin's error has left: its traceback."""
        return self.path / "error.txt"

    @property
    def is_run(self) -> bool:
        """Whether the directory proves that it is a run's, by our marker: anybody may have copied a checkpoint."""
        return self._marker.get("format") == FORMAT

    @property
    def begun_in(self) -> Path | None:
        """The folder in which the run was begun, where relative paths in its recipe start; None where nothing says."""
        folder = self._marker.get("folder")
        return Path(folder) if isinstance(folder, str) and os.path.isabs(folder) else None

    @property
    def of_recipe(self) -> str | None:
        """The name of the recipe that the run was begun with; None where nothing says."""
        name = self._marker.get("recipe")
        return name if isinstance(name, str) else None

    @property
    def begun_at(self) -> float:
        """When the run was begun, in seconds since 1970, as far as its marker says; 0 where there is none."""
        with suppress(OSError):
            return (self.path / MARKER).stat().st_mtime
        return 0.0

    @property
    def _marker(self) -> dict[str, Any]:
        """What the marker says; nothing where there is none."""
        try:
            table = json.loads(read_regular(self.path / MARKER, MARKER_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        return table if isinstance(table, dict) else {}

    def refuse_strangers(self) -> None:
        """Refuse a directory that holds anything and is no run, or in which a link leads a run's files elsewhere."""
        try:
            entries = [entry for entry in os.scandir(self.path) if entry.name != OWN or entry.is_symlink()]
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"cannot read {self.path}: {error.strerror or error}") from error
        links = sorted(entry.path for entry in entries if entry.is_symlink())
        if links := links or sorted(_links_below(self.path)):
            raise GanlabError(
                f"{links[0]} is a link; ganlab writes only into a run's own files and folders: remove it, "
                f"or name another directory, {option('out')}"
            )
        within = [folder for folder in (self.path, self.path / "samples", self.generators) if folder.is_dir()]
        for path in (path for folder in within for path in folder.iterdir()):
            if not (path.is_file() or path.is_dir() or path.is_symlink()):  # opening a pipe would wait for ever
                raise GanlabError(
                    f"{path} is a pipe or a device, not a file; remove it, or choose another directory, {option('out')}"
                )
        if (form := self._marker.get("format")) not in (None, FORMAT):
            raise GanlabError(
                f"{option('out', self.path)} holds a run of another version of ganlab, which cannot go on here "
                f"(format {shown(form)}, not {FORMAT}); its generator can be used. Name a new directory"
            )
        if entries and not self.is_run:
            raise GanlabError(
                f"{option('out', self.path)} is not empty and holds no run of ganlab; name a new directory"
            )

    @contextmanager
    def locked(self, recipe: str) -> Iterator[Held]:
        """Hold the run for this process. The kernel frees the lock whenever and however the process ends."""
        self.refuse_strangers()
        try:
            (self.path / WORKPLACE).mkdir(parents=True, exist_ok=True)
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            lock = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._take(lock)
            hold(self.path, folder)
            if not (self.path / MARKER).exists():
                Record(self.path).begin()
                with replacing_file(self.path / MARKER) as temporary:
                    marker = {"format": FORMAT, "run": secrets.token_hex(16), "recipe": recipe, "folder": os.getcwd()}
                    temporary.write_text(json.dumps(marker) + "\n", encoding="ascii")
            yield Held(folder)
        finally:
            let_go(folder)
            os.close(lock)
            os.close(folder)

    def write_error(self, text: str) -> bool:
        """Keep the traceback of a plugin's error; return False where a file of somebody else's lies in its place."""
        record = Record(self.path)
        if self.error.exists() and self.error.name not in record.names():
            return False
        record.add(self.error.name)
        with replacing_file(self.error) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return True

    def delete_error(self) -> None:
        """Delete the traceback of a plugin's error, if ganlab has written it."""
        record = Record(self.path)
        if self.error.name in record.names():
            with suppress(OSError):
                self.error.unlink(missing_ok=True)
                record.forget(self.error.name)

    def _take(self, lock: int) -> None:
        try:
            take_lock(lock)
            os.ftruncate(lock, 0)
            os.write(lock, f"pid {os.getpid()} on {socket.gethostname()}".encode())
        except BlockingIOError:
            owner = os.pread(lock, 200, 0).decode(errors="replace") or "another process"
            raise GanlabError(
                f"{self.path} is in use by {one_line(owner)}; wait for it, or choose another directory, {option('out')}"
            ) from None
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self.path}: {error.strerror}; choose another directory, {option('out')}")

    def sweep(self, report: Callable[[str], None]) -> None:
        """Delete what killed processes left half-written in the run. Call it with the run's lock held.

        The lock is of who trains. Others may be at work, such as an export: what a living process writes is left.
        """
        workplace = self.path / WORKPLACE
        try:
            check_way(workplace / "any")
            # Checkpoints are written by whoever holds the lock: a process number among them was given out again.
            for name in sorted(os.listdir(workplace)):
                if _OF_PROCESS.match(name) and ("-checkpoints-" in name or not _is_written(name)):
                    entry = workplace / name
                    shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            report(f"cannot clear {workplace}: {error.strerror or error}")


class Held(NamedTuple):
    """A run's directory that this process holds open: it is known even where somebody moves it."""

    descriptor: int

    def moved_from(self, path: Path) -> Path | None:
        """Return where the directory is now, or None where it still is at `path`. Raise `RunError` where it is gone."""
        mine = os.fstat(self.descriptor)
        try:
            if os.path.samestat(os.stat(path), mine):
                return None
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:
            return None  # the disk does not answer: whoever writes next is told
        now = _path_of(self.descriptor)
        if now is None or not now.exists() or not os.path.samestat(now.stat(), mine):
            raise RunError(
                f"the run's directory {path} is gone: it was deleted while the run was on, or moved to another disk. "
                f"Nothing was written there any more; {same_again(path)} begins a new run"
            )
        hold(now, self.descriptor)
        return now

    def is_gone(self, path: Path) -> bool:
        """Tell whether the directory is neither at `path` nor anywhere else."""
        try:
            self.moved_from(path)
        except RunError:
            return True
        return False


class IndexEntry(NamedTuple):
    """One run in the index."""

    directory: RunDirectory
    recipe: str
    """The recipe's name."""
    started: float
    """Seconds since 1970."""
    file: Path | None = None
    """The file of the recipe, where the run was begun with one."""
    overrides: tuple[str, ...] = ()
    """What was changed in the recipe when the run was begun, as `key=value` texts."""


def new_directory(recipe: str) -> RunDirectory:
    """Create `runs/<recipe>/<next number>` and return it; the recipe's name cannot lead out of there."""
    parent = RUNS / folder_name(recipe)
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
        raise RunError(f"cannot write {parent}: {error.strerror}; choose a directory, {option('out')}") from error


def enter_in_index(
    directory: RunDirectory,
    recipe: str,
    report: Callable[[str], None],
    file: Path | None = None,
    overrides: tuple[str, ...] = (),
) -> None:
    """Append a run of a recipe, and of its `file`, to the index; where a file of that name is not ours, only say so."""
    place, started = str(from_here(directory.path)), round(time.time(), 3)
    entry: dict[str, Any] = {"run": place, "recipe": recipe, "started": started}
    if file is not None:
        entry["file"] = str(from_here(file))
    if overrides:
        entry["overrides"] = overrides
    line = json.dumps(entry) + "\n"
    try:
        INDEX.parent.mkdir(parents=True, exist_ok=True)
        if INDEX.is_symlink() or (INDEX.exists() and not _is_index(INDEX)):
            report(f"{INDEX} is not ganlab's, so this run is not listed in it; name the run where a verb needs one")
            return
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


def take_lock(lock: int) -> None:
    """Lock an open file for this process alone. Raise `BlockingIOError` where another one keeps it locked."""
    last = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > last:
                raise
        time.sleep(0.01)


def indexed_runs() -> list[IndexEntry]:
    """Return the runs of the index that still exist, newest first."""
    return [entry for entry in index_entries() if entry.directory.path.is_dir()]


def index_entries() -> list[IndexEntry]:
    """Return all that the index lists, newest first; a line that a crash cut short is passed over."""
    if not INDEX.is_file():
        return []
    try:
        lines = INDEX.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [entry for line in reversed(lines) if (entry := _entry(line)) is not None]


def _entry(line: str) -> IndexEntry | None:
    try:
        table = json.loads(line)
        file = named_path(table["file"]) if "file" in table else None
        run, overrides = RunDirectory(named_path(table["run"])), texts_in(table.get("overrides"))
        return IndexEntry(run, str(table["recipe"]), float(table["started"]), file, overrides)
    except (GanlabError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def texts_in(value: object) -> tuple[str, ...]:
    """Return the texts of a list that was read from a file; whatever else it holds is left out."""
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def _is_index(path: Path) -> bool:
    """Tell whether a file is empty, or its first line, which a crash may have cut short, begins as ours do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.readline(len(INDEX_START))
    return INDEX_START.startswith(start)


def newest_run(has: Callable[[RunDirectory], bool], needed: str) -> IndexEntry:
    """Return the newest run that has what a verb needs; `needed` says in words what that is."""
    for entry in indexed_runs():
        if has(entry.directory):
            return entry
    raise GanlabError(
        f"no run with {needed} is known in {RUNS}/ here; train one with ganlab run RECIPE, or name a file or run"
    )


def from_here(path: Path) -> Path:
    """Return a path relative where it lies below here: as the index has it, so that a folder with its runs can move."""
    path = path.resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def folder_name(recipe: str) -> str:
    """Return a recipe's name, which is that of a file or a program's choice, as the name of one folder."""
    plain = "".join(letter if letter.isprintable() and letter not in "/\\" else "_" for letter in recipe)
    return plain.lstrip(".")[:60] or "recipe"


def _path_of(descriptor: int) -> Path | None:
    """Return the path that an open directory has now, where the system tells."""
    try:
        if sys.platform == "darwin":
            return Path(os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    except OSError:
        return None


def _links_below(run: Path) -> Iterator[str]:
    """Yield the links in a run's own folders, at any depth; none is followed."""
    for name in _OURS:
        for folder, folders, files in os.walk(run / name):
            yield from filter(os.path.islink, (f"{folder}/{entry}" for entry in (*folders, *files)))


def _is_written(name: str) -> bool:
    """Tell whether the process that a temporary name is of is alive, and another than this one."""
    found = _OF_PROCESS.match(name)
    if found is None or int(found[1]) == os.getpid():
        return False
    try:
        os.kill(int(found[1]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
