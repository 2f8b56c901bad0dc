"""What was found of generators, and under which protocol: a score without it says nothing."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from ganlab.interfaces import Better

FORMAT = 1
"""Of the JSON object."""
REFERENCE = "real against real"
"""What the column of the real pictures is called."""


@dataclass(frozen=True)
class Protocol:
    """What all scores of a report were computed from: those of another one are not comparable."""

    dataset: str
    options: Mapping[str, Any]
    """Of the data set, such as its split."""
    fingerprint: str
    """SHA-256 of the packed pictures."""
    pictures: tuple[int, int, int]
    """Channels, height, width."""
    real: int
    """How many real pictures."""
    fake: int
    """How many generated ones, for each block of seeds."""
    seeds: int
    """How many blocks of seeds; the first picture of each has the seed 0, `fake`, 2 `fake` and so on."""
    network: str | None
    """What made the features; None where no metric needs any."""
    network_digest: str | None
    resizer: str | None
    """How pictures became what the network was fed."""
    metrics: Mapping[str, Mapping[str, Any]]
    """The metrics with their options, but for paths: what lies there, digests say."""
    ganlab: str
    own_networks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By the metric that brings a network of its own, that one's `network`, `network_digest` and `resizer`."""


class Score(NamedTuple):
    """A number of a metric, for one generator."""

    values: tuple[float, ...]
    """One for each block of seeds."""

    @property
    def mean(self) -> float:
        """Return the mean over the blocks."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float | None:
        """Return the standard deviation over the blocks, None of a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Origin:
    """Where a generator comes from, as far as its file and its run say."""

    model: Mapping[str, Any]
    """Its name and its options."""
    recipe: Mapping[str, Any] | None
    """The run's resolved one; None of a file, which says no more of it than the model."""
    images: int
    """Pictures seen in training."""
    dataset: str
    """The name of the data set that it was trained on; empty where the file does not say it."""
    fingerprint: str
    """Of that data set's packed pictures."""


@dataclass(frozen=True)
class Column:
    """What was computed of one generator, or of real pictures."""

    name: str
    scores: Mapping[str, Score]
    averaged: bool | None = None
    digest: str | None = None
    """Of the generator's file."""
    trained_on: bool | None = None
    """Whether it was trained on the pictures of the protocol: only then are copies of them memories."""
    origin: Origin | None = None


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    protocol: Protocol
    better: Mapping[str, Better]
    """Which numbers of a score are the better ones, in the order of the metrics."""
    reference: Column
    columns: tuple[Column, ...]
    left_out: Mapping[str, str]
    """Metrics that nobody had asked for by name and that could not be computed, and why."""

    def as_json(self) -> dict[str, Any]:
        """Return the object that `ganlab evaluate --json` writes."""
        return {
            "format": FORMAT,
            "protocol": asdict(self.protocol),
            "better": dict(self.better),
            "reference": column_as_json(self.reference),
            "generators": [column_as_json(column) for column in self.columns],
            "left_out": dict(self.left_out),
        }


def column_as_json(column: Column) -> dict[str, Any]:
    """Return what is said of one generator as a JSON object."""
    scores = {
        name: {"mean": score.mean, "spread": score.spread, "values": list(score.values)}
        for name, score in column.scores.items()
    }
    known = {"digest": column.digest, "averaged_weights": column.averaged, "trained_on_these": column.trained_on}
    origin = None if column.origin is None else asdict(column.origin)
    return {"name": column.name, **known, "origin": origin, "scores": scores}
