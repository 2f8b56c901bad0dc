"""The checks of optimizers: what they remember, where they lead, and that a graph and a checkpoint can hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganlab.errors import NonFiniteError, PluginError
from ganlab.interfaces import Optimizer, Position
from ganlab.registry.lookup import registry
from ganlab.testing.checks.schedules import follow
from ganlab.testing.subject import Check, ContractError, Subject
from ganlab.testing.surroundings import modes, moved, random_states
from ganlab.testing.toys import IMAGES, Tiny
from ganlab.testing.trial import CPU, Trial
from ganlab.training.cuda_graphs import PROBES
from ganlab.training.operators import Operators, difference
from ganlab.training.optimizer import Optimized, rate_dtype
from ganlab.training.schedules import Schedules

STEPS = 4
"""Steps after which two ways are compared."""
RATES, PATIENCE, NEARER = (1.0, 0.1, 0.03, 0.01, 3e-3), 400, 0.1
"""Learning rates that are tried to find the bottom of a bowl, in so many steps each, and how near it must be found."""


def remembers_tensors(subject: Subject[Optimizer]) -> None:
    """Look at the state of parameters before the first step, and that the step changes it where it is."""
    trial = _begun(subject)
    for parameter in trial.parameters:
        for name, value in trial.optimized.state[parameter].items():
            if value.shape == parameter.shape and value.stride() != parameter.stride():
                raise ContractError(
                    f"its {name} lies in memory otherwise than the parameter, {value.stride()} for "
                    f"{parameter.stride()}: make it with torch.zeros_like(parameter)"
                )
            if not torch.isfinite(value).all():
                raise ContractError(f"its {name} holds NaN or infinite values before the first step")
    before = _places(trial)
    if len(set(before.values())) < len(before):
        raise ContractError("parameters share their state: make new tensors in each call of state()")
    trial.step(0)
    if _places(trial) != before:
        raise ContractError("step() puts other tensors into the state: change those that are there, in place")


def moves_what_has_a_gradient(subject: Subject[Optimizer]) -> None:
    """Take steps, one of them without a gradient for the last parameter."""
    trial = _begun(subject)
    for step in range(STEPS):
        before = [parameter.detach().clone() for parameter in trial.parameters]
        places = [parameter.data_ptr() for parameter in trial.parameters]
        trial.step(step)
        for number, (parameter, start) in enumerate(zip(trial.parameters, before, strict=True)):
            if not torch.isfinite(parameter).all():
                raise ContractError(f"a parameter is NaN or infinite after {step + 1} steps: look for divisions by 0")
            if torch.equal(parameter, start) == _has_gradient(step, number):
                raise ContractError("step() leaves a parameter where it was: move each of those that it is given")
        if places != [parameter.data_ptr() for parameter in trial.parameters]:
            raise ContractError("step() gives parameters other memory: move them in place, as sub_() and add_() do")


def follows_the_rate(subject: Subject[Optimizer]) -> None:
    """Take a step at rate 0, and one with the rate raised where the device reads it."""
    trial = _begun(subject)
    start = [parameter.detach().clone() for parameter in trial.parameters]
    trial.optimized.lr.fill_(0.0)
    trial.step(0)
    if not all(map(torch.equal, trial.parameters, start)):
        raise ContractError("it moves parameters at a learning rate of 0: multiply each step by self.lr")
    trial.optimized.lr.fill_(0.1)
    trial.step(1)
    if all(map(torch.equal, trial.parameters, start)):
        raise ContractError(
            "it does not notice that the learning rate has changed: compute with self.lr in each step, and keep no copy"
        )


def leaves_surroundings(subject: Subject[Optimizer]) -> None:
    """Take a step, and see which random states, modes and gradients have changed."""
    before_states, before_modes = random_states(), modes()
    trial = _begun(subject)
    gradients = [parameter.grad for parameter in trial.give_gradients(0)]
    copies = [None if gradient is None else gradient.clone() for gradient in gradients]
    trial.optimized.step()
    for gradient, copy in zip(gradients, copies, strict=True):
        if gradient is not None and copy is not None and not torch.equal(gradient, copy):
            raise ContractError("step() changes the gradients, which may be shared: compute with copies")
    if states := moved(before_states, torch_may_draw=True):
        raise ContractError(f"it draws from or seeds {' and '.join(states)}: draw from torch's default generator")
    for name, value in modes()._asdict().items():
        if value != (before := before_modes._asdict()[name]):
            raise ContractError(f"it leaves torch in other modes: {name} is {value} instead of {before}")


def resumes(subject: Subject[Optimizer]) -> None:
    """Take steps, and half of them with a new component from what a checkpoint would hold."""
    whole = _begun(subject)
    for step in range(STEPS):
        whole.step(step)
    first = _begun(subject)
    for step in range(STEPS // 2):
        first.step(step)
    second = _begun(subject)
    with torch.no_grad():
        for there, here in zip(second.tensors(), first.tensors(), strict=True):
            there.copy_(here)
    for step in range(STEPS // 2, STEPS):
        second.step(step)
    if not all(map(torch.equal, whole.tensors(), second.tensors())):
        raise ContractError(
            "a run that was put down and taken up again ends with other parameters or another state: remember "
            "nothing but what state() has returned, and draw nothing at random"
        )


def works_in_any_layout(subject: Subject[Optimizer]) -> None:
    """Take the same steps with weights that lie channel by channel, and with the same weights in rows."""
    trials = [_begun(subject, layout) for layout in (torch.channels_last, torch.contiguous_format)]
    for trial in trials:
        strides = [parameter.stride() for parameter in trial.parameters]
        for step in range(STEPS):
            trial.step(step)
        if strides != [parameter.stride() for parameter in trial.parameters]:
            raise ContractError("step() changes how parameters lie in memory: move them in place")
    for one, other in zip(trials[0].parameters, trials[1].parameters, strict=True):
        if not torch.allclose(one, other, rtol=1e-4, atol=1e-6):
            raise ContractError("parameters that lie channel by channel are moved otherwise than those in rows")


def repeats_its_work(subject: Subject[Optimizer]) -> str | None:
    """Watch what steps ask of the device, after one that is not watched."""
    trial, works = _begun(subject), []
    trial.step(0, all_gradients=True)
    for step in range(1, 1 + PROBES):
        trial.give_gradients(step, all_gradients=True)
        lasting = [(str(number), tensor) for number, tensor in enumerate(trial.tensors())]
        with Operators(CPU, lasting) as operators:
            trial.optimized.step()
        works.append(operators.work())
    if why := difference(works):
        return f"on CUDA iterations with it will be computed eagerly, which is slower than as one graph: {why}"
    return None


def follows_schedules(subject: Subject[Optimizer]) -> str | None:
    """Compare where the parameters are after some steps."""

    def compute(subject: Subject[Optimizer]) -> list[Tensor]:
        trial = _begun(subject)
        for step in range(STEPS):
            trial.step(step)
        return list(trial.parameters)

    return follow(subject, compute)


def finds_the_bottom(subject: Subject[Optimizer]) -> None:
    """Look for the bottom of a bowl that is ten times as steep one way as the other."""
    steepness, start = torch.tensor([1.0, 10.0]), torch.tensor([1.0, -1.0])
    left = []
    for rate in RATES:
        point = nn.Parameter(start.clone())
        optimized = Optimized([point], Schedules(CPU).live(subject.make(), rate_dtype(CPU)), CPU)
        for step in range(PATIENCE):
            optimized.lr.fill_(rate * (1 - step / PATIENCE))
            point.grad = steepness * point.detach()
            optimized.step()
        left.append(float((point.detach().norm() / start.norm()).nan_to_num(nan=torch.inf)))
    if min(left) > NEARER:
        raise ContractError(
            f"at none of the learning rates {', '.join(map(str, RATES))} does it find the bottom of a bowl in "
            f"{PATIENCE} steps: of the distance {min(left):.0%} is left at best; compare its signs with the paper"
        )


def trains(subject: Subject[Optimizer]) -> None:
    """Train a few iterations of a small GAN with it."""
    trial = Trial(Tiny(), registry.get("loss", "bce")(), IMAGES, STEPS, optimizer=subject.make())
    try:
        trial.finish(trial.begin())
    except NonFiniteError as error:
        raise ContractError(f"{error.what} is NaN or infinite after {STEPS} iterations with its own options") from error


CHECKS = (
    Check(
        "state",
        "What it remembers are tensors that last, laid out as the parameters.",
        remembers_tensors,
        ("defaults",),
    ),
    Check("step", "It moves every parameter that has a gradient, in place.", moves_what_has_a_gradient, ("state",)),
    Check("lr", "It follows a learning rate that changes.", follows_the_rate, ("step",)),
    Check("random", "It moves no random state but torch's, no mode and no gradient.", leaves_surroundings, ("step",)),
    Check("resume", "Steps after a checkpoint give the same bits.", resumes, ("random",)),
    Check("layout", "Weights are moved alike however they lie in memory.", works_in_any_layout, ("resume",)),
    Check("capture", "Its steps are the same work each time, as a CUDA graph is.", repeats_its_work, ("step",)),
    Check("schedules", "It moves alike with a schedule and with a number.", follows_schedules, ("resume",)),
    Check("optimum", "It finds the bottom of a bowl.", finds_the_bottom, ("lr",)),
    Check("iteration", "Iterations with it leave everything finite.", trains, ("random",)),
)


class _Begun(NamedTuple):
    """Parameters of several shapes, and their optimizer before its first step."""

    parameters: Sequence[nn.Parameter]
    optimized: Optimized

    def give_gradients(self, step: int, all_gradients: bool = False) -> Sequence[nn.Parameter]:
        """Give each the gradient of this step: the same in every trial."""
        draw = torch.Generator().manual_seed(1000 + step)
        for number, parameter in enumerate(self.parameters):
            gradient = torch.randn(parameter.shape, generator=draw)
            if all_gradients or _has_gradient(step, number):
                parameter.grad = torch.empty_like(parameter).copy_(gradient)
        return self.parameters

    def step(self, step: int, all_gradients: bool = False) -> None:
        self.give_gradients(step, all_gradients)
        self.optimized.step()

    def tensors(self) -> list[Tensor]:
        """Return what a checkpoint would hold."""
        states = self.optimized.state.values()
        return [*(p.detach() for p in self.parameters), *(value for state in states for value in state.values())]


def _begun(subject: Subject[Optimizer], layout: torch.memory_format = torch.channels_last) -> _Begun:
    draw = torch.Generator().manual_seed(0)
    values = [torch.randn(4, 3, 2, 2, generator=draw).contiguous(memory_format=layout)]
    values += [torch.randn(5, 3, generator=draw), torch.randn(6, generator=draw)]
    parameters, schedules = [nn.Parameter(value) for value in values], Schedules(CPU)
    live = schedules.live(subject.make(), rate_dtype(CPU))
    schedules.begin(Position(0, 0, 0, progress=0))
    try:
        return _Begun(parameters, Optimized(parameters, live, CPU))
    except PluginError as error:
        raise ContractError(str(error)) from error


def _has_gradient(step: int, number: int) -> bool:
    return (step, number) != (2, 2)


def _places(trial: _Begun) -> dict[tuple[int, str], int]:
    """Return where each tensor of the state lies."""
    return {
        (number, name): value.data_ptr()
        for number, parameter in enumerate(trial.parameters)
        for name, value in trial.optimized.state[parameter].items()
    }
