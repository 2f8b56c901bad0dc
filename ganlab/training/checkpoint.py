"""The durable state of a run: a directory of safetensors and a manifest with checksums. No pickle."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ganlab.durable import replacing_directory
from ganlab.errors import ArtefactError, RunError
from ganlab.messages import listed, one_line, option
from ganlab.training.record import Record

if TYPE_CHECKING:
    from torch import Tensor

    from ganlab.distributed.ranks import Ranks
    from ganlab.training.state import State

Report = Callable[[str], None]
"""Takes a sentence that a person should read."""

SCHEMA = 1
STATE = "state.safetensors"
MANIFEST = "manifest.json"
RANK_BUFFERS = "ranks/buffers"
"""The tensor that holds, a row a rank, what the ranks do not have in common."""
MANIFEST_LIMIT = 4_000_000
"""Bytes; a longer manifest was not written by us."""
MANIFEST_ROOM = 4096
"""Bytes that a manifest takes, about."""
HEADER_LIMIT = 4_000_000
"""Bytes; the header of a state file that need not fit the networks at hand has no more."""
ENTRY_LIMIT = 256
"""Bytes that one tensor takes in the header of a state file at most, besides its name."""
TEXT_LIMIT = 200
"""Letters of a text in a manifest, the recipe's own apart."""
NUMBER_LIMIT = 2**53
"""Up to here every whole number is a float, too."""

_NAME = re.compile(r"^[0-9]{8,200}$")
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
"""What no waiting mends."""


class _DamagedError(Exception):
    """Why a checkpoint cannot be used."""


class _UnreadableError(_DamagedError):
    """The disk does not answer, for now: the checkpoint may be sound."""


class _Look(NamedTuple):
    """What a file that has been read whole looked like: while it looks so, nothing has written to it."""

    sha256: str
    """What its manifest promises."""
    size: int
    inode: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, file: Path, manifest: Manifest) -> _Look:
        status = file.stat()
        return cls(manifest.sha256, status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True)
class Provenance:
    """What a run computes, of what, with what and on what: on this its bits depend."""

    recipe: Mapping[str, Any]
    data: str
    """Fingerprint of the packed data."""
    versions: Mapping[str, str]
    """Of ganlab, torch, and the distributions whose components the recipe names."""
    ranks: int
    threads: int
    device: str
    code: Mapping[str, str] = field(default_factory=dict)
    """Digests of the code of the components that plugins offer, by distribution."""


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint says about itself."""

    provenance: Provenance
    iteration: int
    drawn: int
    rollbacks: int
    sha256: str
    bytes: int
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Return the one text that stands for this manifest, with its own checksum inside."""
        table = asdict(self)
        table |= table.pop("provenance")
        if not table["code"]:  # as it was written before there was any
            del table["code"]
        text = json.dumps(table, sort_keys=True)
        table["checksum"] = hashlib.sha256(text.encode()).hexdigest()
        return json.dumps(table, indent=1, sort_keys=True) + "\n"


