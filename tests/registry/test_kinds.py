"""The one table of kinds: nothing else has to be told of a kind."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args

import ganlab
from ganlab import interfaces
from ganlab.registry.kinds import DECISIVE, KINDS, Kind

SOURCE = Path(ganlab.__file__).parent


def test_the_table_has_every_kind_of_component() -> None:
    derived = [
        name
        for name, cls in inspect.getmembers(interfaces, inspect.isclass)
        if issubclass(cls, interfaces.Component) and cls is not interfaces.Component
    ]
    assert sorted(traits.base for traits in KINDS.values()) == sorted(derived)
    assert get_args(Kind) == tuple(KINDS)


def test_nowhere_else_the_kinds_are_listed() -> None:
    """Four of them in a row are a list that would have to be kept; `culprit` orders three by likelihood."""
    names = "|".join(KINDS)
    listed = re.compile(rf'(?:"(?:{names})"[^"\w]*){{4}}')
    found = [path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if listed.search(path.read_text())]
    assert found == ["registry/kinds.py"]


def test_what_decides_the_result_has_a_table_in_the_recipe() -> None:
    from ganlab.recipe.recipe import TABLES

    assert TABLES[: len(DECISIVE)] == DECISIVE
    assert not set(TABLES) & (set(KINDS) - set(DECISIVE))
