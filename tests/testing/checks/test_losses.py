"""The checks of losses, each against a loss that breaks it and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from breaking import Break, Energy, assert_breaks_only_its_check, failures, named, suite
from torch import Tensor, nn
from torch.nn import functional

from ganlab import Batch, ImageSpec, Iteration, Loss, Scheduled, Update
from ganlab.standard.losses.bce import BCE
from ganlab.testing.checks import losses
from ganlab.testing.optimum import MEAN, START, mean_found


class Good(Loss):
    """The hinge loss, with places to break it."""

    api = 1

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        G, D = networks["generator"], networks["discriminator"]
        batch = next(batches)
        fake = G(*batch.inputs.values())
        yield self.discriminator(D, batch.real, fake.detach())
        yield self.generator(D, fake)

    def discriminator(self, D: nn.Module, real: Tensor, fake: Tensor) -> Update:
        return Update("discriminator", (1 - D(real)).relu().mean() + (1 + D(fake)).relu().mean())

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        return Update("generator", -D(fake).mean())


class Leaking(Good):
    """Yields inside torch.no_grad()."""

    api = 1

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        for update in super().updates(networks, batches, iteration):
            with torch.no_grad():
                yield update


class Doubling(Good):
    """Leaves torch with another default type."""

    api = 1

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        yield from super().updates(networks, batches, iteration)
        torch.set_default_dtype(torch.float64)


class Lopsided(Good):
    """Forgets the generator."""

    api = 1

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        yield next(super().updates(networks, batches, iteration))


class Detached(Good):
    """Yields what depends on no weight."""

    api = 1

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        return Update("generator", fake.detach().mean())


class Logarithmic(Good):
    """Takes the logarithm of a negative number."""

    api = 1

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        return Update("generator", (-1 - D(fake).square()).log().mean())


class Rooted(Good):
    """Takes a root of 0: its loss is finite, its gradient is not."""

    api = 1

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        return Update("generator", (0.0 * D(fake).mean()).sqrt())


class Vector(Good):
    """Yields a number for each picture."""

    api = 1

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        return Update("generator", -D(fake))


class Chatty(Good):
    """Reports a number for each picture."""

    api = 1

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        logits = D(fake)
        return Update("generator", -logits.mean(), {"D(G(z))": logits})


class Plain(Good):
    """Reports a number that is no tensor, at the price of waiting for the device."""

    api = 1

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        logits = D(fake)
        return Update("generator", -logits.mean(), {"D(G(z))": logits.mean().item()})


class Hoarding(Good):
    """Draws no batch after the first iteration, whose pictures it keeps."""

    api = 1
    period: ClassVar[int] = 2
    _batch: list[Batch] = []  # noqa: RUF012  # pydantic copies it

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        if not self._batch:
            self._batch.append(next(batches))
        yield from super().updates(networks, iter(self._batch), iteration)


class Lazy(Good):
    """Breaks in its sixteenth iteration only."""

    api = 1
    period: ClassVar[int] = 16

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        for update in super().updates(networks, batches, iteration):
            yield Update(update.networks, update.loss / (iteration.phase != 15))


class Probable(Good):
    """Computes the cross-entropy of probabilities, which autocast refuses."""

    api = 1

    def discriminator(self, D: nn.Module, real: Tensor, fake: Tensor) -> Update:
        yes, no = D(real).sigmoid(), D(fake).sigmoid()
        loss = functional.binary_cross_entropy(yes, torch.ones_like(yes)) - (1 - no).log().mean()
        return Update("discriminator", loss)

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        return Update("generator", -functional.logsigmoid(D(fake)).mean())


class Counting(Good):
    """Asks numpy for a statistic, which has no bfloat16."""

    api = 1

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        logits = D(fake)
        positive = np.count_nonzero(logits.detach().numpy() > 0)
        return Update("generator", -logits.mean(), {"positive": torch.tensor(float(positive))})


class Numpy(Good):
    """Draws from numpy's global state."""

    api = 1

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        np.random.rand()
        return super().generator(D, fake)


class Seeding(Good):
    """Seeds torch."""

    api = 1

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        torch.manual_seed(0)
        return super().generator(D, fake)


class Remembering(Good):
    """Weighs its terms by how often it was called."""

    api = 1
    _calls: int = 0

    def discriminator(self, D: nn.Module, real: Tensor, fake: Tensor) -> Update:
        self._calls += 1
        return Update(
            "discriminator", super().discriminator(D, real, fake).loss + D(real).square().mean() / self._calls
        )


