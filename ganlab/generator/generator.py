"""A trained generator as a callable on numpy arrays, from safetensors or, without torch, from ONNX."""

from __future__ import annotations

import operator
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ganlab.data.inputs import SEEDS, Arrays
from ganlab.data.pictures import Pictures, Sheet, grid, to_uint8
from ganlab.errors import ArtefactError, GanlabError
from ganlab.generator.arguments import NOTHING, Arguments, Choice, Wishes
from ganlab.generator.backends import Compute, Floats, check_outline, with_exporter, with_onnxruntime, with_torch
from ganlab.generator.file import Artefact, read_artefact
from ganlab.generator.formats import Foreign, ours_or_foreign
from ganlab.generator.metadata import Metadata
from ganlab.hardware.memory import memory_errors
from ganlab.interfaces import Labels
from ganlab.messages import printable, shown
from ganlab.regular import named_path

BATCH = 64
"""Pictures computed at once."""
SHOWN = 8
"""Pictures that a notebook shows of a generator."""


Load = Callable[[Path, str], "Generator"]
"""Loads a generator for a device. A function of a module: another process finds it by its name."""
Read = Callable[[Path, str], Artefact]
"""Reads the same for the same device."""


class Origin(NamedTuple):
    """Where a generator was loaded from, what for, and what loads it or reads it again."""

    path: Path
    device: str
    load: Load
    read: Read


