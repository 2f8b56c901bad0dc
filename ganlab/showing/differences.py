"""In what the recipes of several runs differ: keys with equal values say nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ganlab.recipe.keys import dotted, value_shown

WATCHING = "observers"
"""The table that only says how a run is watched."""


class Difference(NamedTuple):
    """A key that is not the same in all recipes."""

    key: str
    values: Sequence[str]
    """That of each recipe."""


def differences(recipes: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Return in what recipes differ; how the runs are watched is left out."""
    flat = [dotted({key: value for key, value in recipe.items() if key != WATCHING}) for recipe in recipes]
    keys = dict.fromkeys(key for table in flat for key in table)
    found = (Difference(key, [value_shown(table.get(key)) for table in flat]) for key in keys)
    return [one for one in found if len(set(one.values)) > 1]