class Narrow(Good):
    """Gives the generator z alone."""

    api = 1

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        G, D = networks["generator"], networks["discriminator"]
        batch = next(batches)
        fake = G(batch.inputs["z"])
        yield self.discriminator(D, batch.real, fake.detach())
        yield self.generator(D, fake)


class Reversed(Good):
    """Teaches the generator to look like a generator."""

    api = 1

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        return Update("generator", D(fake).mean())


class Swapped(Good):
    """Takes real pictures for generated ones."""

    api = 1

    def discriminator(self, D: nn.Module, real: Tensor, fake: Tensor) -> Update:
        return super().discriminator(D, fake, real)


class Blind(Good):
    """Lets the discriminator look at generated pictures alone."""

    api = 1

    def discriminator(self, D: nn.Module, real: Tensor, fake: Tensor) -> Update:
        return super().discriminator(D, fake, fake)


class Balance(nn.Module):
    """What a loss may remember: a number."""

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(()))


class Bringing(Good):
    """Remembers a running mean of the logits, which weighs a term, and trains a head on generated pictures."""

    api = 1
    brings: ClassVar[tuple[str, ...]] = ("balance", "head")

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"balance": Balance(), "head": nn.Linear(images.channels * images.height * images.width, 1)}

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        G, D = networks["generator"], networks["discriminator"]
        batch = next(batches)
        fake = G(*batch.inputs.values())
        update = self.discriminator(D, batch.real, fake.detach())
        balance = self.balance(networks["balance"])
        yield Update("discriminator", update.loss + 0.01 * balance * D(batch.real).square().mean())
        self.remember(networks["balance"], D, batch.real)
        yield self.generator(D, fake)
        yield from self.head(networks["head"], fake.detach())

    def balance(self, memory: Any) -> Tensor:
        value: Tensor = memory.value.clone()
        return value

    @torch.no_grad()
    def remember(self, memory: Any, D: nn.Module, real: Tensor) -> None:
        memory.value.lerp_(D(real).mean().float().tanh(), 0.5)

    def head(self, head: nn.Module, fake: Tensor) -> Iterator[Update]:
        yield Update("head", head(fake.flatten(1)).float().square().mean())


class Misnaming(Bringing):
    """Builds something else than it states."""

    api = 1
    brings: ClassVar[tuple[str, ...]] = ("balance", "heads")


class Overlapping(Bringing):
    """Calls what it brings as the model calls a network that the loss leaves alone."""

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("energy",)
    brings: ClassVar[tuple[str, ...]] = ("generator",)

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"generator": Balance()}


class Undecided(Bringing):
    """Draws what nobody has seeded for what it brings."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        built = super().build(images)
        with torch.no_grad():
            built["head"].get_parameter("bias").fill_(int.from_bytes(os.urandom(4), "big") / 2**32)
        return built


class Drawing(Bringing):
    """Draws from numpy's global state for what it brings, and throws it away."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        np.random.rand()
        return super().build(images)


class Sowing(Bringing):
    """Seeds torch for what it brings."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        torch.manual_seed(0)
        return super().build(images)


class Replacing(Bringing):
    """Puts a new tensor into the place of a buffer."""

    api = 1

    @torch.no_grad()
    def remember(self, memory: Any, D: nn.Module, real: Tensor) -> None:
        memory.value = memory.value + 0.1


class Widening(Bringing):
    """Gives a buffer another shape in place."""

    api = 1

    @torch.no_grad()
    def remember(self, memory: Any, D: nn.Module, real: Tensor) -> None:
        memory.value.resize_(2).zero_()

    def balance(self, memory: Any) -> Tensor:
        return torch.zeros(())


class Tracking(Bringing):
    """Writes what has a graph into a buffer."""

    api = 1

    def remember(self, memory: Any, D: nn.Module, real: Tensor) -> None:
        memory.value.lerp_(D(real).mean().float().tanh(), 0.5)


class Late(Bringing):
    """Registers a buffer when it first needs it."""

    api = 1

    @torch.no_grad()
    def remember(self, memory: Any, D: nn.Module, real: Tensor) -> None:
        memory.register_buffer("late", torch.zeros(()))


class Unsaved(Bringing):
    """Changes a buffer that no checkpoint has."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        built = super().build(images)
        built["balance"].register_buffer("value", torch.zeros(()), persistent=False)
        return built


