"""The checks of datasets: the same pictures each time, with names and labels, for any number of threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ganlab.data.chunks import decode_chunk
from ganlab.data.classes import NAME_LETTERS, is_name
from ganlab.data.decode import decode, target_of
from ganlab.data.packing import pack
from ganlab.data.workers import Workers
from ganlab.errors import DataError
from ganlab.interfaces import Dataset, Source
from ganlab.messages import shown
from ganlab.testing.subject import Check, ContractError, Subject, described
from ganlab.testing.surroundings import own_folder

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

PICTURES = 96
"""How many are decoded: enough for several threads."""
APART = 8
"""How many another process decodes."""
LISTED = 2000
"""How many labels and names are looked at."""


class Excerpt(Dataset):
    """Some of the pictures of another dataset."""

    api = 1
    _source: Source | None = None

    def sources(self) -> Iterable[Path]:
        """Return nothing: the cache that they are packed into is thrown away."""
        return []

    def open(self) -> Source:
        """Return the pictures."""
        assert self._source is not None
        return self._source


class Part(Source):
    """Every so many of the pictures of another source."""

    def __init__(self, whole: Source, indices: list[int]) -> None:
        self._whole, self._indices = whole, indices
        self.classes, self.class_names, self.box = whole.classes, whole.class_names, whole.box

    def __len__(self) -> int:
        return len(self._indices)

    def image(self, index: int) -> Any:
        return self._whole.image(self._indices[index])

    def name(self, index: int) -> str:
        return self._whole.name(self._indices[index])

    def label(self, index: int) -> int:
        return self._whole.label(self._indices[index])


def is_sized(subject: Subject[Dataset]) -> None:
    """Open it twice, and count the pictures."""
    first, second = _opened(subject), subject.make().open()
    if len(first) < 1:
        raise ContractError("it opens a source without pictures: raise DataError that says where they were sought")
    if len(first) != len(second):
        raise ContractError(f"it has {len(first)} pictures at first and {len(second)} when it is opened again")


def states_its_sources(subject: Subject[Dataset]) -> None:
    """Look for the files that it says it depends on."""
    _opened(subject)  # which may fetch them
    dataset = subject.make()
    sources = list(dataset.sources())
    for path in sources:
        if not isinstance(path, Path):
            raise ContractError(f"sources() gives {path!r}: give pathlib.Path objects")
        if not path.exists():
            raise ContractError(
                f"sources() names {path}, which is not there, so a change in the pictures would go unnoticed: name the "
                "files or folders that are read"
            )
    if list(subject.make().sources()) != sources:
        raise ContractError("sources() gives other paths each time: give the same, in the same order")


def decodes(subject: Subject[Dataset]) -> None:
    """Turn pictures from all over the dataset into training pixels."""
    source, dataset = _opened(subject), subject.make()
    bad = [(place, error) for place, _, error in _decoded(source, dataset) if error is not None]
    if bad and (dataset.on_bad == "error" or len(bad) == len(_some(source, PICTURES))):
        place, error = bad[0]
        raise ContractError(
            f"picture {place} cannot be used: {described(error, subject.cls)}; give PIL images, or arrays of uint8 "
            "(H, W) or (H, W, C)"
        ) from error


def repeats(subject: Subject[Dataset]) -> None:
    """Decode the same pictures again, from the same source and from one that is opened anew."""
    first, dataset = _opened(subject), subject.make()
    second = dataset.open()
    for one, same, other in zip(*(_decoded(source, dataset) for source in (first, first, second)), strict=True):
        if not np.array_equal(one.pixels, same.pixels) or not np.array_equal(one.pixels, other.pixels):
            raise ContractError(
                f"picture {one.place} is another one when it is read again: pictures are read once and packed, so "
                "nothing may be drawn at random, and files must come in a fixed order (sorted)"
            )


def labels_fit(subject: Subject[Dataset]) -> None:
    """Look at the labels from all over the dataset."""
    source = _opened(subject)
    if not _whole(source.classes) or source.classes < 0:
        raise ContractError(f"classes is {source.classes!r}: it is the number of class labels, 0 where there are none")
    for index in _some(source, LISTED) if source.classes else ():
        label = source.label(index)
        if not _whole(label) or not 0 <= label < source.classes:
            raise ContractError(
                f"the label of picture {index} is {label!r}, but there are {source.classes} classes: labels are whole "
                f"numbers from 0 to {source.classes - 1}"
            )


def names_classes(subject: Subject[Dataset]) -> None:
    """Look at the names of all classes."""
    source, seen = _opened(subject), dict[str, int]()
    if not source.class_names:
        return  # they are called by their numbers
    if isinstance(source.class_names, str) or len(source.class_names) != source.classes:
        raise ContractError(
            f"class_names is {shown(source.class_names)}, but there are {source.classes} classes: give a sequence "
            "with a name for each, in the order of their numbers, or leave it empty"
        )
    for number, name in enumerate(source.class_names):
        if not is_name(name):
            raise ContractError(
                f"class {number} has the name {shown(name)}: a name is one printable line of up to {NAME_LETTERS} "
                "letters; ganlab.printable makes one of any text"
            )
        if seen.setdefault(name, number) != number:
            raise ContractError(
                f"classes {seen[name]} and {number} are both called {name}: a class is asked for by its name, so give "
                "each one of its own"
            )


def names_pictures(subject: Subject[Dataset]) -> None:
    """Look at the names from all over the dataset."""
    source, seen = _opened(subject), dict[str, int]()
    for index in _some(source, LISTED):
        name = source.name(index)
        if not isinstance(name, str) or not name.strip():
            raise ContractError(f"picture {index} has the name {name!r}: name it as a person would, by file or number")
        if name in seen:
            raise ContractError(
                f"pictures {seen[name]} and {index} are both called {name}: a bad picture is reported by its name, so "
                "add the folder or the number"
            )
        seen[name] = index


def packs(subject: Subject[Dataset]) -> None:
    """Pack pictures with several threads, and compare with what one thread reads."""
    source, dataset = _opened(subject), subject.make()
    expected = [pixels for _, pixels, error in _decoded(source, dataset) if error is None]
    excerpt = Excerpt(**{name: dict(dataset)[name] for name in Dataset.model_fields})
    excerpt._source = Part(dataset.open(), _some(source, PICTURES))
    remedy = "several threads call image() at a time, so open a file in each call, or lock what is shared"
    with own_folder():
        try:
            packed = pack(excerpt, "contract", lambda what, done, total: None)
        except DataError as error:
            reason = " ".join(str(error).split()).replace('of dataset "contract" ', "")
            raise ContractError(f"{reason}. One thread alone can read them: {remedy}") from error
        if len(packed.images) != len(expected) or not np.array_equal(packed.images, np.array(expected)):
            raise ContractError(f"packed by several threads, pictures differ from what one thread reads: {remedy}")


def decodes_elsewhere(subject: Subject[Dataset]) -> None:
    """Let another process decode the files of pictures, and compare with what this one decodes."""
    source = _opened(subject)
    target, places = target_of(subject.make(), source.box), _some(source, APART)
    for index in places:
        data: object = source.encoded(index)
        if data is not None and not isinstance(data, bytes):
            raise ContractError(
                f"encoded({index}) gives {shown(data)}: give the bytes of the picture's file, or None to decode in one "
                "process only"
            )
    with closing(Workers(source, target, "contract")) as workers:
        workers.start(1)
        for span in (range(index, index + 1) for index in places):
            here, there = decode_chunk(source, target, "contract", span), workers.decode(span)
            if here.bad != there.bad or not np.array_equal(here.pixels, there.pixels):
                said = [reason for _, reason in there.bad]
                raise ContractError(
                    f"encoded({span[0]}) is another picture than image({span[0]})"
                    + (f", which {said[0]}" if said and not here.bad else "")
                    + ": image() is to return ganlab.open_picture(self.encoded(index)), uncut; what is to be cut "
                    "out is the source's box"
                )


CHECKS = (
    Check("sized", "It says how many pictures there are, the same each time.", is_sized, ("defaults",)),
    Check("sources", "The files that it depends on are there.", states_its_sources, ("sized",)),
    Check("pictures", "Its pictures can be decoded.", decodes, ("sized",)),
    Check("repeatable", "Its pictures are the same each time.", repeats, ("pictures",)),
    Check("labels", "Its labels lie in the range of its classes.", labels_fit, ("sized",)),
    Check("classes", "Each class has a name of its own, or none has one.", names_classes, ("labels",)),
    Check("names", "Each picture has a name of its own.", names_pictures, ("sized",)),
    Check("packing", "Several threads read what one thread reads.", packs, ("repeatable", "classes", "names")),
    Check("encoded", "Other processes decode what this one does.", decodes_elsewhere, ("packing",)),
)


@lru_cache(maxsize=8)
def _opened(subject: Subject[Dataset]) -> Source:
    try:
        source: object = subject.make().open()
    except DataError as error:
        raise ContractError(
            f"it finds no pictures here: {error}. Say where some are, contract(..., options=[{{...}}]), or "
            "--set KEY=VALUE on the command line"
        ) from error
    if not isinstance(source, Source):
        raise ContractError(f"open() returns a {type(source).__name__}: return a ganlab.Source, which has a length")
    return source


class _Decoded(NamedTuple):
    """A picture's place, and its pixels or what was raised."""

    place: int
    pixels: Pixels | None
    error: Exception | None


def _decoded(source: Source, dataset: Dataset) -> Iterator[_Decoded]:
    target = target_of(dataset, source.box)
    for index in _some(source, PICTURES):
        try:
            yield _Decoded(index, decode(source.image(index), target), None)
        # A stranger's code, and PIL's parsers.
        except Exception as error:  # noqa: BLE001
            yield _Decoded(index, None, error)


def _some(source: Source, count: int) -> list[int]:
    """Return at most so many places, spread evenly, the first and the last among them."""
    return sorted({int(index) for index in np.linspace(0, len(source) - 1, min(count, len(source)))})


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