class Content(NamedTuple):
    """What a checkpoint is written from."""

    tensors: Mapping[str, Tensor]
    iteration: int
    drawn: int
    rollbacks: int
    provenance: Provenance

    @classmethod
    def of(cls, state: State, buffers: Tensor, provenance: Provenance) -> Content:
        """Return the state as it is now, on the CPU; `buffers` are those of all ranks, a row each.

        What the CPU trains is not copied: it is to be written before it changes.
        """
        tensors = {name: tensor.contiguous().cpu() for name, tensor in state.tensors()}
        if len(buffers) > 1:
            tensors[RANK_BUFFERS] = buffers
        return cls(tensors, state.iteration, state.drawn, state.rollbacks, provenance)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on the disk whose files have been compared with their checksums."""

    path: Path
    manifest: Manifest

    def restore(self, state: State, ranks: Ranks) -> None:
        """Copy the checkpoint into a freshly built state, tensor by tensor.

        Values are copied into the tensors that are there, so each keeps its own strides: fused Adam reads a
        moment with its parameter's strides, whatever the moment's are.
        """
        from ganlab.training.state import set_buffers

        current, buffers = dict(state.tensors()), state.buffers()
        limit = ENTRY_LIMIT * (len(current) + 2) + 6 * sum(map(len, current))  # JSON takes 6 bytes for a letter at most
        saved = _read_tensors(self.path, limit)
        rows = saved.pop(RANK_BUFFERS, None)
        _compare(self.path, current, saved)
        if rows is not None:
            _check_rows(self.path, rows, self.manifest.provenance.ranks, sum(buffer.numel() for buffer in buffers))
        for name, tensor in current.items():
            tensor.copy_(saved[name])
        if rows is not None:
            # Each rank its own again; another number of ranks goes on from what they have in common.
            set_buffers(buffers, rows[ranks.rank] if len(rows) == ranks.world else rows.mean(0))
        state.iteration, state.drawn = self.manifest.iteration, self.manifest.drawn
        state.rollbacks = self.manifest.rollbacks

    def networks(self) -> dict[str, dict[str, Tensor]]:
        """Return the tensors of the networks, whatever these are, by network and name.

        Weights of what is shipped are the averaged ones, where the run has kept an average: those that it has shown.
        """
        from ganlab.networks.shipment import by_network

        found: dict[str, dict[str, Tensor]] = {"generator": {}}
        averaged: dict[str, Tensor] = {}
        for name, tensor in _read_tensors(self.path, HEADER_LIMIT).items():
            match name.split("/", 2):
                case ["networks", network, key]:
                    found.setdefault(network, {})[key] = tensor
                case ["average", *key]:
                    averaged["/".join(key)] = tensor
        for network, tensors in by_network(averaged, found).items():
            found[network] |= tensors
        return found


class Checkpoints:
    """The checkpoints of one run, in a directory of their own. What cannot be deleted is only reported.

    Those that the run's record names are its own; others do not count, and are left alone.

    Whether one is intact is found out by reading all of it, once; after that as long as its files look the same.
    """

    def __init__(self, directory: Path, keep: int, report: Report) -> None:
        """Keep the newest `keep`; say through `report` which ones are damaged and why."""
        self._directory, self._keep, self._report = directory, keep, report
        self._record = Record(directory.parent)
        self._intact: dict[Path, _Look] = {}
        self._told: set[Path] = set()
        """What was said to be none of ours."""

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is intact, or None where there is none at all.

        Raises `ArtefactError` where there are checkpoints but none is intact, and for one of a newer ganlab;
        `RunError` where one may be, but cannot be read.
        """
        damaged, unreadable = [], False
        self._tell_of_strangers()
        for path in reversed(checkpoint_folders(self._directory)):
            try:
                return Checkpoint(path, self._examined(path))
            except _DamagedError as error:
                damaged.append(f"{path} {error}")
                self._report(f"checkpoint {path} {error}; looking for the one before")
                unreadable = unreadable or isinstance(error, _UnreadableError)
        if damaged:
            found = "no checkpoint of this run is intact: " + "; ".join(damaged)
            if unreadable:
                raise RunError(f"{found}. The same command goes on once the disk can be read again")
            raise ArtefactError(f"{found}. Start anew in another directory, {option('out')}")
        return None

    def save(self, content: Content) -> Path:
        """Write a checkpoint, which appears complete or not at all; then all but the newest are deleted.

        Raises `RunError` where the disk refuses.
        """
        from safetensors.torch import save

        path = self._place(content.iteration)
        if path.exists() and (problem := self._problem(path)) is not None:
            try:
                self._delete(path)
            except OSError as error:
                raise RunError(
                    f"cannot replace the checkpoint {path}, which {problem}: {error.strerror or error}"
                ) from error
            path = self._place(content.iteration)
        if not path.exists():
            # Not the library's save_file: its file calls are out of sight, and its errors do not say which one failed.
            data = save(dict(content.tensors))
            manifest = Manifest(
                content.provenance,
                iteration=content.iteration,
                drawn=content.drawn,
                rollbacks=content.rollbacks,
                sha256=hashlib.sha256(data).hexdigest(),
                bytes=len(data),
            )
            self._record.add(_entry(path))
            with replacing_directory(path, len(data) + MANIFEST_ROOM) as temporary:
                (temporary / STATE).write_bytes(data)
                (temporary / MANIFEST).write_text(manifest.to_json(), encoding="ascii")
            with suppress(OSError):  # then it is read once more
                self._intact[path] = _Look.of(path / STATE, manifest)
        self.delete_old()
        return path

    def delete_old(self) -> None:
        """Delete all but the newest, but never the last one that could be gone back to."""
        try:
            self._tell_of_strangers()
            found = checkpoint_folders(self._directory)
        except (RunError, ArtefactError) as error:
            self._report(str(error))
            return
        old, kept = found[: -self._keep], found[-self._keep :]
        if old and all(self._problem(path) is not None for path in reversed(kept[:-1])):
            spared = next((path for path in reversed(old) if self._problem(path) is None), None)
            old = [path for path in old if path != spared]
        for path in old:
            try:
                self._delete(path)
            except OSError as error:
                self._report(f"cannot delete {path}: {error.strerror or error}")
            except RunError as error:
                self._report(str(error))

    def _place(self, iteration: int) -> Path:
        """Return where the checkpoint of an iteration belongs: beside a stranger's, if need be, with one more zero."""
        path, ours = self._directory / f"{iteration:08d}", self._record.names()
        while _entry(path) not in ours and (path.exists() or path.is_symlink()):
            path = path.with_name(f"0{path.name}")
        return path

    def _delete(self, path: Path) -> None:
        delete_checkpoint(path)
        self._record.forget(_entry(path))

    def _tell_of_strangers(self) -> None:
        """Say once of each what could be taken for a checkpoint and is none of this run's."""
        ours = self._record.names()
        for path in _numbered(self._directory):
            if _entry(path) not in ours and path not in self._told:
                self._told.add(path)
                self._report(f"{path} was not written by this run: it is no checkpoint of it, and is left alone")

    def _problem(self, path: Path) -> str | None:
        """Return what is wrong with a checkpoint, or None."""
        try:
            self._examined(path)
        except _DamagedError as error:
            return str(error)
        return None

    def _examined(self, path: Path) -> Manifest:
        """Return the manifest of a checkpoint whose files are intact."""
        manifest = _read_manifest(path)
        try:
            size = _regular_size(path / STATE)
            if size != manifest.bytes:
                raise _DamagedError(f"is damaged: {STATE} has {size} bytes instead of {manifest.bytes}")
            look = _Look.of(path / STATE, manifest)
            if self._intact.get(path) == look:
                return manifest
            with (path / STATE).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _unread(error) from error
        if digest != manifest.sha256:
            raise _DamagedError(f"is damaged: the checksum of {STATE} does not fit")
        self._intact[path] = look
        return manifest


