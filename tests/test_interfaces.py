"""What a plugin implements: tables of options that are checked and frozen, and what comes with them by default."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ganlab import Augmentation, Dataset, Exporter, ImageSpec, Loss, Metric, Model, Observer, Optimizer, Source
from ganlab.interfaces import Component, Options, Size, image_spec, size_pair


class Table(Options):
    """A table."""

    count: int = 1
    """How many."""
    size: Size = 8
    """How large."""
    root: Path = Path("x")
    """Where."""


def test_options_are_frozen_strict_and_documented() -> None:
    table = Table(count=3)
    with pytest.raises(ValidationError, match="frozen"):
        table.count = 4  # type: ignore[misc]
    for wrong in ({"count": "3"}, {"count": True}, {"cuont": 3}, {"size": 0}, {"size": (1, 2, 3)}, {"size": 1.5}):
        with pytest.raises(ValidationError):
            Table(**wrong)
    assert [field.description for field in Table.model_fields.values()] == ["How many.", "How large.", "Where."]
    assert Table.model_validate_json('{"size": [4, 6], "root": "a"}') == Table(size=(4, 6), root=Path("a"))
    with pytest.raises(ValidationError):
        Table.model_validate_json('{"count": NaN}')


@pytest.mark.parametrize(
    ("kind", "methods"),
    [
        (Model, {"check", "build"}),
        (Dataset, {"sources", "open"}),
        (Loss, {"updates"}),
        (Augmentation, {"augment"}),
        (Optimizer, {"state", "step"}),
        (Exporter, {"export", "run", "read_metadata"}),
        (Observer, set()),
        (Metric, {"compute"}),
        (Source, {"__len__", "image", "name"}),
    ],
)
def test_a_kind_says_what_must_be_defined(kind: type, methods: set[str]) -> None:
    assert getattr(kind, "__abstractmethods__", frozenset()) == methods
    if methods:
        with pytest.raises(TypeError, match="abstract"):
            kind()
    assert issubclass(kind, Component) or kind is Source


class Plain(Loss):
    """A loss."""

    api = 1

    def updates(self, networks: Any, batches: Any, iteration: Any) -> Iterator[Any]:
        yield


def test_what_a_plugin_does_not_say_is_the_usual() -> None:
    assert Model.networks == Plain.networks == ("generator", "discriminator")
    assert Model.conditional is False
    assert Plain().period == 1
    assert Exporter.tolerance == Model.export_tolerance == 1e-5


class Numbered(Source):
    """A source that has forgotten its labels."""

    classes = 3

    def __len__(self) -> int:
        return 1

    def image(self, index: int) -> Any:
        raise NotImplementedError

    def name(self, index: int) -> str:
        return "one"


def test_a_source_with_classes_must_define_labels() -> None:
    with pytest.raises(NotImplementedError, match=r"^Numbered states 3 classes and must define label\(\)$"):
        Numbered().label(0)


class Pictures(Dataset):
    """A dataset."""

    api = 1

    def sources(self) -> Iterable[Path]:
        return []

    def open(self) -> Source:
        return Numbered()


def test_the_shape_of_the_pictures_is_written_once() -> None:
    assert size_pair(8) == (8, 8)
    assert size_pair((4, 6)) == (4, 6)
    assert image_spec(Pictures()) == ImageSpec(3, 64, 64, 0)
    assert image_spec(Pictures(resolution=(4, 6), channels=1), 10) == (1, 4, 6, 10)


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        ("background", ["#ffffff", "#0aF3c9"], ["ffffff", "#fff", "#gggggg", "#ffffff "]),
        ("crop", ["center", "none", 8, (8, 6)], ["middle", 0, (8,), (8, 0)]),
        ("on_bad", ["error", "skip"], ["stop"]),
        ("channels", [1, 3, 4], [0, -1]),
        ("max_pixels", [1], [0]),
        ("range", ["full", "data", (0, 4095), (-1.5, 2)], ["12 bits", (4095, 0), (1, 1), (0,), (0, float("nan")), 8]),
    ],
)
def test_options_of_every_dataset_have_their_bounds(option: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert getattr(Pictures(**{option: value}), option) == value
    for value in bad:
        with pytest.raises(ValidationError):
            Pictures(**{option: value})
