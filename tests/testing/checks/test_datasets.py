"""The checks of datasets, each against a dataset that breaks it and nothing else."""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from breaking import Break, assert_breaks_only_its_check, failures, named, suite
from pydantic import PositiveInt
from stand_ins import pictures, png_bytes

from ganlab import DataError, Dataset, Source
from ganlab.testing.checks import datasets

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

PIXELS = pictures(100, 8, 8)


class Pictures(Source):
    """A hundred pictures of three classes, with places to break them."""

    classes = 3
    class_names: Any = ("cat", "dog", "fox")

    def __len__(self) -> int:
        return len(PIXELS)

    def image(self, index: int) -> Any:
        return PIXELS[index]

    def name(self, index: int) -> str:
        return f"picture {index}"

    def label(self, index: int) -> Any:
        return index % 3


class Good(Dataset):
    """A dataset that breaks nothing."""

    api = 1
    resolution: PositiveInt = 8
    """Height and width."""

    def sources(self) -> Iterable[Path]:
        return [Path(__file__)]

    def open(self) -> Source:
        return Pictures()


class Empty(Good):
    """Has no pictures."""

    api = 1

    def open(self) -> Source:
        class Nothing(Pictures):
            def __len__(self) -> int:
                return 0

        return Nothing()


class Lost(Good):
    """Does not find its pictures."""

    api = 1

    def open(self) -> Source:
        raise DataError("no pictures in data/lost")


class Listed(Good):
    """Opens a list."""

    api = 1

    def open(self) -> Any:
        return list(PIXELS)


LENGTHS = itertools.count(50)


class Growing(Good):
    """Has one more picture each time it is opened."""

    api = 1

    def open(self) -> Source:
        length = next(LENGTHS)

        class More(Pictures):
            def __len__(self) -> int:
                return length

        return More()


class Absent(Good):
    """Depends on a file that is not there."""

    api = 1

    def sources(self) -> Iterable[Path]:
        return [Path("nowhere/data.zip")]


class Textual(Good):
    """Names its sources as text."""

    api = 1

    def sources(self) -> Iterable[Any]:
        return [__file__]


class Floating(Good):
    """Gives numbers between 0 and 1."""

    api = 1

    def open(self) -> Source:
        class Floats(Pictures):
            def image(self, index: int) -> Any:
                return PIXELS[index] / 255.0

        return Floats()


class Augmented(Good):
    """Mirrors pictures at random."""

    api = 1

    def open(self) -> Source:
        class Flips(Pictures):
            def image(self, index: int) -> Any:
                return PIXELS[index] ^ os.urandom(1)[0]

        return Flips()


class Unsorted(Good):
    """Finds its pictures in another order each time."""

    api = 1

    def open(self) -> Source:
        start = next(LENGTHS)

        class Turned(Pictures):
            def image(self, index: int) -> Any:
                return PIXELS[(start + index) % len(PIXELS)]

        return Turned()


class OneBased(Good):
    """Counts its classes from 1."""

    api = 1

    def open(self) -> Source:
        class FromOne(Pictures):
            def label(self, index: int) -> Any:
                return 1 + index % 3

        return FromOne()


class Fractional(Good):
    """Has labels that are no whole numbers."""

    api = 1

    def open(self) -> Source:
        class Fractions(Pictures):
            def label(self, index: int) -> Any:
                return (index % 3) / 1.0

        return Fractions()


class Short(Good):
    """Names two of its three classes."""

    api = 1

    def open(self) -> Source:
        class Two(Pictures):
            class_names = ("cat", "dog")

        return Two()


class Spelled(Good):
    """Gives a text of three letters for the names of three classes."""

    api = 1

    def open(self) -> Source:
        class Text(Pictures):
            class_names = "cat"

        return Text()


class Twins(Good):
    """Calls two classes the same."""

    api = 1

    def open(self) -> Source:
        class Cats(Pictures):
            class_names = ("cat", "dog", "cat")

        return Cats()


class Colourful(Good):
    """Has a name that colours a terminal."""

    api = 1

    def open(self) -> Source:
        class Red(Pictures):
            class_names = ("cat", "dog", "\x1b[31mfox")

        return Red()


class Counted(Good):
    """Has numbers for names."""

    api = 1

    def open(self) -> Source:
        class Numbers(Pictures):
            class_names: Any = (0, 1, 2)

        return Numbers()


class Nameless(Good):
    """Calls all pictures the same."""

    api = 1

    def open(self) -> Source:
        class Same(Pictures):
            def name(self, index: int) -> str:
                return "picture"

        return Same()


class Numbered(Good):
    """Gives a number for a name."""

    api = 1

    def open(self) -> Source:
        class Numbers(Pictures):
            def name(self, index: int) -> Any:
                return index

        return Numbers()


class Threaded(Good):
    """Reads from a connection that only the thread may use that has opened it."""

    api = 1

    def open(self) -> Source:
        connection = sqlite3.connect(":memory:")
        connection.execute("create table pictures (pixels blob)")

        class Rows(Pictures):
            def image(self, index: int) -> Any:
                connection.execute("select count(*) from pictures").fetchone()
                return PIXELS[index]

        return Rows()


