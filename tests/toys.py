"""Small components and recipes for tests."""

from __future__ import annotations

from typing import Any

from ganlab.testing import Stripes as Stripes
from ganlab.testing import tiny_recipe


def tiny(**tables: Any) -> dict[str, Any]:
    """Return the recipe of `ganlab.testing` with tables extended or replaced."""
    return tiny_recipe(tables)
