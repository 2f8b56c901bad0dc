"""Options that every component of a kind has: one may accept less for them, never more, for the host relies on them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from pydantic import ValidationError, create_model

from ganlab.interfaces import Component, Options

KINDS_OF_VALUES: tuple[object, ...] = ("contract", True, 3.5, [], {})
"""One of each kind of TOML: a type of another kind accepts one of them."""


def widened(
    cls: type[Component], base: type[Component], values: Iterable[object] = KINDS_OF_VALUES
) -> tuple[str, object] | None:
    """Return an option of `base` that `cls` declares anew, and one of `values` that it accepts by that and must not."""
    for name, field in base.model_fields.items():
        own = cls.model_fields.get(name)
        if own is None or (own.annotation, own.metadata) == (field.annotation, field.metadata):
            continue
        definition = cast("Any", {name: (field.annotation, field)})
        option: type[Options] = create_model("Option", __base__=Options, **definition)
        for value in values:
            if _accepts(cls, name, value) and not _accepts(option, name, value):
                return name, value
    return None


def _accepts(cls: type[Options], name: str, value: object) -> bool:
    try:
        cls.model_validate_json(json.dumps({name: value}))
    except ValidationError as error:
        # Another option that has no default is missing here, which says nothing of this one.
        return all(problem["type"] == "missing" and problem["loc"][:1] != (name,) for problem in error.errors())
    # A stranger's validator; what it raises is found where it is used.
    except Exception:  # noqa: BLE001
        return False
    return True
