"""A plugin to start from: a folder with a distribution that works as it stands, and is changed from there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ganlab.durable import replacing_file
from ganlab.errors import GanlabError, RunError
from ganlab.registry.kinds import KINDS, Kind
from ganlab.registry.lookup import Registry, registry
from ganlab.scaffold.names import Names, names_of
from ganlab.scaffold.texts import texts


class Written(NamedTuple):
    """What `write_plugin` has left."""

    folder: Path
    files: list[Path]
    """Below the folder, in the order in which to read them."""
    names: Names


def write_plugin(
    name: str,
    kinds: Iterable[Kind] | Mapping[Kind, str] = ("model",),
    parent: Path = Path(),
    *,
    components: Registry = registry,
) -> Written:
    """Write a distribution that offers one component of each kind into a new folder, `name` below `parent`.

    Its components are called like it, or as `kinds` says, a name a kind. Raises `GanlabError` where a name is none or
    taken, and `RunError` where the disk refuses; then nothing is left.
    """
    names = names_of(name)
    own = kinds if isinstance(kinds, Mapping) else dict.fromkeys(kinds, name)
    called = {kind: names_of(own[kind]) for kind in KINDS if kind in own}
    _check_free(names, called, components)
    files = texts(names, called)
    folder = parent / name
    try:
        folder.mkdir()
    except FileExistsError:
        raise GanlabError(f"{folder} exists; choose another name, or do this in another folder") from None
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror}") from error
    try:
        for path, text in files.items():
            with replacing_file(folder / path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # it was not there before, and a part of it is of no use
        raise
    return Written(folder, [Path(path) for path in files], names)


def _check_free(names: Names, called: Mapping[Kind, Names], components: Registry) -> None:
    """Refuse what would stand in the way of something that is installed."""
    for kind, own in called.items():
        for provider in components.providers(kind):
            if provider.name == own.component:
                raise GanlabError(f"{provider.title} is installed already; choose another name")
    # A distribution called as the component alone, such as the library that it is for, stands in nobody's way.
    with suppress(metadata.PackageNotFoundError):
        version = metadata.version(names.distribution)
        raise GanlabError(f"the distribution {names.distribution} {version} is installed already; choose another name")
    if find_spec(names.package) is not None:
        raise GanlabError(f"Python finds a package {names.package} already; choose another name")
