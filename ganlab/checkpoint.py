"""The durable state of a run: a directory of safetensors and a manifest with checksums. No pickle."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlab.durable import TEMPORARY, replacing_directory
from ganlab.errors import ArtefactError

if TYPE_CHECKING:
    from torch import Tensor

    from ganlab.training.ranks import Ranks
    from ganlab.training.state import State

SCHEMA = 1
STATE = "state.safetensors"
MANIFEST = "manifest.json"
RANK_BUFFERS = "ranks/buffers"
"""The tensor that holds, a row a rank, what the ranks do not have in common."""
MANIFEST_LIMIT = 4_000_000
"""Bytes; a longer manifest was not written by us."""

_NAME = re.compile(r"^\d{8,}$")


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint says about itself."""

    iteration: int
    drawn: int
    rollbacks: int
    recipe: Mapping[str, Any]
    data: str
    """Fingerprint of the packed data."""
    versions: Mapping[str, str]
    ranks: int
    threads: int
    device: str
    sha256: str
    bytes: int
    schema: int = SCHEMA


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
        from safetensors.torch import load_file

        from ganlab.training.state import set_buffers

        saved = load_file(self.path / STATE)
        rows = saved.pop(RANK_BUFFERS, None)
        current = dict(state.tensors())
        _compare(self.path, current, saved)
        for name, tensor in current.items():
            tensor.copy_(saved[name])
        if rows is not None:
            # Each rank its own again; another number of ranks goes on from what they have in common.
            set_buffers(state.buffers(), rows[ranks.rank] if len(rows) == ranks.world else rows.mean(0))
        state.iteration, state.drawn = self.manifest.iteration, self.manifest.drawn
        state.rollbacks = self.manifest.rollbacks


def save_checkpoint(
    directory: Path, state: State, buffers: Tensor, about: Callable[[str, int], Manifest], keep: int
) -> Path:
    """Write the state below `directory`; `about` makes the manifest from the state file's sha256 and size.

    `buffers` are those of all ranks, a row each.

    The checkpoint appears complete or not at all; then all but the newest `keep` are deleted. Raises `RunError`
    where the disk refuses.
    """
    path = directory / f"{state.iteration:08d}"
    if path.exists() and _problem(path) is not None:
        shutil.rmtree(path)  # a damaged one of the same iteration must not stand in the way
    if not path.exists():
        with replacing_directory(path) as temporary:
            _write_tensors(state, buffers, temporary / STATE)
            manifest = about(_sha256(temporary / STATE), (temporary / STATE).stat().st_size)
            (temporary / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n")
    for old in _directories(directory)[:-keep]:
        shutil.rmtree(old)
    return path


def newest_checkpoint(directory: Path, report: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest checkpoint that is intact; say through `report` which ones are damaged and why.

    Raises `ArtefactError` where there are checkpoints but none is intact.
    """
    damaged = []
    for path in reversed(_directories(directory)):
        problem = _problem(path)
        if problem is None:
            return Checkpoint(path, _read_manifest(path))
        damaged.append(f"{path} {problem}")
        report(f"checkpoint {path} {problem}; looking for the one before")
    if damaged:
        raise ArtefactError(
            "no checkpoint of this run is intact: " + "; ".join(damaged) + ". Start anew with another --out directory"
        )
    return None


def read_checkpoint(path: Path) -> Checkpoint:
    """Return a checkpoint that another rank has found intact."""
    return Checkpoint(path, _read_manifest(path))


def remove_leftovers(directory: Path) -> None:
    """Delete what killed processes left half-written. Call it with the run's lock held."""
    if directory.is_dir():
        for path in directory.iterdir():
            if path.name.startswith(TEMPORARY):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _write_tensors(state: State, buffers: Tensor, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {name: tensor.contiguous() for name, tensor in state.tensors()}
    if len(buffers) > 1:
        tensors[RANK_BUFFERS] = buffers
    try:
        save_file(tensors, path)
    except SafetensorError as error:  # its only cause here: the disk refuses
        raise OSError(str(error)) from error


def _directories(directory: Path) -> list[Path]:
    """Return the checkpoints, oldest first, damaged ones included."""
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if _NAME.match(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def _problem(path: Path) -> str | None:
    """Return what is wrong with a checkpoint, or None."""
    try:
        manifest = _read_manifest(path)
        size = (path / STATE).stat().st_size
        if size != manifest.bytes:
            return f"is damaged: {STATE} has {size} bytes instead of {manifest.bytes}"
        if _sha256(path / STATE) != manifest.sha256:
            return f"is damaged: the checksum of {STATE} does not fit"
    except ArtefactError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    if file.stat().st_size > MANIFEST_LIMIT:
        raise ArtefactError(f"is damaged: {MANIFEST} is too long")
    try:
        table = json.loads(file.read_bytes())
        schema = table["schema"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtefactError(f"is damaged: {MANIFEST} is not what ganlab writes") from error
    if schema != SCHEMA:
        raise ArtefactError(
            f"has schema {schema!r}; this ganlab reads schema {SCHEMA}: install the version that wrote it"
        )
    try:
        manifest = Manifest(**table)
    except TypeError as error:
        raise ArtefactError(f"is damaged: {MANIFEST} is not what ganlab writes") from error
    numbers = {name: table[name] for name in ("iteration", "drawn", "rollbacks", "bytes")}
    for name, value in numbers.items():
        if type(value) is not int or value < 0:
            raise ArtefactError(f"is damaged: {name} = {value!r} in {MANIFEST}")
    if not isinstance(manifest.recipe, dict) or not isinstance(manifest.sha256, str):
        raise ArtefactError(f"is damaged: {MANIFEST} is not what ganlab writes")
    return manifest


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
        shown = "; ".join(sorted(problems)[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise ArtefactError(f"checkpoint {path} does not fit the networks of this recipe: {shown}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