class Attributed(Bringing):
    """Counts in a plain attribute of what it brings."""

    api = 1

    @torch.no_grad()
    def remember(self, memory: Any, D: nn.Module, real: Tensor) -> None:
        memory.calls = getattr(memory, "calls", 0) + 1


class Listing(Bringing):
    """Keeps a list in what it brings."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        built: dict[str, Any] = super().build(images)
        built["head"].history = []
        return built

    def head(self, head: Any, fake: Tensor) -> Iterator[Update]:
        head.history.append(float(fake.mean()))
        yield from super().head(head, fake)


class Dividing(Bringing):
    """Divides what it remembers by 0."""

    api = 1

    @torch.no_grad()
    def remember(self, memory: Any, D: nn.Module, real: Tensor) -> None:
        memory.value.div_(0.0)


class Idle(Bringing):
    """Brings a weight that nothing uses."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        built = super().build(images)
        built["head"].register_parameter("spare", nn.Parameter(torch.zeros(2)))
        return built


class Neglecting(Bringing):
    """Never updates its head."""

    api = 1

    def head(self, head: nn.Module, fake: Tensor) -> Iterator[Update]:
        yield from ()


class Recalling(Bringing):
    """Moves what it remembers by how often it was called, which it remembers itself."""

    api = 1
    _calls: int = 0

    @torch.no_grad()
    def remember(self, memory: Any, D: nn.Module, real: Tensor) -> None:
        self._calls += 1
        memory.value.fill_(1.0 / self._calls)


class Steady(Good):
    """Takes any number but a float for one."""

    api = 1
    margin: Scheduled[float] = 2.0
    """Where the hinge bends."""

    def discriminator(self, D: nn.Module, real: Tensor, fake: Tensor) -> Update:
        margin = self.margin if isinstance(self.margin, float) else 1.0
        return Update("discriminator", (margin - D(real)).relu().mean() + (margin + D(fake)).relu().mean())


class Peeking(Good):
    """Reads its number from the device."""

    api = 1
    weight: Scheduled[float] = 1.0
    """How much the generator's loss counts."""

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        return Update("generator", -float(self.weight) * D(fake).mean())


def test_a_loss_that_reads_its_number_is_told_that_it_will_be_slow() -> None:
    outcome = suite(Peeking).outcome("schedules")
    assert outcome.verdict == "advice"
    assert outcome.advice.startswith("with a schedule for weight, on CUDA it will be computed eagerly, which is slower")


BREAKS = [
    Break("brings", Misnaming, "states brings = ('balance', 'heads'), but built ('balance', 'head')"),
    Break(
        "brings",
        Overlapping,
        "it brings generator, as the model does that it is tried on: choose other names",
        {"model": Energy()},
    ),
    Break("brings", Undecided, "head.bias differs between two builds after the same seed"),
    Break("brings", Drawing, "build() draws from or seeds numpy.random: draw from torch's default generator"),
    Break("brings", Sowing, "build() draws from or seeds the seed of torch"),
    Break("state", Replacing, "another tensor takes the place of balance.value, or another shape, type or device"),
    Break("state", Widening, "another tensor takes the place of balance.value, or another shape, type or device"),
    Break("state", Tracking, "what is written into balance.value has a graph: write into it under torch.no_grad()"),
    Break("state", Late, "another tensor takes the place of balance.late"),
    Break("state", Unsaved, "balance.value changes, and no checkpoint has it: register it without persistent=False"),
    Break("state", Attributed, "balance.calls is a plain attribute that changes, which no checkpoint has: make it"),
    Break("state", Listing, "head.history is a plain attribute that changes"),
    Break("state", Dividing, "balance.value becomes NaN or infinite"),
    Break("updates", Neglecting, "it never updates head: yield an Update for it"),
    Break("gradients", Idle, "head.spare never get a gradient: use them, remove them, or make them buffers"),
    Break("resume", Recalling, "a run that was put down and taken up again ends with another networks/"),
    Break("modes", Leaking, "it changes torch's grad mode from True to False and then yields: close torch.no_grad()"),
    Break("modes", Doubling, "it changes torch's dtype mode from torch.float32 to torch.float64"),
    Break("updates", Lopsided, "it never updates generator: yield an Update for it, or take it out of `networks`"),
    Break("updates", Detached, "yields a loss for generator that depends on no trainable weight"),
    Break("updates", Logarithmic, "the loss of generator is nan in iteration 0: look for divisions by 0"),
    Break("updates", Rooted, "its gradient is nan in iteration 0"),
    Break("updates", Vector, "yields a loss of shape (8,); it must be one number"),
    Break("updates", Chatty, "the statistic D(G(z)) is of shape (8,): it must be a tensor of one number"),
    Break("updates", Plain, "the statistic D(G(z)) is a float: it must be a tensor of one number"),
    Break("updates", Hoarding, "it draws no batch in an iteration, so that epochs never end: call next(batches)"),
    Break("updates", Lazy, "in iteration 15: look for divisions by 0"),
    Break("autocast", Probable, "it cannot compute with the bfloat16 that networks return on CUDA"),
    Break("autocast", Counting, "it cannot compute with the bfloat16 that networks return on CUDA: Got unsupported"),
    Break(
        "inputs",
        Narrow,
        "a generator may take several inputs, such as z, category, codes and noise: call it G(*batch.inputs.values())",
    ),
    Break("random", Numpy, "updates() draws from or seeds numpy.random"),
    Break("random", Seeding, "updates() draws from or seeds the seed of torch"),
    Break("resume", Remembering, "a loss must remember nothing but what a checkpoint holds"),
    Break(
        "optimum", Reversed, "it leads a generator away from the data: the mean of its pictures, -0.6 at first, became"
    ),
    Break("schedules", Steady, "with a schedule for margin that stays at its number it computes something else"),
    Break("optimum", Swapped, "compare the signs of its terms, and real and fake, with the paper"),
    Break("optimum", Blind, "it leads a generator"),
]


