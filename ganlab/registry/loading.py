"""A stranger's code ▶ a component's class: imported so that nothing it does can harm, and held to its kind's rules."""

from __future__ import annotations

import inspect
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import metadata
from typing import Any, get_args

from ganlab import interfaces
from ganlab.errors import GanlabError, PluginError
from ganlab.events import Events
from ganlab.hardware.memory import ran_out
from ganlab.interfaces import API, Augmentation, Better, Component, Loss, Metric, Model, Observer
from ganlab.messages import in_words, short, told, with_article
from ganlab.registry.entry_points import Provider, strict
from ganlab.registry.kinds import KINDS, Kind
from ganlab.registry.widening import KINDS_OF_VALUES, widened

BASES: Mapping[Kind, type[Component]] = {kind: vars(interfaces)[traits.base] for kind, traits in KINDS.items()}
"""What a component of each kind is a subclass of."""

CHOSEN = 2**32
"""Below it lie the seeds that people choose, and one in 2**32 of those that torch draws for itself."""
SEEDS = "seeds torch's random numbers at its import"
"""What a plugin must not do, and what is undone."""


def load(provider: Provider) -> tuple[type[Component], bool]:
    """Import the provider's class; return it, and whether that has seeded torch.

    Raises `PluginError` whatever the stranger's module does.
    """
    entry = metadata.EntryPoint(provider.name, provider.target, provider.kind)
    with _interrupts() as interrupted, redirect_stdout(sys.stderr), _torch_left_alone() as seeds:
        with _survived(provider, f"cannot be imported from {provider.target}", interrupted):
            cls = entry.load()
        with _survived(provider, "cannot be used", interrupted):
            component = checked(provider, cls)
    if seeds and strict():
        raise PluginError(f"{provider.title} {SEEDS}; leave that to whoever runs it (GANLAB_STRICT_PLUGINS is set)")
    return component, bool(seeds)


@contextmanager
def blaming(who: Provider | str, what: str) -> Iterator[None]:
    """Turn whatever a component raises that is no user's mistake into a `PluginError` that names who offers it.

    `what` follows the name, as in "cannot write".
    """
    try:
        yield
    except GanlabError:
        raise
    # A stranger's code.
    except (Exception, SystemExit) as error:
        if ran_out(error):  # which is no component's fault
            raise
        name = who.title if isinstance(who, Provider) else who
        raise PluginError(f"{name} {what}: {told(error)}") from error


@contextmanager
def _survived(provider: Provider, failure: str, interrupted: list[int]) -> Iterator[None]:
    """Turn whatever is raised, but for a real interrupt, into a `PluginError` that names the provider."""
    try:
        yield
    # A stranger's code: an import error, sys.exit or a raised KeyboardInterrupt must not end the program.
    except BaseException as error:
        if interrupted or (isinstance(error, PluginError) and provider.title in str(error)):
            raise
        raise PluginError(f"{provider.title} {failure}: {told(error)}") from error


@contextmanager
def _torch_left_alone() -> Iterator[list[int]]:
    """Put torch's default generator back afterwards; yield a list that gets the seed that a plugin has given it."""
    seeds: list[int] = []
    before = _torch_random()
    try:
        yield seeds
    finally:
        after = _torch_random()
        if after is not None and before is not None:
            if after.seed != before.seed:
                seeds.append(after.seed)
            after.generator.set_state(before.state)
        elif after is not None and after.seed < CHOSEN:
            # The plugin itself has brought torch in, whose generator begins with a seed of 64 bits that nobody knows.
            seeds.append(after.seed)
            after.generator.seed()


class _Random:
    """The state of one of torch's generators at one moment."""

    def __init__(self, generator: Any) -> None:
        self.generator, self.seed, self.state = generator, generator.initial_seed(), generator.get_state()


def _torch_random() -> _Random | None:
    """Return the state of torch's default generator, if torch is there."""
    try:
        return _Random(sys.modules["torch"].default_generator)
    except (KeyError, AttributeError):  # not there, or given up halfway
        return None


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Yield a list that becomes non-empty when the user interrupts, so that a plugin's own exception is told apart."""
    seen: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def note(number: int, frame: Any) -> Any:
        seen.append(number)
        return before[signal.Signals(number)](number, frame)

    for number in before:
        signal.signal(number, note)
    try:
        yield seen
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is note:  # else the plugin has set one of its own
                signal.signal(number, handler)


