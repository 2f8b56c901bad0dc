"""Who offers components: read from the metadata of installed distributions, one by one, importing nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

from ganlab.messages import did_you_mean, quoted, told
from ganlab.registry.kinds import GROUPS, Kind

HOST = "ganlab"
"""The distribution whose components are ours."""

NAME = re.compile(r"[a-z0-9_.-]{1,64}")
NAME_RULE = "up to 64 of a-z, 0-9, _, . and -"

_TARGET = re.compile(r"[\w.]+\s*:\s*[\w.]+")


class Provider(NamedTuple):
    """Who offers a component."""

    kind: Kind
    name: str
    distribution: str
    version: str
    target: str
    """`module:attribute`, where the class is."""

    @property
    def origin(self) -> str:
        """The distribution and its version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def title(self) -> str:
        """What messages call the component."""
        return f'{self.kind} "{self.name}" ({self.origin})'


class Broken(NamedTuple):
    """A distribution that offers something unusable, and why."""

    distribution: str
    version: str
    reason: str
    kind: Kind | None = None
    name: str = ""
    """The component that it means to offer, where that can be told."""

    @property
    def sentence(self) -> str:
        """The distribution, its version and the reason, for messages."""
        return f"{self.distribution} {self.version}".strip() + f": {self.reason}"


@cache
def version(distribution: str) -> str:
    """Return the version of an installed distribution, read once: a checkpoint names some, and reading takes longer
    than an iteration of small networks."""
    return metadata.version(distribution)


def strict() -> bool:
    """Tell whether what is merely said of a plugin to its users is to fail, as its author wants it."""
    return os.environ.get("GANLAB_STRICT_PLUGINS", "0") not in ("", "0")


_read_entry_points: Any = metadata.Distribution.__dict__["entry_points"]
"""The standard library's property, as it was."""


def forgive_malformed_entry_points() -> None:
    """Let Python's own reading of entry points pass over a distribution that it cannot parse, in this process.

    pydantic, torch and triton read those of every distribution while they are imported: without this, one malformed
    line of a stranger's keeps all three from loading, and ganlab with them.
    """
    metadata.Distribution.entry_points = property(_entry_points)  # type: ignore[assignment, method-assign]


def _entry_points(distribution: metadata.Distribution) -> metadata.EntryPoints:
    try:
        found: metadata.EntryPoints = _read_entry_points.fget(distribution)
    # Whatever a stranger's file makes of the standard library.
    except Exception:  # noqa: BLE001
        return metadata.EntryPoints()
    return found


def installed() -> tuple[list[Provider], list[Broken]]:
    """Read every distribution by itself, so that a malformed one harms nobody else."""
    names: dict[str, str] = {}
    providers: list[Provider] = []
    broken: list[Broken] = []
    for distribution in metadata.distributions():
        # Whatever lies on the path is a stranger's: no file of theirs may stop the others.
        try:
            # Only entry_points.txt is read of those that are not ours: METADATA costs a millisecond each.
            if "ganlab." in (distribution.read_text("entry_points.txt") or ""):
                if "Name" not in distribution.metadata:  # which newer Pythons answer with a KeyError
                    raise ValueError(f"no Name in the METADATA of a distribution in {distribution.locate_file('')}")
                name = distribution.metadata["Name"]
                names.setdefault(normalized(name), name)
        except Exception as error:  # noqa: BLE001
            broken.append(Broken("an unreadable distribution", "", told(error)))
    for name in names.values():
        try:
            # Where a name lies on the path twice, Python imports the first, and so do we.
            first = metadata.distribution(name)
            version = str(first.version)
            text = first.read_text("entry_points.txt") or ""
        except Exception as error:  # noqa: BLE001
            broken.append(Broken(name, "", told(error)))
            continue
        for item in _parsed(name, version, text):
            if isinstance(item, Broken):
                broken.append(item)
            elif item[:3] in {provider[:3] for provider in providers}:
                broken.append(Broken(name, version, f'offers {item.kind} "{item.name}" twice; the first counts'))
            else:
                providers.append(item)
    return providers, broken


def _parsed(distribution: str, version: str, text: str) -> Iterator[Provider | Broken]:
    """Yield what a distribution's entry_points.txt offers, and a reason for every line that offers nothing."""
    group = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", ";")):
            continue
        place = f"entry_points.txt:{number}"
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
            if group.startswith("ganlab.") and group not in GROUPS:
                hint = did_you_mean(group, GROUPS)
                yield Broken(distribution, version, f"{place}: this ganlab has no entry points [{group}]{hint}")
            continue
        if group not in GROUPS:
            continue
        name, equals, target = (part.strip() for part in line.partition("="))
        if not equals or not _TARGET.fullmatch(target):
            reason = f"{place}: {quoted(line)} is not of the form name = module:class"
            yield Broken(distribution, version, reason, GROUPS[group], name)
        elif not NAME.fullmatch(name):
            yield Broken(distribution, version, f"{place}: {quoted(name)} is not a name: {NAME_RULE}")
        else:
            yield Provider(GROUPS[group], name, distribution, version, target)


def normalized(name: str) -> str:
    """Return a distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