@pytest.mark.parametrize("broken", BREAKS, ids=named)
def test_a_broken_loss_fails_one_check_that_says_what_to_change(broken: Break) -> None:
    assert_breaks_only_its_check(broken)


def test_every_check_has_a_loss_that_breaks_it() -> None:
    assert {broken.check for broken in BREAKS} == {check.name for check in losses.CHECKS} - {"capture"}


class Impatient(Good):
    """Looks at what the device has computed, to decide what to do."""

    api = 1

    def generator(self, D: nn.Module, fake: Tensor) -> Update:
        loss = -D(fake).mean()
        return Update("generator", loss if loss.item() > 0 else 2 * loss)


def test_a_loss_that_cannot_be_captured_works_and_is_told_so() -> None:
    outcome = suite(Impatient).outcome("capture")
    assert outcome.verdict == "advice"
    assert outcome.advice == (
        "on CUDA it will be computed eagerly, which is slower than as one graph: "
        "the host reads the device within an iteration (_local_scalar_dense)"
    )
    assert failures(Impatient) == {}


SCHEDULE = {"from": 1.0, "to": 0.8, "progress": 0.5}


def test_a_loss_with_a_schedule_is_checked_as_the_loop_has_it() -> None:
    assert failures(BCE, options=[{"real_label": SCHEDULE}]) == {}
    assert suite(BCE, options=[{"real_label": SCHEDULE}]).outcome("capture").verdict == "passed"


def test_a_good_loss_passes_every_check() -> None:
    assert failures(Good) == {}
    assert failures(Bringing) == {}
    assert suite(Bringing).outcome("capture").verdict == "passed"
    assert abs(mean_found(Good()) - MEAN) < 0.2 * abs(MEAN - START)


class ForEnergy(Loss):
    """Trains a network of its own."""

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("energy",)

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        yield Update("energy", networks["energy"](next(batches).real).square().mean())


def test_a_loss_for_networks_of_its_own_is_tried_on_the_model_that_it_is_given() -> None:
    found = failures(ForEnergy)
    assert list(found) == ["brings"]
    assert "it needs energy, and the model that it is tried on has generator, discriminator" in found["brings"]
    checks = suite(ForEnergy, model=Energy())
    passing = ("brings", "modes", "state", "updates", "gradients", "autocast", "random", "resume", "capture")
    assert checks.outcome("inputs").advice == "not checked: its model is one of its own"
    assert {checks.outcome(name).verdict for name in passing} == {"passed"}
    assert checks.outcome("optimum").advice.startswith(
        "not checked: an optimum is known for discriminator and generator"
    )
