"""Components by which tests see what the ranks of a run see, and make one of them break.

`RANK_NOTES` names the folder of the notes, `RANK_DEEDS` what ranks do: `rank:iteration:deed`, each once.
`RANK_PICTURES` is added to every pixel.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from remembering import Balanced, Strengthened

from ganlab import Batch, Comparison, Dataset, ImageSpec, Iteration, Loss, Metric, Model, Source, Update
from ganlab.standard.losses.bce import BCE

PICTURES = 25
RECIPE = """
seed = 3
[model]
name = "dcgan"
base_channels = 4
latent_dim = 6
generator_dropout = 0.3
discriminator_dropout = 0.2
[dataset]
name = "numbered"
flip = true
[loss]
name = "noted"
[optimizer]
lr = { from = 2e-4, to = 0.0, after = 0.3, progress = 0.7 }
betas = [0.5, { from = 0.9, to = 0.99, images = 40 }]
[train]
batch_size = 8
iterations = 9
device = "cpu"
threads = 1
tick_seconds = 0.001
[moving_average]
statistics_batches = 2
[snapshot]
every_iterations = 3
samples = 4
[observers]
plot = false
gif = false
"""


PLAIN = RECIPE.replace(
    RECIPE[RECIPE.index("[model]") : RECIPE.index("[dataset]")],
    """[model]
name = "plain"
latent_dim = 6
""",
)
"""The same without BatchNorm and dropout."""


BALANCED = PLAIN.replace('"noted"', '"balanced"')
"""The plain one with a loss that remembers."""
MANY = RECIPE.replace('"numbered"', '"numbered"\ncount = 40').replace("samples = 4", "samples = 4\nkeep = 9")
"""With as many pictures as it takes to be judged, and all checkpoints kept."""
JUDGED = MANY + '[evaluate]\nmetrics = ["told"]\ncount = 20\nbest = "told"\npatience = 1\n'
"""The same, judged at every snapshot."""
ADAPTED = RECIPE.replace('"noted"', '"balanced"') + '[augmentation]\nname = "strengthened"\n'
"""With BatchNorm and dropout, a loss that remembers and an augmentation that does."""


class Numbered(Dataset):
    """Pictures whose pixels all hold ten times the picture's number, but for the left column, which holds 255."""

    api = 1

    resolution: int = 8
    """Height and width."""
    channels: int = 1
    """Always grey."""
    broken: int = -1
    """Number of a picture that cannot be read."""
    count: int = PICTURES
    """How many there are."""

    def sources(self) -> Iterable[Path]:
        return []

    def open(self) -> Source:
        return _Numbered(self)


