"""The generator of a checkpoint, made as its snapshot has made it: on a CPU with the same bits."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import ValidationError

from ganlab.data.batches import batches_per_epoch
from ganlab.data.packing import pack
from ganlab.distributed.ranks import Place, Ranks
from ganlab.errors import ArtefactError, GanlabError, PluginError
from ganlab.generator.file import Artefact, read_metadata, unwritten
from ganlab.generator.metadata import DataRecord, Metadata, RecipeRecord, TrainingRecord, VersionsRecord
from ganlab.generator.network import describe
from ganlab.hardware.device import arithmetic, choose_device, choose_precision, only_training
from ganlab.hardware.memory import memory_errors
from ganlab.interfaces import ImageSpec
from ganlab.recipe.recipe import parse_recipe
from ganlab.run.culprit import naming_culprit
from ganlab.run.directory import RunDirectory
from ganlab.run.places import run_of
from ganlab.run.resume import with_pictures_found
from ganlab.training.checkpoint import Checkpoint, Manifest, intact_checkpoint
from ganlab.training.sampling import shipped_generator
from ganlab.training.state import buffer_rows, build_state

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe

THREADS = 256
"""The most that are taken because a manifest says so."""

_MAKING = threading.Lock()
"""One is made at a time: each takes torch's modes."""


@dataclass(frozen=True)
class _Data:
    """What a generator's file says of the pictures, and a checkpoint does not."""

    images: ImageSpec
    class_names: tuple[str, ...]
    per_epoch: int
    """Batches of an epoch."""
    recipe: str
    """The recipe's name."""


def generator_of(path: Path, device: str) -> Artefact:
    """Return the generator of the checkpoint `path` as the file that its snapshot has written.

    It is made on the kind of device that the run was trained on, if `device` allows that and it is here, else on the
    CPU. Raise `ArtefactError` for a checkpoint that is damaged, and where its recipe cannot be used here or nothing
    says what its pictures are.
    """
    checkpoint, run = intact_checkpoint(path), run_of(path)
    recipe = _recipe(checkpoint)
    data = _data(checkpoint, recipe, run)
    with (
        naming_culprit(recipe),
        memory_errors(lambda: f"out of memory while making the generator of checkpoint {path}"),
    ):
        return _made(checkpoint, recipe, data, device)


def _made(checkpoint: Checkpoint, recipe: Recipe, data: _Data, device: str) -> Artefact:
    begun, path = checkpoint.manifest.provenance, checkpoint.path
    place = _device(begun.device, device)
    wanted = recipe.train.precision if place.type == begun.device else "fp32"
    precision = choose_precision(wanted, place, lambda _: None)
    # On CUDA deterministic, so that another process makes the same file of the same checkpoint.
    modes = arithmetic(place, precision, place.type == "cuda", min(begun.threads, THREADS), brief=True)
    with _alone(path), modes:
        state, ranks = build_state(recipe, data.images, place), Ranks(Place(rank=0, world=1, local=0), place)
        checkpoint.restore(state, ranks)
        generator = shipped_generator(recipe, state, buffer_rows(state, ranks).mean(0), data.images, place)
        try:
            about = _metadata(checkpoint.manifest, recipe, data, generator)
        except ValidationError as error:  # texts and numbers that no run has
            raise ArtefactError(f"checkpoint {path} is damaged: its manifest is not what ganlab writes") from error
        return unwritten(path, generator, about)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    remedy = (
        f"the generator of checkpoint {path} is made before or after it, or in another process; one that was kept, "
        "[snapshot] generators = N, can be used at any time"
    )
    with _MAKING, only_training(remedy):
        yield


def _device(trained_on: str, wanted: str) -> torch.device:
    """Return where the run was trained, if that is here and is wanted; else the CPU."""
    if trained_on in ("cuda", "mps") and wanted.partition(":")[0] in ("auto", trained_on):
        with suppress(GanlabError):
            return choose_device(trained_on if wanted == "auto" else wanted, "device")
    return torch.device("cpu")


def _recipe(checkpoint: Checkpoint) -> Recipe:
    """Return what the checkpoint was trained by; what only watches a run is not needed, and may not be installed."""
    table = {
        key: value
        for key, value in checkpoint.manifest.provenance.recipe.items()
        if key not in ("observers", "evaluate")
    }
    try:
        return parse_recipe(table)
    except PluginError as error:
        raise PluginError(f"checkpoint {checkpoint.path}: {error}") from error
    except GanlabError as error:
        raise ArtefactError(f"checkpoint {checkpoint.path}: its recipe cannot be used here: {error}") from error


def _data(checkpoint: Checkpoint, recipe: Recipe, run: RunDirectory) -> _Data:
    """Return what is known of the pictures from another generator of the run, else from the pictures themselves."""
    begun, batch_size = checkpoint.manifest.provenance, recipe.train.batch_size
    files = [run.generator, run.best, *(run.kept(iteration) for iteration in reversed(run.kept_iterations()))]
    for file in files:
        with suppress(GanlabError):
            about = read_metadata(file)
            per_epoch = _per_epoch(about.training, batch_size)
            if about.data.fingerprint == begun.data and (per_epoch or not checkpoint.manifest.drawn):
                return _Data(about.images, about.class_names, per_epoch or 1, about.recipe.name)
    recipe, _ = with_pictures_found(recipe, run)
    unknown = f"checkpoint {checkpoint.path}: what its pictures are says no generator of {run.path}"
    try:
        packed = pack(recipe.dataset, recipe.table["dataset"]["name"], lambda *_: None)
    except GanlabError as error:
        raise ArtefactError(f"{unknown}, and they cannot be had: {error}") from error
    if packed.fingerprint != begun.data:
        raise ArtefactError(f"{unknown}, and the pictures have changed since; put back either")
    per_epoch = batches_per_epoch(len(packed.images), batch_size)
    return _Data(packed.spec, tuple(packed.class_names), per_epoch, run.of_recipe or recipe.name)


def _per_epoch(training: TrainingRecord, batch_size: int) -> int:
    """Return how many batches made an epoch, from how far a training came; 0 where that does not tell."""
    drawn = training.images // batch_size
    found = round(drawn / training.epochs) if training.epochs else 0
    return found if found and drawn / found == training.epochs else 0


def _metadata(manifest: Manifest, recipe: Recipe, data: _Data, generator: torch.nn.Module) -> Metadata:
    """Return what the run has said of this generator, with the versions that have computed it."""
    begun = manifest.provenance
    about = describe(
        recipe.table["model"]["name"],
        recipe.model,
        data.images,
        generator,
        recipe=RecipeRecord(name=data.recipe, sha256=recipe.sha256),
        training=TrainingRecord(
            iterations=manifest.iteration,
            images=manifest.drawn * recipe.train.batch_size,
            epochs=manifest.drawn / data.per_epoch,
            init_sha256=recipe.train.init_sha256,
        ),
        data=DataRecord(fingerprint=begun.data, dataset=recipe.table["dataset"]["name"]),
        class_names=data.class_names,
    )
    return about.model_copy(update=_computed_by(about, begun.versions))


def _computed_by(about: Metadata, versions: Mapping[str, str]) -> dict[str, object]:
    model, host = about.model, about.versions
    known = versions.get(model.distribution, model.version)
    return {
        "model": type(model).model_validate({**model.model_dump(), "version": known}),
        "versions": VersionsRecord(ganlab=versions.get("ganlab", host.ganlab), torch=versions.get("torch", host.torch)),
    }
