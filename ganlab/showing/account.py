"""What a page tells of a run, as plain values: whoever reads a run's directory fills them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ganlab.events import Finding

Floats = np.ndarray[Any, np.dtype[np.float64]]


class Curve(NamedTuple):
    """A number of a run over the real pictures that it had seen, in their order."""

    images: Floats
    values: Floats
    """NaN where it was no finite number."""


class Judged(NamedTuple):
    """What was found of the generator of one snapshot."""

    iteration: int
    images: int
    epoch: float
    values: Mapping[str, float]
    best: bool
    """Whether it was the best one so far, and kept."""


class Picture(NamedTuple):
    """A picture that a page can show."""

    uri: str
    """With its bytes in it."""
    width: int
    height: int


class Place(NamedTuple):
    """How far a training was."""

    images: int
    """Real pictures seen, repetitions counted."""
    epoch: float


class Frame(NamedTuple):
    """The sample grid of one snapshot."""

    iteration: int
    place: Place | None
    """None where nothing says."""
    picture: Picture


@dataclass(frozen=True)
class Account:
    """A run, as far as its directory tells."""

    name: str
    state: str
    begun: float
    """Seconds since 1970; 0 where nothing says."""
    images: int | None
    """Real pictures seen, repetitions counted."""
    shipped: str
    """The recipe of ganlab's that its own is or extends; empty where there is none."""
    changes: Sequence[str]
    """What is otherwise than in that one, else what was changed for this time, as `key=value` texts."""
    note: str
    facts: Mapping[str, str]
    """What it was computed with."""
    recipe: Mapping[str, Any]
    """As nested tables; empty where it cannot be read."""
    recipe_text: str
    curves: Mapping[str, Curve]
    """The losses first."""
    judged: Sequence[Judged]
    protocol: Mapping[str, str]
    """What the scores were computed from."""
    frames: Sequence[Frame]
    """Some of the snapshots, in their order; the last one is always there."""
    snapshots: int
    """How many there are."""
    rows: Sequence[str]
    """What each row of the grids shows, from top to bottom; empty where rows mean nothing."""
    reals: Picture | None
    """Pictures of the data, in a grid."""
    error: str
    """The traceback that a plugin's error has left."""
    log: str
    """Its last lines."""
    lacking: Sequence[str] = ()
    """A sentence for each thing that cannot be shown because it is missing or damaged."""
    findings: Sequence[Finding] | None = None
    """What the watch over the training has noted, in order; None where nobody has watched."""