class _Numbered(Source):
    classes = 0

    def __init__(self, options: Numbered) -> None:
        self.options = options

    def __len__(self) -> int:
        return self.options.count

    def image(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        note("decoded", index)
        if index == self.options.broken:
            raise OSError("this picture is broken")
        pixels = np.full((8, 8, 1), 10 * index % 250 + int(os.environ.get("RANK_PICTURES", 0)), np.uint8)
        pixels[:, 0] = 255
        return pixels

    def name(self, index: int) -> str:
        return f"picture {index}"


class Noted(BCE):
    """Notes what each rank draws, and does its deed."""

    api = 1

    def updates(self, networks: Mapping[str, Any], batches: Iterator[Batch], iteration: Iteration) -> Iterator[Update]:
        do_deed(batches)
        return super().updates(networks, map(noted, batches), iteration)


class NotedBalance(Balanced):
    """Notes what each rank remembers before an iteration and what it would remember after it, and does its deed."""

    api = 1

    def updates(self, networks: Mapping[str, Any], batches: Iterator[Batch], iteration: Iteration) -> Iterator[Update]:
        do_deed(batches)
        rank = os.environ.get("RANK", 0)
        names = [name for name in ("equilibrium", "strength") if name in networks]
        remembered = [buffer for name in names for buffer in networks[name].buffers()]
        note(f"before{rank}", [buffer.item() for buffer in remembered])
        yield from super().updates(networks, batches, iteration)
        note(f"after{rank}", [buffer.item() for buffer in remembered])


class Penalised(Loss):
    """Two updates of the discriminator and one of the generator, with a penalty on the gradient at real pictures."""

    api = 1

    def updates(self, networks: Mapping[str, Any], batches: Iterator[Batch], iteration: Iteration) -> Iterator[Update]:
        import torch
        from torch.nn.functional import softplus

        G, D = networks["generator"], networks["discriminator"]
        for _ in range(2):
            batch = next(batches)
            real = batch.real.requires_grad_()
            logits, fake = D(real), G(batch.inputs["z"])
            (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
            penalty = slope.square().sum((1, 2, 3)).mean()
            yield Update("discriminator", softplus(-logits).mean() + softplus(D(fake.detach())).mean() + penalty)
        yield Update("generator", softplus(-D(fake)).mean())


class Plain(Model):
    """Two layers each and no BatchNorm, so that a picture's gradient does not depend on the others."""

    api = 1

    def check(self, images: ImageSpec) -> None: ...

    def build(self, images: ImageSpec) -> dict[str, Any]:
        from torch import nn

        size = images.channels * images.height * images.width
        return {
            "generator": nn.Sequential(
                nn.Linear(self.latent_dim, 16),
                nn.Tanh(),
                nn.Linear(16, size),
                nn.Tanh(),
                nn.Unflatten(1, (images.channels, images.height, images.width)),
            ),
            "discriminator": nn.Sequential(nn.Flatten(), nn.Linear(size, 16), nn.Tanh(), nn.Linear(16, 1)),
        }


class Told(Metric):
    """Says 0 of real pictures, then 5, 3, 6, 7, ...: the second generator is the best. Disturbs what it can."""

    api = 1
    better: ClassVar = {"told": "lower"}

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        import torch

        torch.manual_seed(0)
        torch.set_grad_enabled(False)
        rank = os.environ.get("RANK", 0)
        note(f"judged{rank}", comparison.fake.mean())
        before = len((Path(os.environ["RANK_NOTES"]) / f"judged{rank}").read_text().splitlines())
        return {"told": [0.0, 5.0, 3.0, 6.0, 7.0][before - 1]}


PARTS = {
    ("metric", "told"): Told,
    ("dataset", "numbered"): Numbered,
    ("loss", "noted"): Noted,
    ("loss", "balanced"): NotedBalance,
    ("augmentation", "strengthened"): Strengthened,
    ("loss", "penalised"): Penalised,
    ("model", "plain"): Plain,
}


def note(name: str, value: Any) -> None:
    if folder := os.environ.get("RANK_NOTES"):
        with (Path(folder) / name).open("a") as file:
            file.write(json.dumps(value) + "\n")


def noted(batch: Batch) -> Batch:
    left = batch.real[:, 0, 0, 0].eq(1.0)  # where the bright column is: flipped or not
    middle = ((batch.real[:, 0, 0, 4] + 1) * 12.75).round().int()
    drawn = {"pictures": middle.tolist(), "flipped": (~left).tolist(), "z": batch.inputs["z"].double().tolist()}
    note(f"rank{os.environ.get('RANK', 0)}", drawn)
    return batch


def do_deed(batches: Iterator[Batch]) -> None:
    mine = os.environ.get("RANK", "0")
    for deed in os.environ.get("RANK_DEEDS", "").split():
        rank, at, what = deed.split(":")
        iteration = batches.drawn  # type: ignore[attr-defined]  # so where nothing is captured, as on a CPU
        done = Path(os.environ["RANK_NOTES"]) / f"done-{mine}-{at}"
        if rank in ("all", mine) and at == str(iteration) and not done.exists():
            done.touch()
            do(what)


def do(deed: str) -> None:
    match deed:
        case "raise":
            raise ValueError("the deed is done")
        case "memory":
            import torch

            raise torch.OutOfMemoryError("the deed is done")
        case "stall":
            time.sleep(60)
        case "disk":  # no file of more bytes than that can be written any more
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        case "stop":  # this process and who has started it, as systemd does
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getppid(), signal.SIGTERM)
        case name:
            os.kill(os.getpid(), signal.Signals[name])
