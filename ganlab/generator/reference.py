"""Generators on a hub by name: `hf://user/name`, `hf://user/name@revision`."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from ganlab.errors import GanlabError
from ganlab.messages import shown

SCHEME = "hf:/"
"""Paths, through which a command line's words go, make one slash of two."""
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REPOSITORY = re.compile(f"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


class Reference(NamedTuple):
    """A repository and the state of it that is meant."""

    repository: str
    """`user/name`."""
    revision: str | None = None
    """A branch, a tag or a commit; None is the newest state."""

    def __str__(self) -> str:
        return f"hf://{self.repository}{'' if self.revision is None else f'@{self.revision}'}"


def reference_of(path: os.PathLike[str] | str) -> Reference | None:
    """Return what `hf://...` names, None for any other path. Raise `GanlabError` where the name can be no hub's."""
    text = os.fspath(path)
    if not text.startswith(SCHEME):
        return None
    repository, at, revision = text.removeprefix(SCHEME).removeprefix("/").partition("@")
    check_repository(repository)
    if at and not _REVISION.fullmatch(revision):
        raise GanlabError(f"{shown(text)}: a branch, a tag or a commit stands behind @")
    return Reference(repository, revision or None)


def check_repository(name: str) -> None:
    """Raise `GanlabError` where a name is not of the form `user/name`."""
    if not _REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
        raise GanlabError(f"{shown(name)} is no repository's name: write user/name, of letters, digits, ., _ and -")