def delete_checkpoint(path: Path) -> None:
    """Delete a checkpoint, which is two files and nothing else; what else somebody has put there stays."""
    for name in (MANIFEST, STATE):
        (path / name).unlink(missing_ok=True)
    try:
        path.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def begun_with(directory: Path) -> Manifest | None:
    """Return the manifest of the newest checkpoint that has a sound one, or None: what the run in there trains."""
    for path in reversed(checkpoint_folders(directory)):
        with suppress(_DamagedError):
            return _read_manifest(path)
    return None


def intact_checkpoint(path: Path) -> Checkpoint:
    """Return a checkpoint once its files have been compared with their checksums.

    Raise `ArtefactError` where it is damaged or of a newer ganlab, `RunError` where the disk does not answer.
    """
    try:
        return Checkpoint(path, Checkpoints(path.parent, 2, lambda _: None)._examined(path))
    except _UnreadableError as error:
        raise RunError(f"checkpoint {path} {error}") from error
    except _DamagedError as error:
        raise ArtefactError(f"checkpoint {path} {error}") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Return a checkpoint that another rank has found intact. Raise `ArtefactError` where this one cannot read it."""
    try:
        return Checkpoint(path, _read_manifest(path))
    except _DamagedError as error:
        raise ArtefactError(f"checkpoint {path} {error}") from error


def checkpoint_folders(directory: Path) -> list[Path]:
    """Return the checkpoints that the run's record names, oldest first, damaged ones included."""
    if not (found := _numbered(directory)):
        return []
    ours = Record(directory.parent).names()
    return [path for path in found if _entry(path) in ours and path.is_dir() and not path.is_symlink()]


def is_numbered(path: Path) -> bool:
    """Tell whether an absolute path is one of a checkpoint."""
    return path.parent.name == "checkpoints" and _NAME.match(path.name) is not None


