"""The checks of losses: what they yield, what they leave as it was, and where they lead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ganlab.errors import GanlabError
from ganlab.hardware.device import Autocast
from ganlab.interfaces import ImageSpec, Loss, Model, Update
from ganlab.messages import in_words
from ganlab.testing.checks.brought import Memory, built_as_stated, idle_weights
from ganlab.testing.checks.schedules import follow
from ganlab.testing.optimum import MEAN, START, mean_found
from ganlab.testing.shapes import shapes
from ganlab.testing.subject import Check, ContractError, NotRunError, Subject, described
from ganlab.testing.surroundings import modes, moved, random_states
from ganlab.testing.toys import IMAGES, Tiny, TinyVaried
from ganlab.testing.trial import Trial, resumes_exactly
from ganlab.training.cuda_graphs import PROBES
from ganlab.training.iteration import refuse_no_update, updates_of
from ganlab.training.operators import Operators, Work, difference
from ganlab.training.statistics import networks_of

ADVERSARIAL = {"generator", "discriminator"}
"""The networks of the model that losses are tried on."""
LONGEST = 64
"""Iterations at most, however many different ones take turns."""


def builds_what_it_states(subject: Subject[Loss]) -> None:
    """Build what it brings along, twice."""
    loss = subject.make()
    built_as_stated(loss, *_model(subject, loss))


def remembers_in_place(subject: Subject[Loss]) -> None:
    """Run each of the different iterations once, without optimizer steps, and look at what it brings along."""
    trial, loss = _trial(subject), subject.live()
    trainer = trial.begin()
    memory = Memory(trainer.state.brought.modules)
    for index in range(trial.iterations):
        for _ in loss.updates(trainer.state.networks, trainer.batches, trial.place(index)):
            pass
        memory.hold()


def leaves_modes(subject: Subject[Loss]) -> None:
    """Compare torch's modes before and after each yield."""
    trial, loss = _trial(subject), subject.live()
    trainer = trial.begin()
    for index in range(trial.iterations):
        updates = updates_of(loss, trainer.state.networks, trainer.batches, trial.place(index))
        while True:
            before = modes()
            if (update := next(updates, None)) is not None:
                refuse_no_update(loss, update, updates)
            for name, value in modes()._asdict().items():
                if value != before._asdict()[name]:
                    raise ContractError(
                        f"it changes torch's {name} mode from {before._asdict()[name]} to {value} and then yields: "
                        "close torch.no_grad(), torch.autocast() and the like before each yield"
                    )
            if update is None:
                break


def yields_updates(subject: Subject[Loss]) -> None:
    """Run each of the different iterations once."""
    _run(subject, nullcontext)


def stays_finite_in_bf16(subject: Subject[Loss]) -> None:
    """Run them as CUDA does by default, under autocast to bfloat16."""
    try:
        _run(subject, _as_on_cuda)
    except (RuntimeError, TypeError) as error:
        raise ContractError(
            f"it cannot compute with the bfloat16 that networks return on CUDA: {' '.join(str(error).split())[:300]}; "
            "take logits as .float(), and cross-entropies of logits, not of probabilities"
        ) from error


def gives_every_input(subject: Subject[Loss]) -> None:
    """Run them with a generator of several inputs."""
    loss = subject.make()
    if subject.model is not None or set(loss.networks) != ADVERSARIAL:
        raise NotRunError("its model is one of its own")
    model = TinyVaried()
    trial = Trial(loss=loss, model=model, images=IMAGES, iterations=min(loss.period, LONGEST))
    trainer = trial.begin()
    try:
        for index in range(trial.iterations):
            trial.iterate(trainer, index)
    except TypeError as error:  # of a network that is called with too few arguments
        names = in_words(list(model.inputs(IMAGES)))
        raise ContractError(
            f"a generator may take several inputs, such as {names}: call it G(*batch.inputs.values()) "
            f"({described(error, subject.cls)})"
        ) from error


def leaves_random_states(subject: Subject[Loss]) -> None:
    """Run the iterations, and see which random states have moved."""
    trial = _trial(subject)
    trainer = trial.begin()
    before = random_states()
    for index in range(trial.iterations):
        trial.iterate(trainer, index)
    if states := moved(before, torch_may_draw=True):
        raise ContractError(
            f"updates() draws from or seeds {' and '.join(states)}: draw from torch's default generator, which the run "
            "has seeded, and never seed it"
        )


def resumes(subject: Subject[Loss]) -> None:
    """Put a run down after each iteration, and take it up anew."""
    resumes_exactly(_trial(subject, more=2), "a loss")


def repeats_its_work(subject: Subject[Loss]) -> str | None:
    """Watch what each of the different iterations asks of the device, three times, after one that is not watched."""
    trial = _trial(subject)
    trainer = trial.begin()
    period = trial.iterations
    works: list[list[Work]] = [[] for _ in range(period)]
    for index in range(period * (1 + PROBES)):
        operators = Operators(trainer.device, trainer.state.tensors())
        trial.iterate(trainer, index, batches=operators.batches(trainer.batches), around=operators)
        if index >= period:
            works[index % period].append(operators.work())
    for same in works:
        if why := difference(same):
            return f"on CUDA it will be computed eagerly, which is slower than as one graph: {why}"
    return None


def uses_every_weight(subject: Subject[Loss]) -> None:
    """Watch which weights of what it brings along get a gradient."""
    trial = _trial(subject)
    trainer = trial.begin()

    def train() -> None:
        for index in range(trial.iterations):
            trial.iterate(trainer, index)

    if idle := idle_weights(trainer.state.brought.modules, train):
        raise ContractError(
            f"{', '.join(idle[:5])}{' and others' if len(idle) > 5 else ''} never get a gradient: use them, remove "
            "them, or make them buffers if they are not to be trained"
        )