def checked(provider: Provider, cls: object) -> type[Component]:
    """Return `cls` where it keeps the rules of its kind, else raise `PluginError`."""
    who, base = provider.title, BASES[provider.kind]
    if not isinstance(cls, type):
        raise PluginError(f"{who} must be a class, not {with_article(type(cls).__name__)}")
    kinds = [kind for kind, other in BASES.items() if issubclass(cls, other) and cls is not other]
    if not issubclass(cls, base) or kinds != [provider.kind]:
        what = f"it is {' and '.join(map(with_article, kinds))}" if kinds else "it is not"
        raise PluginError(f"{who} must be a subclass of ganlab.{base.__name__} alone; {what} ({provider.target})")
    api = vars(cls).get("api")
    if type(api) is not int:
        raise PluginError(f"{who} must state `api = {API}` in the body of its class {cls.__name__}")
    if api != API:
        older = "a newer ganlab" if api > API else f"a newer version of {provider.distribution}"
        raise PluginError(f"{who} was written for api = {api}; this ganlab has api = {API}: install {older}")
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        raise PluginError(f"{who} does not define {missing}")
    if "name" in cls.model_fields:
        raise PluginError(f'{who} has an option "name"; that key names the component itself, call the option otherwise')
    check_names(cls, who)
    if issubclass(cls, Model) and "generator" not in cls.networks:
        raise PluginError(f'{who} must have "generator" among its networks: that is what is shipped')
    if issubclass(cls, Model) and not {"generator"} <= set(cls.shipped) <= set(cls.networks):
        raise PluginError(
            f'{who} ships {in_words(cls.shipped)}: that must be "generator" and others of its networks, '
            f"{in_words(cls.networks)}"
        )
    if issubclass(cls, Metric):
        check_better(cls, who)
    if not cls.__pydantic_complete__:
        cls.model_rebuild()  # which raises where the type of an option cannot be found
    refuse_widened(cls, base, who)
    if issubclass(cls, Observer):
        check_hooks(cls, who)
    return cls


def check_names(cls: type[Component], who: str) -> None:
    """Raise `PluginError` where a class states names of networks that no checkpoint or recipe could hold."""
    stated = {
        "networks": cls.networks if issubclass(cls, Model | Loss) else (),
        "brings": cls.brings if issubclass(cls, Loss | Augmentation) else (),
    }
    for attribute, names in stated.items():
        # A text is a sequence of letters, too: ("a") is no tuple.
        if not isinstance(names, tuple) or not all(isinstance(name, str) and name.isidentifier() for name in names):
            raise PluginError(
                f'{who} states {attribute} = {names!r}; it must be a tuple of names of letters, digits and "_", such '
                f'as {attribute} = ("critic",)'
            )
        if len(set(names)) < len(names):
            raise PluginError(f"{who} states {attribute} = {names!r}, in which a name stands twice")
    if both := [name for name in stated["brings"] if name in stated["networks"]]:
        raise PluginError(
            f"{who} states {', '.join(both)} among its networks, which are the model's, and in what it brings along: "
            "take it out of `networks`"
        )


def check_better(cls: type[Metric], who: str) -> None:
    """Raise `PluginError` where a metric does not say which of its numbers are the better ones."""
    stated: object = getattr(cls, "better", None)
    said = list(stated.values()) if isinstance(stated, Mapping) else [stated]
    if not said or any(word not in get_args(Better) for word in said):
        raise PluginError(
            f'{who} states better = {short(repr(stated))}; it must be "lower", "higher" or "neither", or a mapping '
            "from the names of its numbers to one of these"
        )


def refuse_widened(
    cls: type[Component], base: type[Component], who: str, values: Iterable[object] = KINDS_OF_VALUES
) -> None:
    """Raise `PluginError` where an option that the whole kind has accepts what the host cannot use."""
    if (found := widened(cls, base, values)) is not None:
        name, value = found
        raise PluginError(
            f"{who}: its option {name} accepts {json.dumps(value)}, which that of ganlab.{base.__name__} does not: "
            "leave it out, or give it a type that accepts less, for the host uses it, too"
        )


def check_hooks(cls: type[Observer], who: str) -> None:
    """Raise `PluginError` for hooks of a class that are misspelt, want what no event has, or ask for more than a call.

    pluggy finds the second alone, and only for an observer that has been made.
    """
    for hook, method in inspect.getmembers_static(cls, inspect.isfunction):
        options = method.__dict__.get("ganlab_impl")
        if options is None:
            continue
        if hook not in Events.__dict__:
            events = ", ".join(key for key in Events.__dict__ if not key.startswith("_"))
            raise PluginError(f"{who}: {hook} is not an event; the events are {events}")
        known = _arguments(Events.__dict__[hook])
        if strange := [name for name in _arguments(method) if name not in known]:
            raise PluginError(f"{who}: {hook} has no argument {', '.join(strange)}; it has {', '.join(known)}")
        if chosen := [key for key, value in options.items() if value]:
            raise PluginError(f"{who}: {hook}: observers are called one by one; @hookimpl takes no {', '.join(chosen)}")


def _arguments(method: Callable[..., object]) -> list[str]:
    """Return what a hook is called with: those without a default, but for `self`."""
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    return [item.name for item in parameters if item.kind in named and item.default is inspect.Parameter.empty]
