"""The plugins that lie beside ganlab in its checkout: what is not installed may be at hand."""

from __future__ import annotations

import os
import shlex
import tomllib
from pathlib import Path

from ganlab.registry.entry_points import normalized
from ganlab.registry.kinds import KINDS, Kind

PLUGINS = Path(__file__).parents[2] / "plugins"


def how_to_install(kind: Kind, name: str, distribution: str = "") -> str | None:
    """Return the command that installs a component from a folder of the checkout, or None where none offers it."""
    for path in sorted(PLUGINS.glob("*/pyproject.toml")):
        try:
            project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
            offers = name in project["entry-points"][KINDS[kind].group]
            own = normalized(project["name"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if offers and normalized(distribution) in ("", own):
            below = path.parent.is_relative_to(Path.cwd())
            return f"pip install {shlex.quote(f'./{os.path.relpath(path.parent)}' if below else str(path.parent))}"
    return None
