"""The tables of a recipe that belong to ganlab itself: training, moving average, snapshots, evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ganlab.interfaces import Options, Scheduled

Device = Annotated[
    str, Field(pattern="^(auto|cpu|mps|cuda(:[0-9]{1,3})?)$", examples=["auto", "cpu", "cuda", "cuda:0", "mps"])
]


class Settings(Options):
    """What stands on top of a recipe, before its first table."""

    seed: NonNegativeInt = 0
    """Decides the first weights, the order of the pictures, flips, latents and dropout: same seed, same run."""
    extends: str | None = None
    """Another recipe to start from: a path relative to this file, or the name of a recipe that comes with ganlab.
    What this file says comes on top. A table that names another component starts from that one's defaults."""


class Train(Options):
    """How long, on what and how exactly to train."""

    batch_size: PositiveInt = 64
    """Pictures in a batch, over all devices together."""
    iterations: PositiveInt | None = 25_000
    """Iterations of the loss, the same for few pictures as for many: what a generator can learn depends on its updates.
    The default is about 25 epochs of MNIST in batches of 64. `epochs` replaces it."""
    epochs: Annotated[float, Field(gt=0.0, le=1e9)] | None = None
    """Passes over the data, instead of `iterations`; parts of one are allowed."""
    init_from: Path | None = None
    """What to begin with instead of fresh weights: a run, whose networks are taken from its newest checkpoint, the
    directory of one of its checkpoints, or a `generator.safetensors`. Of each network, the tensors that fit by name and
    shape are taken; the rest is fresh."""
    init_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of what `init_from` names, which decides and not its place: of the file, or of the checkpoint's
    `state.safetensors`. A run writes it into its recipe. Written by hand, anything else is refused."""
    device: Device = "auto"
    """Where to train: `"auto"` takes a CUDA or Apple GPU where there is one, else the CPU."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    """Arithmetic: `"auto"` is bf16 on a CUDA device that has it, else fp32. `"fp32"` is the exact mode; `"fp16"`, on
    CUDA, scales losses so that gradients do not vanish, and is for GPUs older than bf16, such as T4 and V100."""
    deterministic: bool = False
    """On CUDA, only algorithms that give the same bits each time: slower. The CPU does so anyway."""
    compile: bool = False
    """On one CUDA device, let torch.compile build the networks' kernels: it takes up to a minute of the start. Where it
    cannot, the run says so and goes on without."""
    on_nonfinite: Literal["stop", "rollback"] = "stop"
    """What NaN or an infinite value does: stop the run, or go back to the last checkpoint and try again with other
    random numbers, at most three times."""
    rank_timeout_seconds: Annotated[float, Field(gt=0.0, le=1e8)] = 600.0
    """With several processes: how long one may be silent before all of them end."""
    tick_seconds: PositiveFloat = 2.0
    """Seconds between two looks at the device, for the log and the metrics."""
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    """CPU threads. Unset: as many as torch takes by itself. The same number is needed for the same bits."""


class MovingAverage(Options):
    """The average of the generator's weights over training, which is what samples and exports show."""

    enabled: bool = True
    """Whether to keep one; without it, samples and exports show the generator as it is."""
    half_life_images: Scheduled[PositiveFloat] = 44_000.0
    """Pictures after which weights count half as much in the average, an iteration being `train.batch_size` pictures:
    so it is the same for batches of any size. The default keeps 0.999 at each iteration with batches of 64."""
    warm_up: bool = True
    """Whether the half-life is shorter at the start: at most 0.05 of the pictures so far (Karras et al. 2022)."""
    statistics_batches: Annotated[int, Field(ge=1, le=1000)] = 8
    """Batches of latents from which BatchNorm statistics are estimated anew for the averaged weights."""


class Snapshots(Options):
    """When to draw a sample grid and save a checkpoint, and what to keep. The last iteration always does."""

    every_iterations: PositiveInt | None = None
    """Iterations between two snapshots. Unset, and `every_epochs` too: after 125, 250, 500 and 1,000 iterations, and
    every 1,000 from there, so that snapshots take little of the time and of the disk's writes however small the data
    is."""
    every_epochs: Annotated[float, Field(ge=1e-6, le=1e9)] | None = None
    """Passes over the data between two snapshots, instead of `every_iterations`."""
    samples: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Pictures in the sample grid, always of the same latents."""
    keep: Annotated[int, Field(ge=2)] = 2
    """Checkpoints to keep: the newest, and at least one to fall back to."""
    generators: PositiveInt | None = None
    """At every how many snapshots the small generator's file is kept, in `generators/`, and at the last one always; the
    first one, of untrained networks, does not count. Unset: only the newest is."""


class Evaluations(Options):
    """How to judge the generator during the training, as `ganlab evaluate` does, at snapshots but for the first one of
    untrained networks. Without this table nothing is judged. What is trained does not change by it. A table such as
    `[evaluate.kid]` holds the options of a metric."""

    metrics: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Which metrics, as in `["kid", "prdc"]`. Unset: all that need no network, with `features` all that can be
    computed, and those that have a table here."""
    features: str | None = None
    """The network whose features are compared: `"lite0"`, or the path of an ONNX file. Unset: none, but where
    `metrics` names one that needs features it is lite0."""
    count: Annotated[int, Field(ge=20)] = 1024
    """Generated pictures, of the seeds from 0 on, and real ones; at most half of those that there are."""
    every: PositiveInt = 1
    """At every how many snapshots. At the last one always."""
    best: str | None = None
    """The score, such as `"kid"`, by which the best generator so far is kept in `generator-best.safetensors`."""
    patience: PositiveInt | None = None
    """After how many evaluations without a better score the training ends. Unset: never."""
