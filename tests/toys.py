"""Small components and recipes for tests."""

from __future__ import annotations

from typing import Any

from ganlab.testing import Stripes as Stripes
from ganlab.testing import tiny_recipe


def falling(after: float, start: float = 2e-4) -> dict[str, Any]:
    """Return the schedule of a number that falls to 0 from a share of the training on."""
    return {"from": start, "to": 0.0, "after": after, "progress": 1.0 - after}


def tiny(**tables: Any) -> dict[str, Any]:
    """Return the recipe of `ganlab.testing` with tables extended or replaced."""
    return tiny_recipe(tables)