def _numbered(directory: Path) -> list[Path]:
    """Return what is called as a checkpoint is, in the order of the numbers."""
    try:
        found = [path for path in directory.iterdir() if _NAME.match(path.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RunError(f"cannot read {directory}: {error.strerror or error}") from error
    return sorted(found, key=lambda path: int(path.name))


def _entry(path: Path) -> str:
    """Return what the record of its run calls a checkpoint."""
    return f"{path.parent.name}/{path.name}"


def _read_manifest(path: Path) -> Manifest:
    strange = f"is damaged: {MANIFEST} is not what ganlab writes"
    try:
        if _regular_size(path / MANIFEST) > MANIFEST_LIMIT:
            raise _DamagedError(f"is damaged: {MANIFEST} is too long")
        data = (path / MANIFEST).read_bytes()
        table = json.loads(data)
        schema = table.pop("schema")
        del table["checksum"]
    except OSError as error:
        raise _unread(error) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _DamagedError(strange) from error
    if type(schema) is int and schema > SCHEMA:
        # Not damage: to go on from the one before would throw away what a newer ganlab has trained.
        raise ArtefactError(
            f"checkpoint {path} has schema {schema}, and this ganlab reads up to schema {SCHEMA}: "
            "upgrade ganlab to the version that wrote it"
        )
    try:
        table.setdefault("code", {})
        begun = Provenance(**{field.name: table.pop(field.name) for field in fields(Provenance)})
        manifest = Manifest(begun, **table)
        # One text for one manifest: so every changed byte of it is found.
        if type(schema) is not int or not _is_plausible(manifest) or manifest.to_json().encode() != data:
            raise _DamagedError(strange)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _DamagedError(strange) from error
    return manifest


def _is_plausible(manifest: Manifest) -> bool:
    begun = manifest.provenance
    numbers = (manifest.iteration, manifest.drawn, manifest.rollbacks, manifest.bytes)
    texts = (begun.data, begun.device, manifest.sha256)
    if not all(isinstance(table, dict) for table in (begun.recipe, begun.versions, begun.code)):
        return False
    return (
        all(type(number) is int and 0 <= number < NUMBER_LIMIT for number in numbers)
        and all(type(number) is int and 0 < number < NUMBER_LIMIT for number in (begun.ranks, begun.threads))
        and all(
            isinstance(text, str) and len(text) <= TEXT_LIMIT
            for table in (begun.versions, begun.code)
            for text in (*texts, *table, *table.values())
        )
    )


def _unread(error: OSError) -> _DamagedError:
    kind = _DamagedError if error.errno in _NOT_THERE else _UnreadableError
    return kind(f"cannot be read: {error.strerror or error}")


def _regular_size(path: Path) -> int:
    """Return a file's size. Raise `_DamagedError` for what has none: reading a pipe would wait for ever."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise _DamagedError(f"is damaged: {path.name} is not a regular file")
    return status.st_size


def _read_tensors(path: Path, limit: int) -> dict[str, Tensor]:
    """Return the tensors of a state file whose header has at most `limit` bytes.

    The library never sees a longer one: of a hostile one it would make gigabytes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with (path / STATE).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > limit:
            raise ArtefactError(
                f"checkpoint {path} does not fit the networks of this recipe: the header of {STATE} has {length} "
                f"bytes, and one of their tensors {limit} at most"
            )
        saved: dict[str, Tensor] = load_file(path / STATE)
    except OSError as error:
        raise RunError(f"checkpoint {path}: {STATE} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ArtefactError(f"checkpoint {path}: {STATE} cannot be read: {one_line(str(error))}") from error
    if broken := [name for name, tensor in saved.items() if tensor.is_floating_point() and not tensor.isfinite().all()]:
        raise ArtefactError(f"checkpoint {path} holds values that are not finite: {listed(broken)}")
    return saved


def _compare(path: Path, current: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint whose tensors are not exactly those of the networks that the recipe builds."""
    problems = [f"{name} is missing" for name in current.keys() - saved.keys()]
    problems += [f"{name} is not known" for name in saved.keys() - current.keys()]
    for name in current.keys() & saved.keys():
        if current[name].shape != saved[name].shape or current[name].dtype != saved[name].dtype:
            problems.append(
                f"{name} is {saved[name].dtype} {tuple(saved[name].shape)} "
                f"instead of {current[name].dtype} {tuple(current[name].shape)}"
            )
    if problems:
        raise ArtefactError(f"checkpoint {path} does not fit the networks of this recipe: {listed(sorted(problems))}")


def _check_rows(path: Path, rows: Tensor, ranks: int, size: int) -> None:
    if tuple(rows.shape) != (ranks, size) or not rows.is_floating_point():
        raise ArtefactError(
            f"checkpoint {path} does not fit the networks of this recipe: "
            f"{RANK_BUFFERS} is {rows.dtype} {tuple(rows.shape)} instead of torch.float64 {(ranks, size)}"
        )
