"""A recipe's nested tables as one table of dotted keys, and what two of them differ in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ganlab.messages import short
from ganlab.recipe.schedules import in_order, is_schedule
from ganlab.recipe.toml import dump_value

VALUE_LETTERS = 160
"""So many letters of a value are shown."""


class Pair(NamedTuple):
    """The values of one key in two tables; None where a table has no such key."""

    first: Any
    second: Any


def dotted(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as one, by dotted key. A schedule is one value, and so is an array."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and not is_schedule(value):
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.loads(json.dumps(value))  # tuples and lists are the same in a recipe
    return flat


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Pair]:
    """Return the keys whose values two nested tables do not have in common, in the order of the tables."""
    old, new = dotted(first), dotted(second)
    pairs = {key: Pair(old.get(key), new.get(key)) for key in (*old, *(key for key in new if key not in old))}
    return {key: pair for key, pair in pairs.items() if pair.first != pair.second}


def value_shown(value: Any) -> str:
    """Return a value as a recipe would hold it, shortened; `unset` for None."""
    try:
        return "unset" if value is None else short(dump_value(in_order(value)), VALUE_LETTERS)
    except TypeError:  # of a stranger's table
        return short(str(value), VALUE_LETTERS)
