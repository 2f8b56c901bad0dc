"""The checks of what augmentations remember: what they bring along, and how they adapt it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganlab.interfaces import Augmentation, ImageSpec
from ganlab.registry.lookup import registry
from ganlab.testing.checks.brought import Memory, built_as_stated
from ganlab.testing.subject import ContractError, Subject, described
from ganlab.testing.surroundings import modes, moved, random_states
from ganlab.testing.toys import Tiny, waves
from ganlab.testing.trial import Trial
from ganlab.training.brought import build_brought

USUAL = (ImageSpec(1, 28, 28), ImageSpec(3, 32, 32), ImageSpec(3, 48, 64))


def builds_what_it_states(subject: Subject[Augmentation]) -> str | None:
    """Build what it brings along, twice, for each shape of pictures."""
    component = subject.make()
    for images in tried_on(subject):
        built_as_stated(component, Tiny(), images)
    trained = [
        f"{name}.{key}"
        for name, module in build_brought(component, tried_on(subject)[0]).items()
        for key, weight in module.named_parameters()
        if weight.requires_grad
    ]
    if trained:
        return f"only a loss that knows of {trained[0]} can train it; if none is to, make it a buffer"
    return None


def remembers_in_place(subject: Subject[Augmentation]) -> None:
    """Augment and adapt by turns, and look at what it brings along."""
    component, images = subject.live(), tried_on(subject)[0]
    state = build_brought(component, images)
    memory = Memory(state)
    for stats in _reported(subject):
        component.augment(real_pictures(images, 7), state)
        with torch.no_grad():
            component.adapt(state, stats)
        memory.hold()


def adapts_nothing_else(subject: Subject[Augmentation]) -> None:
    """Adapt to what the updates of an iteration report, and to what reports nothing; see what else has changed."""
    component, images = subject.live(), tried_on(subject)[0]
    state = build_brought(component, images)
    for stats in (*_reported(subject), {}):
        before = {name: value.clone() for name, value in stats.items()}
        before_states = random_states()
        try:
            with torch.no_grad():
                before_modes = modes()
                component.adapt(state, stats)
                after_modes = modes()
        # A stranger's code.
        except Exception as error:
            names = ", ".join(stats) or "nothing"
            raise ContractError(
                f"adapt() raises {described(error, subject.cls)} over an update that reports {names}: it is called "
                "after every update, whatever that reports; ask whether what it follows is among its `stats`"
            ) from error
        if list(stats) != list(before) or not all(torch.equal(stats[name], value) for name, value in before.items()):
            raise ContractError("adapt() changes the update's `stats`, which are logged: write into `state` alone")
        if states := moved(before_states, torch_may_draw=True):
            raise ContractError(f"adapt() draws from or seeds {' and '.join(states)}")
        if after_modes != before_modes:
            raise ContractError("adapt() leaves torch in other modes: close torch.enable_grad() and the like")


def tried_on(subject: Subject[Augmentation]) -> Sequence[ImageSpec]:
    """Return the shapes of the pictures that an augmentation is tried on."""
    return subject.images or USUAL


def real_pictures(images: ImageSpec, count: int) -> Tensor:
    """Return pictures of the toy data as a loss gets them."""
    return torch.from_numpy(waves(images, count).images).float() / 127.5 - 1.0


def _reported(subject: Subject[Augmentation]) -> list[dict[str, Tensor]]:
    """Return what each update of an iteration without the augmentation reports."""
    trial = Trial(Tiny(), registry.get("loss", "bce")(), tried_on(subject)[0], 1)
    found: list[dict[str, Tensor]] = []
    trial.iterate(
        trial.begin(), 0, lambda update, _: found.append({name: value.detach() for name, value in update.stats.items()})
    )
    return found
