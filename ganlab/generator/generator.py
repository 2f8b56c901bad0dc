"""A trained generator as a callable on numpy arrays, from safetensors or, without torch, from ONNX."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ganlab.data.latents import Latent
from ganlab.data.pictures import Pictures, to_uint8
from ganlab.errors import ArtefactError, GanlabError
from ganlab.generator.backends import (
    Compute,
    Floats,
    Labels,
    check_outline,
    with_exporter,
    with_onnxruntime,
    with_torch,
)
from ganlab.generator.file import read_artefact
from ganlab.generator.formats import Foreign, ours_or_foreign
from ganlab.generator.metadata import Metadata
from ganlab.hardware.memory import memory_errors
from ganlab.messages import did_you_mean, listed, quoted

BATCH = 64
"""Pictures computed at once."""
NAMED = 20
"""How many classes a message lists."""


class Origin(NamedTuple):
    """Where a generator was loaded from, and what for."""

    path: Path
    device: str


class Generator:
    """A trained generator: latents in, images out, numpy in, numpy out, whatever file it came from."""

    def __init__(self, name: str, metadata: Metadata, compute: Compute, origin: Origin | None = None) -> None:
        """`name` is what messages call it; `compute` gets and returns arrays of the right type and shape.

        `origin` is where another process finds it.
        """
        self._name, self._metadata, self._compute, self._origin = name, metadata, compute, origin

    def __reduce__(self) -> tuple[Callable[..., Generator], tuple[str, str, str]]:
        """Let a copy in another process open the same file again: nothing of torch or of the file is sent."""
        if self._origin is None:
            raise GanlabError(f"{self._name}: was not loaded from a file, so no other process can load it")
        return _opened_again, (str(self._origin.path), self._origin.device, self._metadata.to_json())

    @property
    def metadata(self) -> Metadata:
        """What the file says about itself."""
        return self._metadata

    def __call__(self, z: np.ndarray[Any, Any], labels: np.ndarray[Any, Any] | None = None) -> Floats:
        """Return the images `(N, C, H, W)`, float32 in [-1, 1], of latents `(N, latent_dim)`.

        A conditional generator takes integer labels `(N,)`. Raises `ArtefactError` for inputs that do not fit.
        """
        inputs = self._checked_z(z)
        classes = self._checked_labels(labels, len(inputs))
        images = self._metadata.images
        made = np.empty((len(inputs), images.channels, images.height, images.width), np.float32)
        for start in range(0, len(inputs), BATCH):
            part = slice(start, start + BATCH)
            made[part] = self._run(inputs[part], None if classes is None else classes[part])
        return made

    def latents(self, seeds: Iterable[int] | int) -> Floats:
        """Return the latents `(N, latent_dim)` of seeds from 0 to 2**32 - 1: the same for every file and device.

        A number in place of the seeds is a count, as in `sample`.
        """
        latent = self._metadata.latent
        try:
            return Latent(latent.dim, latent.distribution).of_seeds(_seeds(seeds))
        except ValueError as error:
            raise ArtefactError(f"{self._name}: {error}") from error

    def sample(self, seeds: Iterable[int] | int, label: int | str | None = None, batch_size: int = BATCH) -> Pictures:
        """Return one picture a seed, `(N, H, W, C)` uint8; `sample(5)` are five pictures, of the seeds 0 to 4.

        A conditional generator draws the class `label`, its name or its number; a text that is the name of one class
        and the number of another is taken for the name. Without one the seed decides: its remainder by the number of
        classes.
        """
        if batch_size < 1:
            raise ArtefactError(f"{self._name}: batch_size must be at least 1, not {batch_size}")
        chosen, images = list(_seeds(seeds)), self._metadata.images
        number = self._number(label) if isinstance(label, str) and self._metadata.conditional else label
        pictures = np.empty((len(chosen), images.height, images.width, images.channels), np.uint8)
        for start in range(0, len(chosen), batch_size):
            part = chosen[start : start + batch_size]
            z = self.latents(part)
            labels = self._checked_labels(self._labels(part, number), len(part))
            pictures[start : start + batch_size] = to_uint8(self._run(z, labels))
        return pictures

    def _number(self, label: str) -> int:
        """Return the number of the class that a text names."""
        names, classes = self._metadata.class_names, self._metadata.images.classes
        if label in names:
            return names.index(label)
        if re.fullmatch("-?[0-9]{1,9}", label):
            return int(label)
        which = f"{listed(names, NAMED)}, or their" if names else "which have no names but their"
        raise ArtefactError(
            f"{self._name}: label {quoted(label)} is none of its classes, {which} numbers 0 to {classes - 1}"
            f"{did_you_mean(label, names)}"
        )

    def _labels(self, seeds: list[int], label: int | str | None) -> np.ndarray[Any, Any] | None:
        if label is not None:
            return np.full(len(seeds), label)
        if self._metadata.conditional:
            return np.fromiter(map(operator.index, seeds), np.int64, len(seeds)) % self._metadata.images.classes
        return None

    def _run(self, z: Floats, labels: Labels | None) -> Floats:
        """Compute one batch, and believe neither the file nor the model that it names."""
        with memory_errors(lambda: f"out of memory for {len(z)} pictures of {self._name} at once; ask for fewer"):
            images = self._compute(z, labels)
        expected = (len(z), *self._metadata.images[:3])
        if images.shape != expected:
            raise ArtefactError(f"{self._name}: makes arrays of shape {images.shape} instead of {expected}")
        if not np.isfinite(images).all():
            raise ArtefactError(f"{self._name}: makes pictures that are not finite; train or export it again")
        return images

    def _checked_z(self, z: np.ndarray[Any, Any]) -> Floats:
        dim, array = self._metadata.latent.dim, np.asarray(z)
        if array.ndim != 2 or array.shape[1] != dim or array.dtype.kind != "f":
            raise ArtefactError(
                f"{self._name}: z must be floats of shape (N, {dim}), not {array.dtype} of shape {array.shape}"
            )
        inputs = np.ascontiguousarray(array, np.float32)
        if not np.isfinite(inputs).all():
            raise ArtefactError(f"{self._name}: z holds values that are not finite")
        return inputs

    def _checked_labels(self, labels: np.ndarray[Any, Any] | None, count: int) -> Labels | None:
        classes = self._metadata.images.classes
        if not self._metadata.conditional:
            if labels is not None:
                raise ArtefactError(f"{self._name}: takes no labels: its model is not conditional")
            return None
        if labels is None:
            raise ArtefactError(f"{self._name}: needs labels from 0 to {classes - 1}, one a latent")
        array = np.asarray(labels)
        if array.shape != (count,) or array.dtype.kind not in "iu":
            raise ArtefactError(
                f"{self._name}: labels must be integers of shape ({count},), not {array.dtype} of shape {array.shape}"
            )
        # onnxruntime takes negative labels for classes counted from the end.
        wrong = array[(array < 0) | (array >= classes)]
        if len(wrong):
            raise ArtefactError(f"{self._name}: label {wrong[0]} is none of its classes, 0 to {classes - 1}")
        return np.ascontiguousarray(array, np.int64)


def _seeds(seeds: Iterable[int] | int) -> Iterable[int]:
    """Return the seeds that are meant: so many from 0 where a number is given."""
    return seeds if isinstance(seeds, Iterable) else range(operator.index(seeds))


def load_generator(path: os.PathLike[str] | str, device: str = "auto") -> Generator:
    """Load a generator from a run or its directory, a `.safetensors` or an `.onnx` file; its bytes tell which it is.

    A file in a plugin's format is computed by the exporter whose ending fits its name, on the CPU.

    `device` is `"auto"`, `"cpu"`, `"cuda"`, `"cuda:N"` or `"mps"`. An ONNX file needs numpy, pydantic and
    onnxruntime only; CUDA needs onnxruntime-gpu. Raises `ArtefactError` for a file that is anything but an
    undamaged generator, `PluginError` where its model is not installed.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", device):
        raise GanlabError(f'device "{device}" is none of auto, cpu, cuda, cuda:N and mps')
    return ours_or_foreign(Path(path), partial(_ours, device=device), partial(_foreign, device=device))


def _ours(path: Path, device: str) -> Generator:
    artefact = read_artefact(path, check_outline)
    load = with_torch if artefact.kind == "safetensors" else with_onnxruntime
    with memory_errors(lambda: f"out of memory while loading {artefact.path}"):
        compute = load(artefact, device)
    return Generator(str(artefact.path), artefact.metadata, compute, Origin(artefact.path.absolute(), device))


def _foreign(file: Foreign, device: str) -> Generator:
    return Generator(str(file.path), file.metadata, with_exporter(file, device), Origin(file.path, device))


def _opened_again(path: str, device: str, about: str) -> Generator:
    """Load a generator that another process has sent. Raise `ArtefactError` where its file is another one by now."""
    generator = load_generator(path, device)
    if generator.metadata.to_json() != about:
        raise ArtefactError(f"{path}: has changed since the generator was loaded from it; load it again, and send that")
    return generator
