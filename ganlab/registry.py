"""Finds components: (kind, name) ▶ class; imports only what is named, and holds it to the rules of its kind."""

from __future__ import annotations

import inspect
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import metadata
from typing import Any

from ganlab.errors import PluginError
from ganlab.interfaces import API, Augmentation, Component, Dataset, Exporter, Loss, Model, Observer
from ganlab.providers import NAME, NAME_RULE, Broken, Kind, Provider, installed, normalized, shown
from ganlab.suggest import did_you_mean

KINDS: dict[Kind, type[Component]] = {
    "model": Model,
    "dataset": Dataset,
    "loss": Loss,
    "augmentation": Augmentation,
    "exporter": Exporter,
    "observer": Observer,
}
"""What a component of each kind is a subclass of."""

HERE = "this process"
"""The distribution of what `Registry.add` was given."""

_QUALIFIED = re.compile(r"(?:([A-Za-z0-9._-]{1,128}):)?([a-z0-9_.-]{1,64})")


class Registry:
    """The components that are installed, and those added by hand."""

    def __init__(self) -> None:
        self._scanned = False
        self._providers: list[Provider] = []
        self._unreadable: list[Broken] = []
        self._loaded: dict[Provider, type[Component]] = {}
        self._failed: dict[Provider, str] = {}

    def scan(self, accept: Callable[[str], bool] = lambda distribution: True) -> None:
        """Read anew what the installed distributions offer. The first question does it by itself.

        `accept` says, by a distribution's normalized name such as `ganlab-flow`, whether it counts.
        """
        added = [provider for provider in self._providers if provider.distribution == HERE]
        classes = {provider: self._loaded[provider] for provider in added}
        self._providers, self._unreadable = installed(accept)
        self._providers += added
        self._loaded, self._failed = classes, {}
        self._scanned = True

    def names(self, kind: Kind) -> list[str]:
        """Return the names of a kind's components in alphabetical order."""
        return sorted({provider.name for provider in self.providers(kind)})

    def providers(self, kind: Kind | None = None) -> list[Provider]:
        """Return who offers what, of one kind or of all, in the order of kind, name and distribution."""
        if not self._scanned:
            self.scan()
        order = list(KINDS)
        found = [provider for provider in self._providers if kind in (None, provider.kind)]
        return sorted(found, key=lambda provider: (order.index(provider.kind), *provider[1:]))

    def broken(self) -> list[Broken]:
        """Return what could not be read, and what could not be loaded so far."""
        self.providers()
        failed = [Broken(who.distribution, who.version, reason) for who, reason in self._failed.items()]
        return self._unreadable + failed

    def provider(self, kind: Kind, name: str) -> Provider:
        """Return who offers `name`, or `distribution:name`. Raise `PluginError` where nobody does, or more than one."""
        match = _QUALIFIED.fullmatch(name)
        if match is None:
            raise PluginError(
                f"{shown(name)} is not the name of a {kind}: that is {NAME_RULE}, "
                "where needed with the distribution in front (distribution:name)"
            )
        distribution, short = match.groups()
        found = [provider for provider in self.providers(kind) if provider.name == short]
        if distribution is not None:
            found = [who for who in found if normalized(who.distribution) == normalized(distribution)]
        if not found:
            raise PluginError(self._unknown(kind, name))
        if len(found) > 1:
            choices = " or ".join(f'"{provider.distribution}:{short}"' for provider in found)
            origins = " and ".join(provider.origin for provider in found)
            raise PluginError(f'{kind} "{short}" is offered by {origins}; write {choices}')
        return found[0]

    def get(self, kind: Kind, name: str) -> type[Any]:
        """Return the component's class, imported once. Raise `PluginError` with its distribution and the reason."""
        provider = self.provider(kind, name)
        if provider not in self._loaded and provider not in self._failed:
            try:
                self._loaded[provider] = _checked(provider, _load(provider))
            except PluginError as error:
                self._failed[provider] = str(error)
        if provider in self._failed:
            raise PluginError(self._failed[provider])
        return self._loaded[provider]

    def add(self, kind: Kind, name: str, cls: type[Component]) -> None:
        """Add a class that no distribution offers, such as one from a notebook; it replaces an earlier addition.

        Raises `PluginError` where it breaks a rule of its kind or an installed component has that name.
        """
        if not NAME.fullmatch(name):
            raise PluginError(f"{shown(name)} is not a name: {NAME_RULE}")
        for other in self.providers(kind):
            if other.name == name and other.distribution != HERE:
                raise PluginError(f'{kind} "{name}" is already offered by {other.origin}; add yours under another name')
        target = f"{cls.__module__}:{cls.__qualname__}" if isinstance(cls, type) else "an object"
        provider = Provider(kind, name, HERE, "", target)
        _checked(provider, cls)
        self.remove(kind, name)
        self._providers.append(provider)
        self._loaded[provider] = cls

    def remove(self, kind: Kind, name: str) -> None:
        """Take an addition away; nothing happens where there is none."""
        for provider in [who for who in self.providers(kind) if (who.name, who.distribution) == (name, HERE)]:
            self._providers.remove(provider)
            del self._loaded[provider]

    def _unknown(self, kind: Kind, name: str) -> str:
        short = name.rpartition(":")[2]
        names = self.names(kind)
        others = [other for other in KINDS if other != kind and short in self.names(other)]
        if short in names:
            offered = " and ".join(who.origin for who in self.providers(kind) if who.name == short)
            return f'no {kind} "{name}" is installed; "{short}" is offered by {offered}'
        near = did_you_mean(short, names)
        if not near and others:
            near = f'; "{short}" is {_a(others[0])}'
        installed_names = f"installed: {', '.join(names)}" if names else "none is"
        return f'no {kind} "{name}" is installed{near} ({installed_names})'


registry = Registry()
"""The components of this process."""


def _load(provider: Provider) -> object:
    """Import the provider's class. Raise `PluginError` whatever the stranger's module does."""
    entry = metadata.EntryPoint(provider.name, provider.target, provider.kind)
    with _interrupts() as interrupted, redirect_stdout(sys.stderr):
        try:
            return entry.load()
        # A stranger's code: an import error, sys.exit or a raised KeyboardInterrupt must not end the program.
        except BaseException as error:
            if interrupted:
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
            raise PluginError(f"{provider.title} cannot be imported from {provider.target}: {reason}") from error


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Yield a list that becomes non-empty when the user interrupts, so that a plugin's own exception is told apart."""
    seen: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield seen
        return

    def note(number: int, frame: Any) -> Any:
        seen.append(number)
        return before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        if signal.getsignal(signal.SIGINT) is note:  # else the plugin has set one of its own
            signal.signal(signal.SIGINT, before)


def _checked(provider: Provider, cls: object) -> type[Component]:
    """Return `cls` where it keeps the rules of its kind, else raise `PluginError`."""
    who, base = provider.title, KINDS[provider.kind]
    if not isinstance(cls, type):
        raise PluginError(f"{who} must be a class, not {_a(type(cls).__name__)}")
    kinds = [kind for kind, other in KINDS.items() if issubclass(cls, other) and cls is not other]
    if not issubclass(cls, base) or kinds != [provider.kind]:
        what = f"it is {' and '.join(map(_a, kinds))}" if kinds else "it is not"
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
    if issubclass(cls, Model) and "generator" not in cls.networks:
        raise PluginError(f'{who} must have "generator" among its networks: that is what is shipped')
    return cls


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