class Wavering(Good):
    """Gives other pixels to other threads."""

    api = 1

    def open(self) -> Source:
        class Strange(Pictures):
            def image(self, index: int) -> Any:
                return PIXELS[index] ^ (threading.current_thread() is not threading.main_thread())

        return Strange()


class Pathlike(Good):
    """Gives paths for files."""

    api = 1

    def open(self) -> Source:
        class Paths(Pictures):
            def encoded(self, index: int) -> Any:
                return "pictures/0.png"

        return Paths()


class Shifted(Good):
    """Gives the file of its first picture for every one."""

    api = 1

    def open(self) -> Source:
        class First(Pictures):
            def encoded(self, index: int) -> bytes | None:
                return png_bytes(PIXELS[0])

        return First()


class Raw(Good):
    """Gives pixels that are no file."""

    api = 1

    def open(self) -> Source:
        class Bytes(Pictures):
            def encoded(self, index: int) -> bytes | None:
                return PIXELS[index].tobytes()

        return Bytes()


BREAKS = [
    Break("sized", Empty, "it opens a source without pictures: raise DataError that says where they were sought"),
    Break("sized", Lost, "it finds no pictures here: no pictures in data/lost. Say where some are, contract(...,"),
    Break("sized", Listed, "open() returns a list: return a ganlab.Source, which has a length"),
    Break("sized", Growing, "when it is opened again"),
    Break("sources", Absent, "sources() names nowhere/data.zip, which is not there, so a change in the pictures would"),
    Break("sources", Textual, "give pathlib.Path objects"),
    Break("pictures", Floating, "picture 0 cannot be used: UnfitError: is an array (8, 8, 3) of float64"),
    Break("repeatable", Augmented, "picture 0 is another one when it is read again"),
    Break("repeatable", Unsorted, "files must come in a fixed order (sorted)"),
    Break("labels", OneBased, "the label of picture 2 is 3, but there are 3 classes: labels are whole numbers from 0"),
    Break("labels", Fractional, "the label of picture 0 is 0.0"),
    Break("classes", Short, "class_names is ('cat', 'dog'), but there are 3 classes: give a sequence with a name for"),
    Break("classes", Spelled, "class_names is 'cat', but there are 3 classes: give a sequence"),
    Break("classes", Twins, "classes 0 and 2 are both called cat: a class is asked for by its name"),
    Break("classes", Colourful, r"class 2 has the name '\x1b[31mfox': a name is one printable line of up to 200"),
    Break("classes", Counted, "class 0 has the name 0: a name is one printable line"),
    Break("names", Nameless, "pictures 0 and 1 are both called picture"),
    Break("names", Numbered, "picture 0 has the name 0: name it as a person would"),
    Break("packing", Threaded, "SQLite objects created in a thread can only be used in that same thread"),
    Break("encoded", Pathlike, "encoded(0) gives 'pictures/0.png': give the bytes of the picture's file, or None"),
    Break(
        "encoded", Shifted, "encoded(14) is another picture than image(14): image() is to return ganlab.open_picture("
    ),
    Break("encoded", Raw, "encoded(0) is another picture than image(0), which is not one of JPEG, PNG, WEBP"),
    Break("packing", Wavering, "packed by several threads, pictures differ from what one thread reads"),
]


@pytest.mark.parametrize("broken", BREAKS, ids=named)
def test_a_broken_dataset_fails_one_check_that_says_what_to_change(broken: Break) -> None:
    assert_breaks_only_its_check(broken)


def test_every_check_has_a_dataset_that_breaks_it() -> None:
    assert {broken.check for broken in BREAKS} == {check.name for check in datasets.CHECKS}


def test_a_good_dataset_passes_every_check_and_leaves_nothing_behind(tmp_path: Path) -> None:
    assert failures(Good) == {}
    assert failures(Good, options=[{"channels": 1, "resolution": 4}, {"crop": [6, 5], "flip": True}]) == {}
    assert list(tmp_path.iterdir()) == []
    assert os.environ["GANLAB_CACHE"] == str(tmp_path / "cache")


class Holey(Good):
    """Has pictures that cannot be read, and may leave them out."""

    api = 1

    def open(self) -> Source:
        class Holes(Pictures):
            def image(self, index: int) -> Any:
                if index % 10 == 0:
                    raise OSError("damaged")
                return PIXELS[index]

        return Holes()


def test_bad_pictures_are_allowed_where_they_are_skipped() -> None:
    assert failures(Holey, options=[{"on_bad": "skip"}]) == {}
    assert list(failures(Holey)) == ["pictures"]


def test_an_option_without_a_default_is_asked_for() -> None:
    class Rooted(Good):
        """Needs a folder."""

        api = 1
        root: Path
        """Where the pictures are."""

    found = failures(Rooted)
    assert list(found) == ["defaults"]
    assert found["defaults"].startswith("root has no default: give it one, or say what to check with: contract(")
    assert failures(Rooted, options=[{"root": Path("a/b")}]) == {}
    assert suite(Rooted).outcome("packing").verdict == "blocked"