def follows_schedules(subject: Subject[Loss]) -> str | None:
    """Compare the losses of each of the different iterations, and the norms of their gradients."""

    def compute(subject: Subject[Loss]) -> list[Tensor]:
        trial, values = _trial(subject), list[Tensor]()
        trainer = trial.begin()
        for index in range(trial.iterations):
            trial.iterate(trainer, index, lambda update, norm: values.extend([update.loss, norm]))
        return values

    return follow(subject, compute)


def finds_the_optimum(subject: Subject[Loss]) -> None:
    """Let a generator of shades of grey look for those of the data."""
    loss = subject.make()
    if set(loss.networks) != ADVERSARIAL:
        raise NotRunError(f"an optimum is known for {' and '.join(sorted(ADVERSARIAL))} only")
    found = mean_found(loss)
    if not abs(found - MEAN) < 0.5 * abs(START - MEAN):
        way = "away from" if (found - START) * (MEAN - START) < 0 else "not to"
        raise ContractError(
            f"it leads a generator {way} the data: the mean of its pictures, {START} at first, became {found:.2f}, and "
            f"the data's is {MEAN}; compare the signs of its terms, and real and fake, with the paper"
        )


CHECKS = (
    Check("brings", "It builds what it states that it brings along.", builds_what_it_states, ("defaults",)),
    Check("modes", "It leaves grad, autocast and torch's other modes as they were.", leaves_modes, ("brings",)),
    Check("state", "What it remembers stays in buffers and parameters, in place.", remembers_in_place, ("modes",)),
    Check("updates", "It yields finite updates for every network it names or brings.", yields_updates, ("state",)),
    Check("gradients", "Every weight that it brings along gets a gradient.", uses_every_weight, ("updates",)),
    Check("autocast", "Its updates are finite in bfloat16.", stays_finite_in_bf16, ("updates",)),
    Check("inputs", "It gives the generator all of its inputs.", gives_every_input, ("updates",)),
    Check("random", "It moves no random state but torch's default generator.", leaves_random_states, ("updates",)),
    Check("resume", "A run resumed after any iteration ends with the same bits.", resumes, ("random",)),
    Check(
        "capture",
        "Its iterations are the same work each time, as a CUDA graph is.",
        repeats_its_work,
        ("updates",),
    ),
    Check("schedules", "It computes the same with a schedule as with a number.", follows_schedules, ("updates",)),
    Check("optimum", "It leads a generator to the data.", finds_the_optimum, ("updates",)),
)


def _run(subject: Subject[Loss], autocast: Autocast) -> None:
    """Run each of the different iterations once, and look at every update."""
    trial = _trial(subject)
    trainer = trial.begin()
    moved_networks: set[str] = set()

    def observe(update: Update, gradient_norm: Tensor) -> None:
        names = networks_of(update)
        moved_networks.update(names)
        values = {f"the loss of {' and '.join(names)}": update.loss, "its gradient": gradient_norm, **update.stats}
        for name, value in values.items():
            if not isinstance(value, Tensor) or value.numel() != 1:
                raise ContractError(f"the statistic {name} is {_kind(value)}: it must be a tensor of one number")
            if not torch.isfinite(value.detach()).all():
                raise ContractError(
                    f"{name} is {value.item()} in iteration {index}: look for divisions by 0, roots and logarithms of "
                    "it, and for large numbers in exp"
                )

    for index in range(trial.iterations):
        drawn = trainer.batches.drawn
        try:
            trial.iterate(trainer, index, observe, autocast)
        except GanlabError as error:
            raise ContractError(str(error)) from error
        if trainer.batches.drawn == drawn:
            raise ContractError("it draws no batch in an iteration, so that epochs never end: call next(batches)")
    # What has no weights to train cannot be updated: it is state.
    if idle := [name for name in trainer.state.optimizers if name not in moved_networks]:
        raise ContractError(
            f"it never updates {' or '.join(idle)}: yield an Update for it, or take it out of `networks`, which are "
            "those that it moves; what it brings along and only remembers is kept in buffers"
        )


class _Strict(TorchFunctionMode):
    """Refuses what autocast refuses on CUDA, and lets pass on the CPU."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (functional.binary_cross_entropy, torch._C._nn.binary_cross_entropy):
            raise RuntimeError("autocast refuses the binary_cross_entropy of probabilities, which may round to 0 and 1")
        return function(*args, **(kwargs or {}))


@contextmanager
def _as_on_cuda() -> Iterator[None]:
    with torch.autocast("cpu", torch.bfloat16), _Strict():
        yield


def _trial(subject: Subject[Loss], more: int = 0) -> Trial:
    """Return a run of each of the loss's different iterations, and some more, on the model that it needs."""
    loss = subject.make()
    model, images = _model(subject, loss)
    return Trial(loss=loss, model=model, images=images, iterations=min(loss.period, LONGEST) + more)


def _model(subject: Subject[Loss], loss: Loss) -> tuple[Model, ImageSpec]:
    model = subject.model or Tiny()
    if missing := [name for name in loss.networks if name not in model.networks]:
        raise ContractError(
            f"it needs {' and '.join(missing)}, and the model that it is tried on has {', '.join(model.networks)}: say "
            "what it trains, contract(..., model=...), or --with NAME on the command line"
        )
    return (model, IMAGES) if subject.model is None else (model, shapes(model, subject.images)[0])


def _kind(value: object) -> str:
    return f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
