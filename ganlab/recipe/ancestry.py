"""Which of the recipes that come with ganlab a recipe is or extends, and what it says otherwise than that."""

from __future__ import annotations

import os
from typing import NamedTuple

from ganlab.errors import GanlabError
from ganlab.recipe.compose import shipped_recipes
from ganlab.recipe.keys import dotted, value_shown
from ganlab.recipe.recipe import Recipe, load_recipe

WATCHING = "observers."
"""What the keys begin with that only say how a run is watched."""
FOLLOWS = frozenset({"train.init_sha256"})
"""What no user writes: it follows from another key."""


class Descent(NamedTuple):
    """Where a recipe comes from."""

    shipped: str
    """The name of the nearest recipe that comes with ganlab."""
    changes: tuple[str, ...]
    """What is otherwise than in that one, as `key=value` texts, in the order of the recipe's tables."""


def descent_of(recipe: Recipe) -> Descent | None:
    """Return what a recipe has changed in the shipped one that it is or extends; None where there is none.

    Only what was written counts, in files and in overrides: another component's defaults follow from its name. Nor does
    what only watches.
    """
    shipped = {os.path.realpath(path): path for path in shipped_recipes()}
    file = next((shipped[real] for path in recipe.files if (real := os.path.realpath(path)) in shipped), None)
    if file is None:
        return None
    try:
        before = dotted(load_recipe(file).table)
    except GanlabError:  # it needs a plugin that is not there, for a component that this one has replaced
        return None
    now = dotted(recipe.table)
    written = {*dotted(recipe.written), *(text.partition("=")[0].strip() for text in recipe.overrides)}
    changed = [
        key
        for key in now
        if key in written and now[key] != before.get(key) and not key.startswith(WATCHING) and key not in FOLLOWS
    ]
    return Descent(file.stem, tuple(f"{key}={value_shown(now[key])}" for key in changed))
