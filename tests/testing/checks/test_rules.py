"""The checks of every kind, each against a component that breaks it and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from breaking import Break, assert_breaks_only_its_check, failures, named, suite
from pydantic import ConfigDict, Field, PositiveInt, field_validator, model_validator
from torch import Tensor, nn

from ganlab import Augmentation, ImageSpec, Model, PluginError
from ganlab.registry import Registry
from ganlab.testing.checks import rules
from ganlab.testing.import_effects import Found


class Good(Augmentation):
    """Changes nothing."""

    api = 1
    size: PositiveInt | tuple[PositiveInt, PositiveInt] = 4
    """A number, or two."""
    mode: str | None = None
    """A word, or none."""
    flag: bool = False
    """Yes or no."""
    path: Path = Path("a/b")
    """Where something lies."""

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images * 1.0


class Ageless(Good):
    """States no api."""


class Named(Good):
    """Has an option that recipes use for something else."""

    api = 1
    name: str = "me"
    """What it is called."""


class Zero(Good):
    """Has a default that its own type refuses."""

    api = 1
    count: PositiveInt = 0
    """How many."""


class Contradicting(Good):
    """Has defaults that do not go together."""

    api = 1
    least: int = 3
    """The smallest."""
    most: int = 2
    """The largest."""

    @model_validator(mode="after")
    def _in_order(self) -> Contradicting:
        if self.least > self.most:
            raise ValueError("least must not be above most")
        return self


class Undocumented(Good):
    """Has an option that nobody explains."""

    api = 1
    strength: float = 1.0


class Wordless(Good):
    api = 1


class Vanishing(Good):
    """Has a None that a recipe cannot hold, beside a default."""

    api = 1
    limit: float | None = 0.5
    """At most this; None is without limit."""


class Halving(Good):
    """Reads half of what it writes."""

    api = 1
    share: float = 0.5
    """A share."""

    @field_validator("share")
    @classmethod
    def _halved(cls, value: float) -> float:
        return value / 2


class Lax(Good):
    """Takes text for numbers."""

    api = 1
    model_config: ClassVar[ConfigDict] = ConfigDict(strict=False)


class Open(Good):
    """Takes any option."""

    api = 1
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")


class Anything(Good):
    """Has an option without a type."""

    api = 1
    extra: Any = None
    """Whatever."""


class Falling(Good):
    """Has a validator that breaks down."""

    api = 1
    mapping: str = "identity"
    """One of two words."""

    @field_validator("mapping")
    @classmethod
    def _known(cls, value: str) -> str:
        return {"identity": "identity", "none": "none"}[value]


class Worded(Model):
    """Draws z from a distribution that the host does not know."""

    api = 1
    needed: int
    """What has no default does not keep the others from being looked at."""
    latent: str = "normal"  # type: ignore[assignment]  # which is what is wrong
    """Any word."""

    def check(self, images: ImageSpec) -> None: ...

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {}


class Numbered(Worded):
    """Has a latent of any length, 0 and less included."""

    api = 1
    latent: Literal["normal"] = "normal"
    """Less than the host knows."""
    latent_dim: int = 4
    """Any number."""


class Narrow(Numbered):
    """Accepts less than every model does."""

    api = 1
    latent_dim: Annotated[int, Field(ge=2, le=8)] = 4
    """A few."""


NEEDED = {"options": [{"needed": 1}]}
BREAKS = [
    Break("rules", Worded, 'its option latent accepts "contract", which that of ganlab.Model does not: leave', NEEDED),
    Break("rules", Numbered, "Numbered: its option latent_dim accepts -1, which that of ganlab.Model does not", NEEDED),
    Break("rules", Ageless, "augmentation Ageless must state `api = 1` in the body of its class Ageless"),
    Break("rules", Named, 'has an option "name"; that key names the component itself'),
    Break("defaults", Zero, "the default of count, 0, is not a whole number above 0: change the default or the type"),
    Break("defaults", Contradicting, "options: least must not be above most"),
    Break("defaults", Good, "options: size = 0: must be a whole number above 0, or an", {"options": [{"size": 0}]}),
    Break("defaults", Good, "sice is not an option of augmentation Good; did you mean", {"options": [{"sice": 1}]}),
    Break("documentation", Undocumented, "strength is not documented: write a string below the option"),
    Break("documentation", Wordless, "Wordless has no docstring: say in its first sentence what it is"),
    Break("round_trip", Vanishing, "limit = None comes back from a recipe as 0.5: in a recipe nothing is unset but"),
    Break("round_trip", Halving, "comes back from a recipe as", {"options": [{"share": 0.5}]}),
    Break("refusals", Lax, "model_config changes strict: leave that to ganlab, so that mistakes are found"),
    Break("refusals", Open, "model_config changes extra"),
    Break("refusals", Anything, "extra accepts anything, a text, true, a number, an array, a table: give it a type"),
    Break("refusals", Falling, 'a validator raises KeyError over mapping = "contract": raise ValueError with a'),
]


@pytest.mark.parametrize("broken", BREAKS, ids=named)
def test_a_broken_component_fails_one_check_that_says_what_to_change(broken: Break) -> None:
    assert_breaks_only_its_check(broken)


def test_an_option_of_all_models_may_be_narrowed() -> None:
    assert suite(Narrow, [{"needed": 1}]).outcome("rules").verdict == "passed"


def test_a_run_is_refused_what_it_could_not_ship() -> None:
    registry = Registry()
    registry.scan(lambda distribution: False)
    with pytest.raises(PluginError, match=r'^model "worded" \(this process\): its option latent accepts "contract"'):
        registry.add("model", "worded", Worded)


def test_every_check_has_a_component_that_breaks_it() -> None:
    assert {broken.check for broken in BREAKS} | {"import"} == {check.name for check in rules.CHECKS}


def test_a_good_component_passes_every_check() -> None:
    assert failures(Good) == {}
    assert failures(Good, options=[{"size": [3, 4], "mode": 'a "word"\n'}, {"path": Path("/tmp"), "flag": True}]) == {}


def test_of_several_sets_of_options_the_broken_one_is_named() -> None:
    found = failures(Good, options=[{"size": 3}, {"size": -1}])
    assert list(found) == ["defaults"]
    assert found["defaults"].startswith("with {'size': -1}: options: size = -1: must be a whole number")


# Imports


def imported(name: str) -> type[Good]:
    """Return a component that says it lies in the module of this name."""

    class Toy(Good):
        """Changes nothing."""

        api = 1

    Toy.__module__ = name
    return Toy


def test_an_import_with_effects_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "imported_loudly.py").write_text("import os; os.chdir('/'); print('hello')\n")
    found = failures(imported("imported_loudly"), ["import"])
    assert list(found) == ["import"], found
    assert found["import"] == (
        "importing imported_loudly changes the current directory and prints: a module only defines things; whatever "
        "is done belongs into the methods that ganlab calls"
    )


def test_importing_torch_at_the_top_is_advised_against() -> None:
    assert rules.advice("toy", Found(torch=True, effects=())) == (
        "importing toy imports torch, which makes `ganlab recipes check` wait for seconds: import torch in the "
        "methods that need it, and networks in build()"
    )


def test_a_quiet_module_passes_and_one_without_a_name_is_not_checked() -> None:
    before = dict(os.environ)
    assert suite(imported("ganlab.interfaces")).outcome("import").verdict == "passed"
    assert dict(os.environ) == before
    nameless = suite(imported("__notebook__")).outcome("import")
    assert nameless.advice.startswith("not checked: no other process can import __notebook__")
