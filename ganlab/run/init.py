"""What a run begins with instead of fresh weights: another run, or a generator's file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ganlab.errors import ArtefactError, GanlabError
from ganlab.messages import printable
from ganlab.run.directory import RunDirectory
from ganlab.run.places import generator_place, is_checkpoint
from ganlab.training.checkpoint import Checkpoint, Checkpoints, Manifest, begun_with, intact_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from ganlab.recipe.recipe import Recipe
    from ganlab.training.state import State

PLACE = "train.init_from"


class Init:
    """Weights that were read once, and are let go once the networks have them."""

    def __init__(self, place: Path, networks: Mapping[str, Mapping[str, Tensor]]) -> None:
        self._place, self._networks = place, networks

    def give(self, state: State) -> list[str]:
        """Copy the weights that fit into a freshly built state; return a sentence for each network.

        Raises `ArtefactError` where none fits.
        """
        from ganlab.training.warm_start import fill

        found = fill(state, self._networks)
        if found is None:
            raise ArtefactError(
                f"{PLACE}: no weight of {self._place} fits a network of this recipe by name and shape: it is of "
                "another model, or of other options; name one of the same model, or leave init_from out"
            )
        self._networks = {}
        return [
            f"{fitted.network} begins with {fitted.taken} of {fitted.tensors} tensors from "
            f"{printable(str(self._place))}{'' if fitted.taken == fitted.tensors else '; the rest is fresh'}"
            for fitted in found
        ]


class _Read(NamedTuple):
    """What `train.init_from` names."""

    sha256: str
    networks: Mapping[str, Mapping[str, Tensor]]


def read_init(recipe: Recipe, report: Callable[[str], None]) -> tuple[Recipe, Init | None]:
    """Return the recipe with the digest of what a new run of it begins with, and that itself, if it names anything.

    `report` hears of damaged checkpoints. Raises `ArtefactError` for what cannot be begun with.
    """
    place = recipe.train.init_from
    if place is None:
        return recipe, None
    path = generator_place(place.expanduser())
    if not path.exists():
        raise ArtefactError(f"{PLACE}: there is no {path}; name a run, or a generator.safetensors")
    try:
        if is_checkpoint(path):
            read = _of_checkpoint(intact_checkpoint(path))
        else:
            read = _of_run(path, report) if path.is_dir() else _of_file(path)
    except ArtefactError as error:
        raise ArtefactError(f"{PLACE}: {error}") from error
    asked = recipe.train.init_sha256
    if asked is not None and asked != read.sha256:
        raise ArtefactError(
            f"{PLACE}: {path} is not what train.init_sha256 asks for: its SHA-256 is {read.sha256}; put the other one "
            "back, or leave train.init_sha256 out"
        )
    return recipe.with_init(sha256=read.sha256), Init(path, read.networks)


def known_init(recipe: Recipe, begun: Manifest) -> Recipe:
    """Return the recipe of a run that has begun with the digest of what it began with, which it does not need any more.

    Where a file lies there now, its digest is taken: it may be another one. A run may have been trained on since.
    """
    train, before = recipe.train, begun.provenance.recipe.get("train", {})
    if train.init_from is None or train.init_sha256 is not None:
        return recipe
    path, same = train.init_from.expanduser(), before.get("init_from") == str(train.init_from)
    digest = before.get("init_sha256")
    if path.is_file():
        digest = _digest(path) or digest
    elif not same:
        with suppress(GanlabError):  # it is gone, and the run has begun
            digest = _digest_of(generator_place(path)) or digest
    return recipe if digest is None else recipe.with_init(sha256=digest)


def _digest_of(path: Path) -> str | None:
    """Return the digest of what a run could begin with at a place; None where nothing is."""
    if is_checkpoint(path):
        return intact_checkpoint(path).manifest.sha256
    if path.is_dir():
        manifest = begun_with(RunDirectory(path).checkpoints)
        return None if manifest is None else manifest.sha256
    return _digest(path)


def _digest(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return None


def _of_run(path: Path, report: Callable[[str], None]) -> _Read:
    checkpoint = Checkpoints(RunDirectory(path).checkpoints, 2, report).newest()
    if checkpoint is None:
        raise ArtefactError(f"{path} holds no checkpoint of a run; name a run, or a generator.safetensors")
    return _of_checkpoint(checkpoint)


def _of_checkpoint(checkpoint: Checkpoint) -> _Read:
    return _Read(checkpoint.manifest.sha256, checkpoint.networks())


def _of_file(path: Path) -> _Read:
    from ganlab.generator.file import read_artefact, read_tensors
    from ganlab.networks.shipment import by_network

    artefact = read_artefact(path)
    networks = by_network(read_tensors(artefact), artefact.metadata.networks)
    return _Read(hashlib.sha256(artefact.data).hexdigest(), networks)
