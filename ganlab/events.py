"""What a run tells its observers: the events, as pluggy hooks, and what comes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pluggy

from ganlab.interfaces import ImageSpec

if TYPE_CHECKING:
    import numpy as np

    Pictures = np.ndarray[Any, np.dtype[np.uint8]]

Reason = Literal["finished", "interrupted", "failed"]
"""How a run ended."""

hookspec = pluggy.HookspecMarker("ganlab")
hookimpl = pluggy.HookimplMarker("ganlab")


class RunInfo(NamedTuple):
    """What stays the same during a run."""

    name: str
    """The recipe's name."""
    directory: Path
    """The run's directory; an observer writes only below it."""
    recipe: Mapping[str, Any]
    """The resolved recipe as nested tables."""
    images: ImageSpec
    """The shape of the pictures."""
    dataset_size: int
    """Number of pictures."""
    parameters: Mapping[str, int]
    """Number of trainable parameters of each network."""
    device: str
    """What computes, such as `cpu` or `cuda:0`."""
    precision: str
    """What it computes in, such as `fp32` or `bf16`."""
    first_iteration: int
    """0, or the iteration that a continued run starts from."""
    class_names: Sequence[str] = ()
    """What the classes of the pictures are called, in the order of their numbers."""


class Tick(NamedTuple):
    """What the host has just learned from the device."""

    iteration: int
    """Iterations done."""
    images: int
    """Real pictures seen, repetitions counted."""
    epoch: float
    """Passes over the data done."""
    progress: float
    """How much of the training is done, 0 to 1."""
    images_per_second: float
    """Real pictures seen a second since the last tick."""
    seconds: float
    """Time since this process began or continued the training."""
    seconds_left: float
    """Infinite as long as it cannot be told."""
    stats: Mapping[str, float]
    """Means since the last tick: `loss_<network>` and whatever else the loss logs."""
    iterations: int | None = None
    """Iterations of the whole training."""
    next_snapshot: int | None = None
    """Iterations done when the next snapshot comes; None at the end."""
    memory_bytes: int | None = None
    """The memory that the training holds: the GPU's where it runs on one, else the most that the process has had."""


class Snapshot(NamedTuple):
    """The generator at one iteration; when every observer has been told, a checkpoint of it is saved."""

    iteration: int
    """Iterations done."""
    images: int
    """Real pictures seen, repetitions counted."""
    epoch: float
    """Passes over the data done."""
    samples: Pictures
    """Pictures `(N, H, W, C)`, uint8, of the same latents at each snapshot."""
    columns: int
    """How many samples belong into one row of a grid."""
    rows: Sequence[str] = ()
    """What each row of that grid shows, from top to bottom, such as its class; empty where rows mean nothing."""


class Scores(NamedTuple):
    """What `[evaluate]` has found of the generator of a snapshot."""

    iteration: int
    """Iterations done."""
    images: int
    """Real pictures seen, repetitions counted."""
    epoch: float
    """Passes over the data done."""
    values: Mapping[str, float]
    """By the names of the scores. One that could not be computed is missing."""
    reference: Mapping[str, float]
    """Those of real pictures, judged as if they were drawn."""
    best: bool
    """Whether it is the best generator so far by the score that the recipe names, and was kept as such."""


class Advice(NamedTuple):
    """Something that may help."""

    text: str
    """What it is, in words."""
    setting: str = ""
    """The option with its value, as `--set` takes it; empty where no option does it."""


class Finding(NamedTuple):
    """A sign that the training goes wrong, or that it does so no more."""

    name: str
    """What is found, such as `discriminator_wins`."""
    iteration: int
    """When it was found."""
    images: int
    """Real pictures seen by then, repetitions counted."""
    epoch: float
    """Passes over the data done by then."""
    ended: bool
    """Whether what was found before has ended."""
    since: int
    """The iteration from which on it has been so."""
    evidence: str
    """What was seen, with its numbers."""
    threshold: str
    """From where on that is a finding."""
    numbers: Mapping[str, float]
    """The numbers, by their names."""
    advice: Sequence[Advice] = ()
    """What may help, the first to try first. Nothing where it has ended."""

    @property
    def sentence(self) -> str:
        """What a log says of it."""
        title = self.name.replace("_", " ")
        if self.ended:
            return f"{title} has ended: {self.evidence}"
        ways = [f"{one.setting} ({one.text})" if one.setting else one.text for one in self.advice]
        return f"{title}: {self.evidence}" + (f". What may help: {'; '.join(ways)}" if ways else "")


class Events:
    """The hooks that an observer may implement; it may take any subset of a hook's arguments."""

    @hookspec
    def phase(self, name: str, done: int, total: int) -> None:
        """A long piece of work beside training has moved on, such as packing; may come before `run_start`.

        `name` says what is done. `total` is 0 where it is not known; `done == total` when the work has ended.
        """

    @hookspec
    def note(self, text: str, level: Literal["info", "warning"]) -> None:
        """The host has something to say in one sentence, `text`; its `level` says how bad that is."""

    @hookspec
    def run_start(self, run: RunInfo, reals: Pictures) -> None:
        """Training is about to begin or go on. `reals` are pictures of the data `(N, H, W, C)`, uint8."""

    @hookspec
    def tick(self, run: RunInfo, tick: Tick) -> None:
        """The host has looked at the device."""

    @hookspec
    def snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        """Samples were drawn; a checkpoint follows."""

    @hookspec
    def scored(self, run: RunInfo, scores: Scores) -> None:
        """The generator of the last snapshot was judged."""

    @hookspec
    def finding(self, run: RunInfo, finding: Finding) -> None:
        """The training goes wrong, as far as its statistics, samples or scores tell; or it does so no more."""

    @hookspec
    def run_end(self, run: RunInfo, reason: Reason) -> None:
        """Training has ended. A run that was continued later ends again."""
