"""What ganlab calls things ▶ what MLflow takes: names of metrics, and a recipe as parameters."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

NAME_BYTES = 250
"""The longest name that MLflow takes."""
VALUE_LENGTH = 500
"""The longest value of a parameter that every MLflow server from version 1.28 on takes."""


def is_name(text: str) -> bool:
    """Tell whether MLflow takes a name as it is."""
    return text == _cleaned(text)


def metric_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return what MLflow is to call each of these statistics: `D_G_z` for `D(G(z))`; no two have one name.

    A statistic that has one of the names in `taken`, which are others', or lies below one, gets `stat_` before its own.
    """
    others = tuple(taken)
    wanted = {}
    for name in names:
        hides = name in others or name.startswith(tuple(f"{other}/" for other in others))
        wanted[name] = f"stat_{name}" if hides else name
    found: dict[str, str] = {}
    given = set(others)
    # Those that may stay as they are come first, so that none of them changes because of another.
    for name, want in sorted(wanted.items(), key=lambda item: not is_name(item[1])):
        free, number = _cleaned(want), 1
        while free in given:
            number += 1
            free = f"{_cleaned(want)[: NAME_BYTES // 4 - 10]}_{number}"  # a letter has up to 4 bytes
        given.add(free)
        found[name] = free
    return found


def parameters(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return a recipe's options by their dotted names, but for those of observers, which decide nothing."""
    decisive = {key: value for key, value in recipe.items() if key != "observers"}
    options = dict(_flat(decisive, ""))
    names = metric_names(options)
    return {names[key]: shortened(value) for key, value in options.items()}


def shortened(text: str) -> str:
    """Return a value that is short enough for MLflow."""
    return text if len(text) <= VALUE_LENGTH else f"{text[: VALUE_LENGTH - 4]} ..."


def _flat(table: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cleaned(name: str) -> str:
    """Return the name itself where MLflow takes it, else the nearest that it takes.

    MLflow's folders keep a metric in a file of its name: it must be a path that leads nowhere else.
    """
    kept = name.encode(errors="replace")[:NAME_BYTES].decode(errors="ignore")
    plain = re.sub(r"[^\w.\- :/]+", "_", kept)
    if plain != name:
        plain = plain.rstrip("_")
    if posixpath.normpath(plain) != plain or plain == "." or plain.startswith(("/", "..")):
        plain = plain.replace("/", "_").lstrip(".")
    return plain or "_"
