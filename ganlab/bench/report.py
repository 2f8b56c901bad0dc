"""What was measured of a recipe, and what follows from it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ganlab.bench.peak import Peak

Limit = Literal["compute", "data", "host", "others"]
"""What an iteration waits for: the device's arithmetic and memory, the pictures, the host that gives it its work, or
other processes on the same cores."""

DATA_LIMIT, CPU_HOST_LIMIT, QUEUE_LIMIT = 0.2, 0.5, 0.9
"""From which share of an iteration on the pictures or the host are what limits it."""


class Spread(NamedTuple):
    """The middle and the ends of what several blocks gave."""

    median: float
    lowest: float
    highest: float


class Startup(NamedTuple):
    """Seconds from the recipe to the end of the first iteration."""

    torch: float
    """Its import."""
    pictures: float
    """Packing them, or finding them packed."""
    networks: float
    iteration: float


class Lower(NamedTuple):
    """A precision of fewer bits than the one that was measured, for which the device has arithmetic."""

    precision: str
    times_as_fast: float


@dataclass(frozen=True)
class Report:
    """What was measured of a recipe."""

    recipe: str
    device: str
    processor: str
    precision: str
    threads: int
    torch: str
    batch_size: int
    pictures: tuple[int, int, int, int]
    """How many, channels, height, width."""
    images_per_second: Spread
    iteration_seconds: Spread
    blocks: int
    iterations: int
    """How many the blocks hold."""
    flops: float
    """Of the convolutions and matrix products of one iteration, counted."""
    peak: Peak
    data_share: float
    """The part of an iteration that goes when every batch is the same one, kept on the device."""
    host_seconds: float | None
    """On the CPU, what an iteration costs whatever the batch; elsewhere, what the host needs to give it out."""
    memory_bytes: int
    lower: Lower | None
    """None too where the recipe does not train in it."""
    crowded: str | None
    """What other processes took of the cores, where that was too much to tell anything else from."""
    notes: tuple[str, ...]
    """What the loop has to say, such as why it does not capture iterations."""
    startup: Startup

    @property
    def floor_seconds(self) -> float:
        """The least time that the arithmetic of an iteration could take here."""
        return self.flops / self.peak.flops

    @property
    def floor_share(self) -> float:
        """How much of the measured time the floor is: 1 where the device does nothing but the needed arithmetic."""
        return self.floor_seconds / self.iteration_seconds.median

    @property
    def host_share(self) -> float | None:
        """The host's time as a part of an iteration."""
        return None if self.host_seconds is None else self.host_seconds / self.iteration_seconds.median

    @property
    def limit(self) -> Limit:
        """What limits the training."""
        return "others" if self.crowded else limiting(self.data_share, self.host_share, self.device == "cpu")

    def as_json(self) -> dict[str, Any]:
        """Return the object that `ganlab bench --json` prints."""
        milliseconds = {name: 1e3 * value for name, value in self.iteration_seconds._asdict().items()}
        return {
            "recipe": self.recipe,
            "device": self.device,
            "processor": self.processor,
            "precision": self.precision,
            "threads": self.threads,
            "torch": self.torch,
            "batch_size": self.batch_size,
            "pictures": list(self.pictures),
            "images_per_second": self.images_per_second._asdict(),
            "milliseconds_per_iteration": milliseconds,
            "blocks": self.blocks,
            "iterations": self.iterations,
            "gflop_per_iteration": self.flops / 1e9,
            "peak_gflop_per_second": self.peak.flops / 1e9,
            "peak_of": self.peak.of,
            "floor_milliseconds": 1e3 * self.floor_seconds,
            "floor_share": self.floor_share,
            "data_share": self.data_share,
            "host_milliseconds": None if self.host_seconds is None else 1e3 * self.host_seconds,
            "limit": self.limit,
            "lower_precision": None if self.lower is None else self.lower._asdict(),
            "memory_bytes": self.memory_bytes,
            "notes": list(self.notes),
            "startup_seconds": self.startup._asdict(),
        }


def limiting(data_share: float, host_share: float | None, cpu: bool) -> Limit:
    """Return what limits an iteration of which these shares were measured.

    On the CPU the host's work adds to the arithmetic, so it limits where it is most of the time; elsewhere both run
    side by side, and it limits where the device would have to wait for it.
    """
    if data_share >= DATA_LIMIT:
        return "data"
    if host_share is not None and host_share >= (CPU_HOST_LIMIT if cpu else QUEUE_LIMIT):
        return "host"
    return "compute"


def spread(values: Sequence[float]) -> Spread:
    """Return the median, the least and the greatest."""
    return Spread(statistics.median(values), min(values), max(values))