class Generator:
    """A trained generator: seeds or inputs in, images out, numpy in, numpy out, whatever file it came from."""

    def __init__(
        self,
        name: str,
        metadata: Metadata,
        compute: Compute,
        encoder: Callable[[], Compute],
        origin: Origin | None = None,
    ) -> None:
        """`name` is what messages call it; `compute` gets and returns arrays of the right type and shape.

        `encoder` returns what computes the encoder, if the metadata has one. `origin` is where another process finds
        the file.
        """
        self._name, self._metadata, self._compute, self._encoder = name, metadata, compute, encoder
        self._origin = origin
        self._arguments = Arguments.of(name, metadata)

    def __reduce__(self) -> tuple[Callable[..., Generator], tuple[str, str, str, Load]]:
        """Let a copy in another process open the same file again: nothing of torch or of the file is sent."""
        if self._origin is None:
            raise GanlabError(f"{self._name}: was not loaded from a file, so no other process can load it")
        path, device, load, _ = self._origin
        return _opened_again, (str(path), device, self._metadata.to_json(), load)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: some pictures, and what the generator is."""
        picture = grid(self.sample(SHOWN), SHOWN).view(Sheet)._repr_png_()
        about = self._metadata
        words = (
            f"{self._name}: {about.model.name}, {about.images.height}x{about.images.width}x{about.images.channels}, "
            f"recipe {about.recipe.name}, {about.training.images:,} pictures seen"
        )
        source = f"data:image/png;base64,{b64encode(picture or b'').decode()}"
        return f'<div>{escape(printable(words))}</div><img alt="seeds 0 to {SHOWN - 1}" src="{source}">'

    @property
    def metadata(self) -> Metadata:
        """What the file says about itself."""
        return self._metadata

    def __call__(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Floats:
        """Return the images `(N, C, H, W)`, float32 in [-1, 1], of `inputs` such as `draw` returns, by name.

        Float `(N, *shape)` for normal, uniform and categorical ones, the last one-hot; integers `(N,)` for labels.
        Raises `ArtefactError` for inputs that do not fit.
        """
        arrays, images = self._arguments.checked(inputs), self._metadata.images
        count = len(next(iter(arrays.values())))
        made = np.empty((count, images.channels, images.height, images.width), np.float32)
        for start in range(0, count, BATCH):
            part = slice(start, start + BATCH)
            made[part] = self._images({name: array[part] for name, array in arrays.items()})
        return made

    def draw(
        self,
        seeds: Iterable[int] | int,
        label: int | str | None = None,
        inputs: Mapping[str, Choice] = NOTHING,
        truncation: float = 1.0,
    ) -> Arrays:
        """Return what `sample` makes its pictures of, by name, to be changed and given to the generator.

        The same for every file and device: `seeds` are numbers from 0 to 2**32 - 1, or a count. `label`, `inputs` and
        `truncation` are those of `sample`.
        """
        return self._arguments.drawn(list(self._seeds(seeds)), self._arguments.wishes(label, inputs, truncation))

    def sample(
        self,
        seeds: Iterable[int] | int,
        label: int | str | None = None,
        batch_size: int = BATCH,
        inputs: Mapping[str, Choice] = NOTHING,
        truncation: float = 1.0,
    ) -> Pictures:
        """Return a picture for each of `seeds`, `(N, H, W, C)` uint8; `sample(5)` are five, of the seeds 0 to 4.

        A conditional generator draws the class `label`, its name or its number; a text that is the name of one class
        and the number of another is taken for the name. Without one the seed decides: its remainder by the number of
        classes. `inputs` chooses others by name: a category, or several that the pictures take in turns, and of a
        normal or uniform one a number for all of it, or all of its numbers. `truncation` scales normal inputs: below
        1, pictures are more alike and less often failed (Brock et al. 2019, section 3.1, who draw anew instead).
        `batch_size` pictures are computed at once; they are the same for any.
        """
        chosen, images = list(self._seeds(seeds)), self._metadata.images
        pictures = np.empty((len(chosen), images.height, images.width, images.channels), np.uint8)
        start = 0
        for batch in self.batches(chosen, label, batch_size, inputs, truncation):
            pictures[start : start + len(batch)] = batch
            start += len(batch)
        return pictures

    def batches(
        self,
        seeds: Iterable[int] | int,
        label: int | str | None = None,
        batch_size: int = BATCH,
        inputs: Mapping[str, Choice] = NOTHING,
        truncation: float = 1.0,
    ) -> Iterator[Pictures]:
        """Return the pictures of `sample` a batch at a time: for more of them than fit into memory.

        `seeds`, `label`, `inputs` and `truncation` are as there; each batch has `batch_size`, the last one the rest.
        """
        if not _is_whole(batch_size) or batch_size < 1:
            raise ArtefactError(f"{self._name}: batch_size must be a whole number from 1, not {shown(batch_size)}")
        return self._batches(self._seeds(seeds), batch_size, self._arguments.wishes(label, inputs, truncation))

    def _seeds(self, seeds: Iterable[int] | int) -> Iterator[int]:
        """Return the seeds that are meant: so many from 0 where a number is given."""
        try:
            return iter(seeds)  # type: ignore[arg-type]  # that is the question
        except TypeError:
            count = operator.index(seeds) if _is_whole(seeds) else -1  # type: ignore[arg-type]
        if 0 <= count <= SEEDS:
            return iter(range(count))
        raise ArtefactError(
            f"{self._name}: {shown(seeds)} is neither seeds nor how many there are; give a whole number from 0, "
            "or a list of seeds"
        )

    def encode(self, pictures: Pictures, labels: np.ndarray[Any, Any] | None = None) -> Floats:
        """Return the z `(N, *shape)`, float32, of pictures `(N, H, W, C)`, uint8, as `sample` returns them.

        For a generator whose model ships an encoder; that of a conditional model takes integer `labels` `(N,)`, too.
        Raises `ArtefactError` where there is none, and for pictures that do not fit.
        """
        if "encoder" not in self._metadata.networks:
            raise ArtefactError(
                f"{self._name}: holds no encoder, so pictures have no z: its model ships none, or its format has no "
                "place for it"
            )
        array, images = np.asarray(pictures), self._metadata.images
        expected = (images.height, images.width, images.channels)
        if array.ndim != 4 or array.shape[1:] != expected or array.dtype != np.uint8:
            raise ArtefactError(
                f"{self._name}: pictures must be uint8 of shape (N, {', '.join(map(str, expected))}), "
                f"not {array.dtype} of shape {array.shape}"
            )
        condition = self._checked_labels(labels, len(array))
        compute, shape = self._encoder(), self._metadata.record("encoder").shape
        z = np.empty((len(array), *shape), np.float32)
        for start in range(0, len(array), BATCH):
            part = slice(start, start + BATCH)
            pixels = np.ascontiguousarray(array[part].transpose(0, 3, 1, 2), np.float32) / 127.5 - 1.0
            inputs = {"images": pixels} | {name: values[part] for name, values in condition.items()}
            z[part] = self._run(inputs, compute, (len(pixels), *shape))
        return z

    def _checked_labels(self, labels: np.ndarray[Any, Any] | None, count: int) -> Arrays:
        """Return the labels of pictures by the name of the encoder's argument, if it takes them."""
        if not self._metadata.record("encoder").labels:
            if labels is not None:
                raise ArtefactError(f"{self._name}: its encoder takes no labels: its model is not conditional")
            return {}
        if labels is None:
            raise ArtefactError(f"{self._name}: its encoder needs the labels of the pictures, one each")
        given = {"labels": np.asarray(labels)}
        if given["labels"].shape != (count,):
            raise ArtefactError(f"{self._name}: labels must be {count} integers, one a picture")
        return self._arguments._replace(kinds={"labels": Labels()}).checked(given)

    def _batches(self, remaining: Iterator[int], batch_size: int, wishes: Wishes) -> Iterator[Pictures]:
        first = 0
        while part := list(islice(remaining, batch_size)):
            yield to_uint8(self._images(self._arguments.drawn(part, wishes, first)))
            first += len(part)

    def _images(self, inputs: Arrays) -> Floats:
        count = len(next(iter(inputs.values())))
        return self._run(inputs, self._compute, (count, *self._metadata.images[:3]))

    def _run(self, inputs: Arrays, compute: Compute, expected: tuple[int, ...]) -> Floats:
        """Compute one batch, and believe neither the file nor the model that it names."""
        count = expected[0]
        with memory_errors(lambda: f"out of memory for {count} pictures of {self._name} at once; ask for fewer"):
            made = compute(inputs)
        if made.shape != expected:
            raise ArtefactError(f"{self._name}: makes arrays of shape {made.shape} instead of {expected}")
        if not np.isfinite(made).all():
            what = "pictures" if compute is self._compute else "a z"
            raise ArtefactError(f"{self._name}: makes {what} that are not finite; train or export it again")
        return made


