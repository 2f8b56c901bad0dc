"""Finds components: (kind, name) ▶ class; imports only what is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from ganlab.errors import PluginError
from ganlab.interfaces import Component
from ganlab.messages import did_you_mean, in_words, quoted, with_article
from ganlab.registry.checkout import how_to_install
from ganlab.registry.disabled import disabled
from ganlab.registry.entry_points import HOST, NAME, NAME_RULE, Broken, Provider, installed, normalized, strict
from ganlab.registry.kinds import KINDS, Kind
from ganlab.registry.loading import BASES, SEEDS, checked, load

HERE = "this process"
"""The distribution of what `Registry.add` was given."""

_QUALIFIED = re.compile(r"(?:([A-Za-z0-9._-]{1,128}):)?([a-z0-9_.-]{1,64})")


class Registry:
    """The components that are installed, and those added by hand."""

    def __init__(self) -> None:
        self._scanned = False
        self._chosen = False
        """Whether `accept` has left something out, rather than the user's settings."""
        self._providers: list[Provider] = []
        self._left_out: list[Provider] = []
        self._unreadable: list[Broken] = []
        self._loaded: dict[Provider, type[Component]] = {}
        self._failed: dict[Provider, PluginError] = {}
        self._seeded: list[Provider] = []

    def scan(self, accept: Callable[[str], bool] | None = None) -> None:
        """Read anew what the installed distributions offer. The first question does it by itself.

        `accept` says, by a distribution's normalized name such as `ganlab-flow`, whether it counts; without it all do
        that the user has not disabled.
        """
        self._chosen = accept is not None
        if accept is None:
            off = disabled()
            accept = lambda distribution: distribution not in off  # noqa: E731
        added = [provider for provider in self._providers if provider.distribution == HERE]
        classes = {provider: self._loaded[provider] for provider in added}
        found, unreadable = installed()
        self._providers = [provider for provider in found if accept(normalized(provider.distribution))] + added
        self._left_out = [provider for provider in found if not accept(normalized(provider.distribution))]
        # A distribution whose name cannot even be read cannot be left out by it.
        self._unreadable = [item for item in unreadable if not item.version or accept(normalized(item.distribution))]
        self._loaded, self._failed, self._seeded = classes, {}, []
        self._scanned = True

    def names(self, kind: Kind) -> list[str]:
        """Return the names of a kind's components in alphabetical order."""
        return sorted({provider.name for provider in self.providers(kind)})

    def providers(self, kind: Kind | None = None) -> list[Provider]:
        """Return who offers what, of one kind or of all, in the order of kind, name and distribution."""
        if not self._scanned:
            self.scan()
        return _ordered(provider for provider in self._providers if kind in (None, provider.kind))

    def left_out(self) -> list[Provider]:
        """Return what is installed and does not count, because of `scan`'s `accept` or because it is disabled."""
        self.providers()
        return _ordered(self._left_out)

    def unreadable(self) -> list[Broken]:
        """Return what the distributions' metadata offer in a way that cannot be read."""
        self.providers()
        return list(self._unreadable)

    def broken(self) -> list[Broken]:
        """Return what could not be read, and what could not be loaded so far."""
        failed = [Broken(who.distribution, who.version, str(error)) for who, error in self._failed.items()]
        return self.unreadable() + failed

    def warnings(self) -> list[str]:
        """Return what is to be said of those that were loaded so far, and work."""
        return [f"{provider.title} {SEEDS}; that was undone" for provider in self._seeded]

    def clashes(self) -> list[str]:
        """Return in a sentence each which names more than one distribution offers, and how to tell them apart."""
        sentences = []
        for kind, name in dict.fromkeys(provider[:2] for provider in self.providers()):
            found = self._offering(kind, name)
            own = [provider for provider in found if _is_host(provider)]
            if len(found) > 1 and not own:
                sentences.append(_ambiguous(found))
            elif len(found) > 1:
                others = [provider for provider in found if provider not in own]
                full = in_words([f'"{provider.distribution}:{name}"' for provider in others], "or")
                sentences.append(
                    f'{kind} "{name}" is offered by {in_words([who.origin for who in others])} too, '
                    f"but the name stands for ganlab's own; write {full} for the other"
                )
        return sentences

    def title(self, component: Component) -> str:
        """Return what messages call a component: its kind and name, its distribution and version, or its class."""
        for provider, cls in self._loaded.items():
            if cls is type(component):
                return provider.title
        kind = next((kind for kind, base in BASES.items() if isinstance(component, base)), "component")
        return f"{kind} {type(component).__name__}"

    def provider(self, kind: Kind, name: str) -> Provider:
        """Return who offers `name`, or `distribution:name`. Raise `PluginError` where nobody does, or more than one.

        A name that ganlab itself offers stands for that, whatever else is installed: no plugin changes what a recipe
        means that was written without it.
        """
        match = _QUALIFIED.fullmatch(name)
        if match is None:
            raise PluginError(
                f"{quoted(name)} is not the name of {with_article(kind)}: that is {NAME_RULE}, "
                "where needed with the distribution in front (distribution:name)"
            )
        distribution, short = match.groups()
        found = self._offering(kind, short)
        if distribution is not None:
            found = [who for who in found if normalized(who.distribution) == normalized(distribution)]
        elif own := [who for who in found if _is_host(who)]:
            found = own
        if strict() and self._unreadable:
            raise PluginError(f"{self._unreadable[0].sentence} (GANLAB_STRICT_PLUGINS is set)")
        if not found:
            raise PluginError(self._unknown(kind, name))
        if len(found) > 1:
            raise PluginError(_ambiguous(found))
        return found[0]

    def get(self, kind: Kind, name: str) -> type[Any]:
        """Return the component's class, imported once. Raise `PluginError` with its distribution and the reason."""
        return self.load(self.provider(kind, name))

    def load(self, provider: Provider) -> type[Any]:
        """Return the class of one that `providers` has returned, as `get` does."""
        if provider not in self._loaded and provider not in self._failed:
            try:
                self._loaded[provider], seeded = load(provider)
            except PluginError as error:
                self._failed[provider] = error
            else:
                self._seeded += [provider] if seeded else []
        if failure := self._failed.get(provider):
            raise PluginError(str(failure)) from failure.__cause__
        return self._loaded[provider]

    def losses_for(self, networks: Iterable[str]) -> list[str]:
        """Return the names of the losses that need no other networks than these. Broken ones are left out."""
        there, found = set(networks), []
        for name in self.names("loss"):
            with suppress(PluginError):
                if there.issuperset(self.get("loss", name).networks):
                    found.append(name)
        return found

    def add(self, kind: Kind, name: str, cls: type[Component]) -> None:
        """Add a class that no distribution offers, such as one from a notebook; it replaces an earlier addition.

        Raises `PluginError` where it breaks a rule of its kind or an installed component has that name.
        """
        if not NAME.fullmatch(name):
            raise PluginError(f"{quoted(name)} is not a name: {NAME_RULE}")
        for other in self.providers(kind):
            if other.name == name and other.distribution != HERE:
                raise PluginError(f'{kind} "{name}" is already offered by {other.origin}; add yours under another name')
        target = f"{cls.__module__}:{cls.__qualname__}" if isinstance(cls, type) else "an object"
        provider = Provider(kind, name, HERE, "", target)
        checked(provider, cls)
        self.remove(kind, name)
        self._providers.append(provider)
        self._loaded[provider] = cls

    def remove(self, kind: Kind, name: str) -> None:
        """Take an addition away; nothing happens where there is none."""
        for provider in [who for who in self.providers(kind) if (who.name, who.distribution) == (name, HERE)]:
            self._providers.remove(provider)
            del self._loaded[provider]

    def _offering(self, kind: Kind, name: str) -> list[Provider]:
        return [provider for provider in self.providers(kind) if provider.name == name]

    def _unknown(self, kind: Kind, name: str) -> str:
        distribution, _, short = name.rpartition(":")
        names = self.names(kind)
        for item in self._unreadable:
            if (item.kind, item.name) == (kind, short):
                return f'{kind} "{name}" cannot be used: {item.sentence}'
        off = [who for who in self._left_out if (who.kind, who.name) == (kind, short)]
        off = [who for who in off if normalized(distribution) in ("", normalized(who.distribution))]
        if off:
            remedy = f"disabled: ganlab plugins enable {off[0].distribution}"
            reason = "left out by --no-plugins" if self._chosen else remedy
            return f'{kind} "{name}" is offered by {in_words([who.origin for who in off])}, which is {reason}'
        if short in names:
            offered = in_words([who.origin for who in self._offering(kind, short)])
            return f'no {kind} "{name}" is installed; "{short}" is offered by {offered}'
        others = [other for other in KINDS if other != kind and short in self.names(other)]
        command = how_to_install(kind, short, distribution)
        near = f"; it is at hand: {command}" if command else did_you_mean(short, names)
        if not near and others:
            near = f'; "{short}" is {with_article(others[0])}'
        found = f"installed: {', '.join(names)}" if names else "none is"
        if self._unreadable:
            broken = dict.fromkeys(item.distribution for item in self._unreadable)
            found += f"; broken, see ganlab plugins: {', '.join(broken)}"
        return f'no {kind} "{name}" is installed{near} ({found})'


registry = Registry()
"""The components of this process."""


def _ordered(providers: Iterable[Provider]) -> list[Provider]:
    order = list(KINDS)
    return sorted(providers, key=lambda provider: (order.index(provider.kind), *provider[1:]))


def _is_host(provider: Provider) -> bool:
    return normalized(provider.distribution) == HOST


def _ambiguous(found: list[Provider]) -> str:
    """Say that several distributions offer the same name, and what to write."""
    kind, name = found[0][:2]
    choices = in_words([f'"{provider.distribution}:{name}"' for provider in found], "or")
    return f'{kind} "{name}" is offered by {in_words([provider.origin for provider in found])}; write {choices}'
