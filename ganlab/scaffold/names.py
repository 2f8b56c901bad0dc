"""What a new plugin is called in each of the places where it has a name."""

from __future__ import annotations

import re
from typing import NamedTuple

from ganlab.errors import GanlabError
from ganlab.messages import quoted
from ganlab.registry.kinds import Kind

PREFIX = "ganlab-"
"""What the names of plugins' distributions begin with: so people find them, and they stand in nobody's way."""

_NAME = re.compile(r"(?=.{1,40}$)[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_RULE = "a letter, then letters, digits and single - or _ between them, all in lower case, 40 at most"


class Names(NamedTuple):
    """All names of a plugin. What Python reserves is no harm to them: each has something in front or behind."""

    component: str
    """In recipes, such as `two_waves`."""
    distribution: str
    """For pip, such as `ganlab-two-waves`."""
    package: str
    """In Python, such as `ganlab_two_waves`."""
    title: str
    """What its classes' names begin with, such as `TwoWaves`."""

    def class_of(self, kind: Kind) -> str:
        """Return the name of the class of a kind, such as `TwoWavesModel`."""
        return f"{self.title}{kind.capitalize()}"


def names_of(name: str) -> Names:
    """Derive all names from one, given with the prefix or without. Raise `GanlabError` with the rule."""
    short = name.replace("_", "-").removeprefix(PREFIX)
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(short):
        near = re.sub(r"[\s._-]+", "-", name.lower()).strip("-")
        hint = f"; did you mean {near}?" if near != name and _NAME.fullmatch(near) else ""
        raise GanlabError(f"{quoted(name)} is not a name for a plugin: that is {_RULE}{hint}")
    distribution = f"{PREFIX}{short}"
    title = "".join(word.capitalize() for word in short.split("-"))
    return Names(short.replace("-", "_"), distribution, distribution.replace("-", "_"), title)
