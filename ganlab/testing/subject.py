"""What is checked, what a check is, and how it says what to change."""

from __future__ import annotations

import json
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import uuid4

from pydantic import ValidationError

from ganlab.errors import GanlabError
from ganlab.interfaces import Component, ImageSpec, Loss, Model, Position
from ganlab.messages import place_in
from ganlab.registry.kinds import Kind
from ganlab.registry.lookup import registry

C = TypeVar("C", bound=Component)


class ContractError(Exception):
    """A rule that a component breaks; the message says what to change."""


class NotRunError(Exception):
    """There is nothing that a check could find out; the message says why."""


@dataclass(frozen=True, eq=False)
class Subject(Generic[C]):
    """One component class with one set of options, and what it is tried with."""

    kind: Kind
    """What kind of component it is."""
    cls: type[C]
    """The class."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The options that it is made with, as a recipe has them."""
    images: tuple[ImageSpec, ...] = ()
    """Pictures that the model must accept; of those that the suite knows where this is empty."""
    loss: Loss | None = None
    """What trains the model, where its networks are not a generator and a discriminator."""
    model: Model | None = None
    """What the loss trains, where its networks are not a generator and a discriminator."""

    def make(self) -> C:
        """Return a new component with the options, read as those of a recipe are. Raise `ValidationError`."""
        return self.cls.model_validate_json(json.dumps(self.options, default=str))

    def live(self) -> C:
        """Return one as the first iteration has it: numbers with a schedule are scalar tensors."""
        import torch

        from ganlab.training.schedules import Schedules

        schedules = Schedules(torch.device("cpu"))
        component = schedules.live(self.make())
        schedules.begin(Position(0, 0, 0, progress=0))
        return component


class Check(NamedTuple):
    """One rule of the contract."""

    name: str
    """What `expected_failures` calls it."""
    proves: str
    """What holds where the check passes, as a sentence."""
    function: Callable[[Subject[Any]], str | None]
    """Raises where the rule is broken, and `NotRunError`; what it returns is advice about something that is allowed."""
    needs: tuple[str, ...] = ()
    """The checks without which this one proves nothing."""


@contextmanager
def registered(kind: Kind, cls: type[Component]) -> Iterator[str]:
    """Yield a name by which the registry knows the class meanwhile. Raise `PluginError` where it breaks a rule."""
    name = f"contract.{uuid4().hex}"
    registry.add(kind, name, cls)
    try:
        yield name
    finally:
        registry.remove(kind, name)


def copied(component: C) -> C:
    """Return a component with the same options that remembers nothing."""
    return type(component)(**dict(component))


def described(error: BaseException, cls: type[Component]) -> str:
    """Return an exception in one line, with the line of the component's own code that it comes from."""
    if isinstance(error, ContractError | GanlabError):
        return str(error)
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or cls.__name__}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
    text = " ".join(str(error).split())
    if len(text) > 400:
        text = f"{text[:397]}..."
    return f"{type(error).__name__}: {text}{_place(error)}"


def _place(error: BaseException) -> str:
    """Return where the exception passed last through code of neither ganlab, nor Python, nor a library."""
    others = (Path(__file__).parents[1], Path(sysconfig.get_path("stdlib")))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        library = {"site-packages", "dist-packages"}.intersection(path.parts)
        if not library and path.is_file() and not any(other in path.parents for other in others):
            return f" ({place_in(frame.filename, frame.lineno)})"
    return ""
