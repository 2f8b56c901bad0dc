"""A component with its options, and how what it raises is told to its author."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from breaking import Good
from pydantic import PositiveInt, ValidationError
from torch import Tensor, nn

from ganlab import Augmentation, DataError, PluginError
from ganlab.registry import registry
from ganlab.testing import ContractError, Subject
from ganlab.testing.subject import copied, described, registered


class Placed(Augmentation):
    """Has a path, a pair and a number."""

    api = 1
    place: Path = Path("a")
    """Where."""
    size: tuple[PositiveInt, PositiveInt] = (1, 2)
    """How large."""
    _calls: int = 0

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        self._calls += 1
        return images


def test_options_are_read_as_those_of_a_recipe_are() -> None:
    made = Subject("augmentation", Placed, {"place": Path("b/c"), "size": [3, 4]}).make()
    assert (made.place, made.size) == (Path("b/c"), (3, 4))
    with pytest.raises(ValidationError, match="size"):
        Subject("augmentation", Placed, {"size": [3, 0]}).make()
    with pytest.raises(ValidationError, match="sise"):
        Subject("augmentation", Placed, {"sise": [3, 4]}).make()


def test_a_copy_has_the_options_and_no_memory() -> None:
    component = Placed(place=Path("b"))
    component._calls = 3
    again = copied(component)
    assert again == Placed(place=Path("b"))
    assert again._calls == 0


def test_a_class_has_a_name_only_meanwhile() -> None:
    with registered("model", Good) as name:
        assert registry.get("model", name) is Good
    with pytest.raises(PluginError, match="no model"):
        registry.get("model", name)


def fails() -> None:
    raise KeyError("of its author")


def test_an_exception_is_one_line_with_the_place_in_its_author_s_code() -> None:
    with pytest.raises(KeyError) as caught:
        fails()
    line = fails.__code__.co_firstlineno + 1
    assert described(caught.value, Placed) == f"KeyError: 'of its author' (test_subject.py:{line})"
    with pytest.raises(json.JSONDecodeError) as caught_below:
        json.loads("{")
    assert described(caught_below.value, Placed).startswith("JSONDecodeError: Expecting property name")
    assert "(test_subject.py:" in described(caught_below.value, Placed), "not where the library raised it"
    long = described(ValueError("two\nlines " * 200), Placed)
    assert long.startswith("ValueError: two lines two")
    assert long.endswith("...")
    assert len(long) == len("ValueError: ") + 400


def test_what_ganlab_says_is_said_as_it_is_and_options_are_named() -> None:
    for error in (ContractError("do this"), DataError("no pictures here")):
        assert described(error, Placed) == str(error)
    with pytest.raises(ValidationError) as caught:
        Placed(size=(0, -1))
    below_1 = "Input should be greater than 0"
    assert described(caught.value, Placed) == f"size.0: {below_1}; size.1: {below_1}"
