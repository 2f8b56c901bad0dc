"""Generators' files in the formats of plugins: the exporter whose ending fits reads its metadata and computes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ganlab.errors import ArtefactError, PluginError
from ganlab.generator.file import KEY, OtherFormatError, check_seal, unreadable
from ganlab.generator.file import read_metadata as read_own
from ganlab.generator.metadata import UNSEALED, Metadata
from ganlab.messages import in_words, with_article

if TYPE_CHECKING:
    from ganlab.interfaces import Exporter
    from ganlab.registry.entry_points import Provider

T = TypeVar("T")

_asked: ContextVar[frozenset[Path]] = ContextVar("_asked", default=frozenset())
"""The files that an exporter is being asked about: what it asks of ganlab is answered without asking it again."""


class Foreign(NamedTuple):
    """A generator's file in a plugin's format, with what it says about itself."""

    path: Path
    provider: Provider
    exporter: Exporter
    metadata: Metadata

    @contextmanager
    def asked(self, what: str) -> Iterator[Exporter]:
        """Yield the exporter; what it raises that is no user's mistake names it."""
        from ganlab.registry.loading import blaming

        with _asking(self.path), blaming(f"{self.path}: {self.provider.title}", what):
            yield self.exporter


def read_metadata(path: os.PathLike[str] | str) -> Metadata:
    """Return what a generator file, or a run's, says about itself, once its checksum has been compared.

    Needs no torch, and for safetensors and ONNX the same little memory for a file of any size. A file in a plugin's
    format is read by the exporter whose ending fits.
    """
    return ours_or_foreign(Path(path), read_own, lambda foreign: foreign.metadata)


def ours_or_foreign(path: Path, ours: Callable[[Path], T], foreign: Callable[[Foreign], T]) -> T:
    """Return what `ours` makes of a file, or `foreign` where it is in a plugin's format; else raise as `ours` does."""
    try:
        return ours(path)
    except OtherFormatError:
        found = foreign_file(path)
        if found is None:
            raise
        return foreign(found)


def foreign_file(path: Path) -> Foreign | None:
    """Return a file in the format of a plugin's exporter, its metadata read; None where no ending fits its name.

    Raises `ArtefactError` for what the exporter does not know, and `PluginError` where two endings fit alike.
    """
    from ganlab.registry.loading import blaming

    path = path.absolute()
    fitting = _fitting(path.name) if path not in _asked.get() else []
    if not fitting:
        return None
    if len(fitting) > 1:
        raise PluginError(
            f"{path}: {in_words([who.title for who, _ in fitting])} have the same ending; switch one off with "
            "ganlab plugins disable NAME"
        )
    provider, cls = fitting[0]
    with _asking(path), blaming(f"{path}: {provider.title}", "cannot read its metadata"):
        exporter = cls()
        found = exporter.read_metadata(path)
    text = found.get(KEY) if isinstance(found, Mapping) else None
    if not isinstance(text, str):
        raise PluginError(
            f"{path}: {provider.title} reads no metadata from it: read_metadata() must return what export() was given, "
            f'with the key "{KEY}", not {with_article(type(found).__name__)}'
        )
    metadata = Metadata.from_json(text, str(path))
    if metadata.digest != UNSEALED:  # a format may be one in which nothing can be sealed
        _check(path, metadata)
    return Foreign(path, provider, exporter, metadata)


def _fitting(name: str) -> list[tuple[Provider, type[Exporter]]]:
    """Return the exporters of plugins that have the longest ending of a file's name."""
    # Imported when it is needed: an ONNX file is drawn from without the libraries that plugins need.
    from ganlab.registry.entry_points import HOST, normalized
    from ganlab.registry.lookup import registry

    found: list[tuple[Provider, type[Exporter]]] = []
    for provider in registry.providers("exporter"):
        if normalized(provider.distribution) == HOST:  # whose files are told by their bytes
            continue
        with suppress(PluginError):  # a broken one harms nobody else; ganlab plugins names it
            cls: type[Exporter] = registry.load(provider)
            if isinstance(cls.suffix, str) and name.lower().endswith(cls.suffix.lower()):
                found.append((provider, cls))
    longest = max((len(cls.suffix) for _, cls in found), default=0)
    return [(provider, cls) for provider, cls in found if len(cls.suffix) == longest]


@contextmanager
def _asking(path: Path) -> Iterator[None]:
    token = _asked.set(_asked.get() | {path})
    try:
        yield
    finally:
        _asked.reset(token)


def _check(path: Path, metadata: Metadata) -> None:
    try:
        with path.open("rb") as file:
            check_seal(path, metadata, iter(partial(file.read, 1 << 20), b""))
    except OSError as error:
        raise unreadable(path, error) from error


def refuse_weights(path: Path, error: ArtefactError) -> ArtefactError:
    """Return what to say of a file whose weights were wanted, where a plugin has written it; else `error` itself."""
    if not _fitting(path.name):
        return error
    provider = _fitting(path.name)[0][0]
    return ArtefactError(
        f"{path}: is a file of {provider.title}, and its weights cannot be taken out again; name the run or its "
        "generator.safetensors"
    )
