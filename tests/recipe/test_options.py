"""What an option accepts, in words."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from ganlab.interfaces import Colour, Dataset, Options, Size
from ganlab.recipe.options import REQUIRED, UNSET, Option, choices, default_text, describe, options_of, snippet
from ganlab.recipe.recipe import make_component, parse_recipe
from ganlab.recipe.toml import parse
from ganlab.registry import registry
from ganlab.registry.entry_points import Provider


class Inner(Options):
    """A table in a table."""

    width: int = 1


class Everything(Options):
    """One option of each type that has words of its own."""

    positive: PositiveInt
    size: Size
    fraction: Annotated[float, Field(ge=0, lt=1)] | None = None
    probability: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    inside: Annotated[float, Field(gt=0, lt=1)] = 0.5
    upper: Annotated[float, Field(gt=0, le=1)] = 1.0
    not_negative: NonNegativeFloat = 0.0
    small: Annotated[float, Field(lt=1e10)] = 1e-300
    step: Annotated[int, Field(multiple_of=8, ge=8)] = 8
    text: str = "a\n"
    some_text: Annotated[str, Field(min_length=1)] = "a"
    colour: Colour = "#000000"
    code: Annotated[str, Field(pattern="^[a-z]$")] = "a"
    example: Annotated[str, Field(pattern="^[a-z]$", examples=["a", "b"])] = "a"
    path: Path = Path("a/b")
    choice: Literal["one", "two", "three"] = "one"
    mixed: Literal["auto"] | PositiveFloat = "auto"
    numbers: Literal[1, 2] = 1
    flag: bool = True
    pair: tuple[int, str] = (1, "a")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.5, 0.999)
    many: tuple[PositiveInt, ...] = ()
    few: Annotated[list[int], Field(min_length=1, max_length=3)] = [1]  # noqa: RUF012  # pydantic copies it
    triple: Annotated[list[int], Field(min_length=3, max_length=3)] = [1, 2, 3]  # noqa: RUF012
    paths: list[Path] = []  # noqa: RUF012
    colours: list[Colour] = []  # noqa: RUF012
    table: dict[str, float] = {}  # noqa: RUF012
    inner: Inner | None = None
    always: Inner = Inner()
    anything: Any = 3
    function: Callable[[int], int] | None = None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("positive", "a whole number above 0"),
        ("size", "a whole number above 0, or an array of two whole numbers above 0"),
        ("fraction", "a number from 0 to below 1"),
        ("probability", "a number from 0 to 1"),
        ("inside", "a number above 0 and below 1"),
        ("upper", "a number above 0 up to 1"),
        ("not_negative", "a number of at least 0"),
        ("small", "a number below 10000000000"),
        ("step", "a whole number of at least 8, a multiple of 8"),
        ("text", "text"),
        ("some_text", "text that is not empty"),
        ("colour", 'a colour such as "#ffffff"'),
        ("code", "text of the form ^[a-z]$"),
        ("example", 'text such as "a" or "b"'),
        ("path", "a path"),
        ("choice", '"one", "two" or "three"'),
        ("mixed", '"auto", or a number above 0'),
        ("numbers", "1 or 2"),
        ("flag", "true or false"),
        ("pair", "an array of a whole number and text"),
        ("betas", "an array of two numbers from 0 to below 1"),
        ("many", "an array of whole numbers above 0"),
        ("few", "an array of one to three whole numbers"),
        ("triple", "an array of three whole numbers"),
        ("paths", "an array of paths"),
        ("colours", 'an array of values, each a colour such as "#ffffff"'),
        ("table", "a table"),
        ("inner", "a table"),
        ("always", "a table"),
        ("anything", "any value"),
        ("function", "any value"),
    ],
)
def test_what_is_accepted(name: str, words: str) -> None:
    assert describe(Everything, name) == words


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("positive", REQUIRED),
        ("fraction", UNSET),
        ("text", '"a\\n"'),
        ("small", "1e-300"),
        ("flag", "true"),
        ("path", '"a/b"'),
        ("betas", "[0.5, 0.999]"),
        ("always", "{ width = 1 }"),
        ("table", "{}"),
    ],
)
def test_defaults_are_written_as_in_a_recipe(name: str, text: str) -> None:
    assert default_text(Everything, name) == text


def test_choices_are_the_texts_among_what_is_accepted() -> None:
    assert choices(Everything, "choice") == ["one", "two", "three"]
    assert choices(Everything, "mixed") == ["auto"]
    assert choices(Everything, "numbers") == []
    assert choices(Dataset, "crop") == ["center", "none"]


def test_options_come_with_their_documentation_on_one_line() -> None:
    found = {option.name: option for option in options_of(Dataset)}
    assert list(found) == list(Dataset.model_fields)
    assert found["channels"] == Option(
        "channels", "a whole number above 0", "3", "1 for greyscale, 3 for RGB, 4 for RGBA."
    )
    assert "\n" not in found["crop"].doc


@pytest.mark.parametrize("provider", [who for who in registry.providers() if who.distribution == "ganlab"], ids=str)
def test_a_snippet_gives_the_defaults(provider: Provider) -> None:
    kind, name = provider[:2]
    cls = registry.get(kind, name)
    text = snippet(provider, cls, name)
    if kind == "metric":
        assert text.startswith(f"ganlab evaluate --metrics {name}")
        command, _, tables = text.partition("\n")
        settings = [word.removeprefix(f"{name}.") for word in shlex.split(command)[5::2]]
        assert make_component(kind, name, settings) == cls()
        assert parse_recipe({"dataset": {"name": "stripes"}, **parse(tables).table}).metrics == {name: cls()}
        return
    if kind == "exporter":
        settings = [word.strip("'") for word in text.split(" ") if word.startswith("'")]
        assert text.startswith(f"ganlab export --to {name}")
        assert make_component(kind, name, settings) == cls()
        return
    required = {option.name: "somewhere" for option in options_of(cls) if option.default == REQUIRED}
    expected = cls.model_validate_json(json.dumps(required))
    table = parse(text).table
    if kind == "observer":
        assert parse_recipe({"dataset": {"name": "stripes"}, **table}).observers[name] == expected
        return
    table[kind] |= required
    recipe = parse_recipe({"dataset": {"name": "stripes"}, **table})
    assert recipe.components[kind] == expected
    written = {option.name for option in options_of(cls) if option.default not in (REQUIRED, UNSET)}
    assert table[kind].keys() == {"name", *required, *written}
