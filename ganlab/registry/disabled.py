"""The distributions whose components the user has switched off, kept in one small file."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path

from ganlab.durable import replacing_file
from ganlab.errors import GanlabError
from ganlab.registry.entry_points import normalized
from ganlab.regular import read_regular

FILE = "plugins.toml"
MOST_BYTES = 1_000_000
_NOTE = "# What ganlab leaves out. Written by: ganlab plugins disable NAME, ganlab plugins enable NAME\n"


def path() -> Path | None:
    """Return the file: in `$GANLAB_CONFIG`, else `$XDG_CONFIG_HOME/ganlab`, else `~/.config/ganlab`, or no place."""
    if own := os.environ.get("GANLAB_CONFIG"):
        return Path(own).absolute() / FILE
    shared = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(shared):  # the XDG specification: a relative path is to be ignored
        return Path(shared) / "ganlab" / FILE
    home = os.path.expanduser("~")
    return Path(home) / ".config" / "ganlab" / FILE if os.path.isabs(home) else None


def disabled() -> frozenset[str]:
    """Return the normalized names of the distributions that are switched off. Raise `GanlabError` for a bad file."""
    file = path()
    if file is None:
        return frozenset()
    try:
        table = tomllib.loads(read_regular(file, MOST_BYTES).decode())
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        raise GanlabError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise GanlabError(f"{file}: is not TOML: {error}; correct it or delete it") from error
    names = table.get("disabled", [])
    if table.keys() - {"disabled"} or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise GanlabError(f'{file}: must hold nothing but disabled = ["name", ...]; correct it or delete it')
    return frozenset(map(normalized, names))


def write_disabled(names: Iterable[str]) -> None:
    """Replace the names of the distributions that are switched off. Raise `RunError` where the disk refuses."""
    file = path()
    if file is None:
        raise GanlabError("there is no home directory to keep settings in; set GANLAB_CONFIG to a folder")
    with replacing_file(file) as temporary:
        listed = json.dumps(sorted(set(map(normalized, names))))  # which is an array of TOML, too
        temporary.write_text(f"{_NOTE}disabled = {listed}\n", encoding="utf-8")
