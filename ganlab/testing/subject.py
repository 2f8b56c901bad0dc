"""What is checked, what a check is, and how it says what to change."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import uuid4

from pydantic import ValidationError

from ganlab.interfaces import Component, ImageSpec, Loss, Model
from ganlab.providers import Kind
from ganlab.registry import registry

C = TypeVar("C", bound=Component)


class ContractError(Exception):
    """A rule that a component breaks; the message says what to change."""


@dataclass(frozen=True, eq=False)
class Subject(Generic[C]):
    """One component class with one set of options, and what it is tried with."""

    kind: Kind
    cls: type[C]
    options: Mapping[str, Any] = field(default_factory=dict)
    images: tuple[ImageSpec, ...] = ()
    """Pictures that the model must accept; of those that the suite knows where this is empty."""
    loss: Loss | None = None
    """What trains the model, where its networks are not a generator and a discriminator."""
    model: Model | None = None
    """What the loss trains, where its networks are not a generator and a discriminator."""

    def make(self) -> C:
        """Return a new component with the options, read as those of a recipe are. Raise `ValidationError`."""
        return self.cls.model_validate_json(json.dumps(self.options, default=str))


class Check(NamedTuple):
    """One rule of the contract."""

    name: str
    proves: str
    """What holds where the check passes, as a sentence."""
    function: Callable[[Subject[Any]], str | None]
    """Raises where the rule is broken; what it returns is advice about something that is allowed."""
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
    if isinstance(error, ContractError):
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
    """Return where the exception passed through code that belongs to neither ganlab nor a library."""
    here = Path(__file__).parents[1]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not {"site-packages", "dist-packages"} & {*Path(frame.filename).parts}
        and not frame.filename.startswith("<")
        and here not in Path(frame.filename).parents
    ]
    own = [frame for frame in frames if "torch" not in Path(frame.filename).parts]
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