def _is_whole(number: object) -> bool:
    """Tell whether something is a whole number, Python's, numpy's or torch's; true and false are none."""
    try:
        operator.index(number)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        return False
    return not isinstance(number, bool)


def load_file(path: os.PathLike[str] | str, device: str = "auto") -> Generator:
    """Load a generator from a file or a run's `generator.safetensors`, as `load_generator` of this package does."""
    check_device(device)
    return ours_or_foreign(named_path(path), partial(_ours, device=device), partial(_foreign, device=device))


def load_artefact(artefact: Artefact, device: str, load: Load, read: Read) -> Generator:
    """Load a generator whose safetensors file is in memory; `load` and `read` start again from the artefact's path."""
    check_device(device)
    with memory_errors(lambda: f"out of memory while loading {artefact.path}"):
        computed = with_torch(artefact, device)
    origin = Origin(artefact.path.absolute(), device, load, read)
    return Generator(str(artefact.path), artefact.metadata, computed["generator"], lambda: computed["encoder"], origin)


def check_device(device: str) -> None:
    """Refuse what names no device."""
    if not isinstance(device, str) or not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", device):
        raise GanlabError(f'device "{device}" is none of auto, cpu, cuda, cuda:N and mps')


def _ours(path: Path, device: str) -> Generator:
    artefact, computed = _computed(path, device)
    metadata = artefact.metadata
    if metadata.network != "generator":
        raise ArtefactError(f"{artefact.path}: is the {metadata.network} of a generator; name the generator's own file")

    place, kind = artefact.path, artefact.kind  # not the artefact, which would keep the file's bytes in memory

    def encoder() -> Compute:
        if kind == "onnx" and "encoder" not in computed:
            computed["encoder"] = _beside(place, metadata, "encoder", device)
        return computed["encoder"]

    origin = Origin(place.absolute(), device, load_file, _read_again)
    return Generator(str(place), metadata, computed["generator"], encoder, origin)


def _foreign(file: Foreign, device: str) -> Generator:
    def encoder() -> Compute:
        raise ArtefactError(f"{file.path}: {file.provider.title} computes the generator alone, and no encoder")

    origin = Origin(file.path, device, load_file, _read_again)
    return Generator(str(file.path), file.metadata, with_exporter(file, device), encoder, origin)


def _opened_again(path: str, device: str, about: str, load: Load) -> Generator:
    """Load a generator that another process has sent. Raise `ArtefactError` where its file is another one by now."""
    generator = load(Path(path), device)
    if generator.metadata.to_json() != about:
        raise ArtefactError(f"{path}: has changed since the generator was loaded from it; load it again, and send that")
    return generator


def _read_again(path: Path, device: str) -> Artefact:
    return read_artefact(path)


def artefact_of(generator: Generator) -> Artefact:
    """Read once more what a generator was loaded from. Raise `GanlabError` where that was nothing on the disk."""
    if generator._origin is None:
        raise GanlabError(f"{generator._name}: was not loaded from a file")
    return generator._origin.read(generator._origin.path, generator._origin.device)


def run_file(path: os.PathLike[str] | str, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Floats:
    """Return what the network in `path` makes of `inputs`, on the CPU: for exporters, of what they have written.

    Of a file that holds several networks, it is the generator. Raises `ArtefactError` as `load_generator` does.
    """
    artefact, computed = _computed(named_path(path), "cpu")
    return computed[artefact.metadata.network](inputs)


def beside(path: Path, network: str) -> Path:
    """Return where a network lies that is shipped in a file of its own: `generator.encoder.onnx`."""
    return path.with_name(f"{path.stem}.{network}{path.suffix}")


def _computed(path: Path, device: str) -> tuple[Artefact, dict[str, Compute]]:
    """Return a file and what computes its networks, by name."""
    artefact = read_artefact(path, check_outline)
    if artefact.kind == "safetensors":
        from ganlab.generator.network import settled

        artefact = settled(artefact)
    load = with_torch if artefact.kind == "safetensors" else with_onnxruntime
    with memory_errors(lambda: f"out of memory while loading {artefact.path}"):
        return artefact, load(artefact, device)


def _beside(path: Path, metadata: Metadata, network: str, device: str) -> Compute:
    """Return what computes a network that lies beside its generator. Raise `ArtefactError` where it is another's."""
    place = beside(path, network)
    if not place.exists():
        raise ArtefactError(f"{path}: its {network} should lie beside it as {place.name}; copy or export both again")
    artefact, computed = _computed(place, device)
    own = {"network": network, "digest": metadata.digest, "precision": metadata.precision}
    if artefact.metadata.model_copy(update=own) != metadata.model_copy(update=own) or network not in computed:
        raise ArtefactError(f"{place}: is not the {network} of {path}; export both again")
    return computed[network]
