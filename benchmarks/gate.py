"""The correctness gate: every iteration of ganlab's loop against the textbook's from the very same state.

From the same state, because rounding alone drives two free courses apart: Adam's first steps are as long for a tiny
gradient as for a large one, so after 20 iterations two sound programs differ by a hundredth. The textbook computes in
double precision, so that its own rounding does not count. Networks of the timed width have millions of activations, of
which rounding puts one or the other on the other side of a ReLU's kink; in narrow ones few are so near to it, and the
median iteration shows that nothing else differs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import faces
import ours
import textbook
import torch
from ours import Setting
from torch import Tensor, nn

from ganlab.events import Tick
from ganlab.interfaces import Batch
from ganlab.training.optimizer import Optimized
from ganlab.training.trainer import Trainer

NARROW = 8
"""Channels next to the picture of networks so narrow that in most iterations no activation crosses a kink."""


class Difference(NamedTuple):
    """The largest relative differences of a loss, and of a network's mean gradient and weights as one vector each."""

    losses: float
    gradients: float
    weights: float


TOLERANCES = {"fp32": Difference(1e-4, 5e-2, 5e-3), "tf32": Difference(1e-2, 2e-1, 2e-2)}
"""For the worst iteration."""
NARROW_TOLERANCES = {"cpu": Difference(1e-5, 1e-5, 1e-5), "cuda": Difference(1e-4, 1e-4, 1e-4)}
"""For the median iteration of narrow networks in fp32."""
PICTURES = 256
NETWORKS = ("generator", "discriminator")


class Gate(NamedTuple):
    """How far the two sides are apart in the worst of all iterations."""

    setting: Setting
    precision: str
    iterations: int
    median: Difference
    worst: Difference

    @property
    def passed(self) -> bool:
        """Whether timings of the two may be compared."""
        narrow = self.setting.width <= NARROW and self.precision == "fp32"
        strict = NARROW_TOLERANCES[self.setting.device.partition(":")[0]] if narrow else TOLERANCES[self.precision]
        limits = [(self.median, strict), (self.worst, TOLERANCES[self.precision])]
        return all(value <= limit for found, allowed in limits for value, limit in zip(found, allowed, strict=True))

    def as_json(self) -> dict[str, Any]:
        """Return it for the results."""
        parts: dict[str, Setting | Difference] = {"setting": self.setting, "median": self.median, "worst": self.worst}
        return {**self._asdict(), **{name: part._asdict() for name, part in parts.items()}, "passed": self.passed}


class Step(NamedTuple):
    """What an iteration has led to."""

    losses: Tensor
    """The generator's and the discriminator's."""
    gradients: list[Tensor]
    """Each network's running mean, as one vector."""
    weights: list[Tensor]


def gate(setting: Setting, iterations: int, precision: str = "fp32") -> Gate:
    """Train with ganlab, repeat every iteration with the textbook, and compare."""
    recipe = ours.recipe(setting, {**ours.EXACT, **ours.EVERY_TICK, "train": {"precision": precision}})
    pictures = ours.packed(faces.pixels(max(PICTURES, setting.batch_size), setting.resolution, setting.channels))
    run, same = ours.trainer(recipe, pictures), ours.trainer(recipe, pictures)
    same.batches.move_to(recipe.seed, 0)  # the very batches and latents that ganlab's loop draws
    book = _Textbook(setting, run.device)
    book.take_over(run)
    found: list[Difference] = []
    ticks: list[Tick] = []

    def compare() -> bool:
        batch = next(same.batches)
        losses = torch.tensor([ticks[-1].stats[f"loss_{name}"] for name in NETWORKS])
        networks = [run.state.networks[name] for name in NETWORKS]
        optimizers = [run.state.optimizers[name] for name in NETWORKS]
        mine = Step(losses, *vectors(networks, optimizers))
        found.append(difference(mine, book.step(batch)))
        book.take_over(run)
        return len(ticks) == iterations

    ours.train(run, compare, ticks.append)
    median = Difference(*map(statistics.median, zip(*found, strict=True)))
    worst = Difference(*map(max, zip(*found, strict=True)))
    return Gate(setting, precision, iterations, median, worst)


def difference(a: Step, b: Step) -> Difference:
    """Return how far two iterations that began in the same state are apart."""
    losses = ((a.losses - b.losses).abs() / b.losses.abs()).max().item()
    gradients, weights = (
        max(((mine - theirs).norm() / theirs.norm()).item() for mine, theirs in zip(*sides, strict=True))
        for sides in ((a.gradients, b.gradients), (a.weights, b.weights))
    )
    # NaN is less than nothing, and must not pass.
    return Difference(*(math.inf if math.isnan(value) else value for value in (losses, gradients, weights)))


def vectors(
    networks: Sequence[nn.Module], optimizers: Sequence[torch.optim.Adam | Optimized]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return each network's mean gradient and its weights, as one vector each."""
    gradients, weights = [], []
    for network, optimizer in zip(networks, optimizers, strict=True):
        parameters = list(network.parameters())
        gradients.append(_flat([optimizer.state[parameter]["exp_avg"] for parameter in parameters]))
        weights.append(_flat(parameters))
    return gradients, weights


class _Textbook:
    """The textbook's side, which can be put into ganlab's state."""

    def __init__(self, setting: Setting, device: torch.device) -> None:
        self._device = device
        G, D = (network.to(device, torch.float64) for network in networks(setting))
        self._networks = G, D
        self._optimizers = textbook.optimizers(*self._networks)

    @torch.no_grad()
    def take_over(self, run: Trainer) -> None:
        """Take weights, BatchNorm statistics and Adam's moments from ganlab."""
        for name, network, optimizer in zip(NETWORKS, self._networks, self._optimizers, strict=True):
            mine = run.state.networks[name]
            for value, place in zip(
                (*mine.parameters(), *mine.buffers()), (*network.parameters(), *network.buffers()), strict=True
            ):
                if value.shape != place.shape:
                    raise SystemExit(f"the networks differ: {tuple(value.shape)} against {tuple(place.shape)}")
                place.copy_(value)
            for value, place in zip(mine.parameters(), network.parameters(), strict=True):
                step, *means = (run.state.optimizers[name].state[value][key] for key in MOMENTS)
                values = (step.cpu().clone(), *(mean.double().contiguous() for mean in means))
                optimizer.state[place] = dict(zip(MOMENTS, values, strict=True))

    def step(self, batch: Batch) -> Step:
        """Do one iteration."""
        reports: list[textbook.Report] = []

        def told(report: textbook.Report) -> bool:
            reports.append(report)
            return True

        textbook.train(
            *self._networks,
            *self._optimizers,
            [batch.real.double().contiguous()],
            self._device,
            told,
            lambda _: batch.inputs["z"].double()[:, :, None, None],
        )
        losses = torch.tensor([reports[0].loss_generator, reports[0].loss_discriminator])
        return Step(losses, *vectors(self._networks, self._optimizers))


MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def networks(setting: Setting) -> tuple[nn.Module, nn.Module]:
    """Return the textbook's generator and discriminator."""
    return (
        textbook.generator(setting.resolution, setting.channels, setting.width),
        textbook.discriminator(setting.resolution, setting.channels, setting.width),
    )


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().double().flatten() for tensor in tensors])
