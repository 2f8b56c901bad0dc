"""Which directory a run uses, and whether the run in it may go on with this recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlab.checkpoint import Manifest, newest_checkpoint
from ganlab.errors import GanlabError
from ganlab.rundir import RunDirectory, newest_run

if TYPE_CHECKING:
    from ganlab.recipe import Recipe

_FREE_TO_CHANGE = (
    "observers",
    "snapshot",
    "train.tick_seconds",
    "train.threads",
    "train.device",
    "train.rank_timeout_seconds",
    "train.on_nonfinite",
)
"""What a continued run may change: it says how a run is watched or where it runs, not what it computes."""


def chosen_directory(recipe: Recipe, out: Path | str | None, resume: bool) -> RunDirectory | None:
    """Return the directory that the user names, or None for a new one."""
    if out is not None and resume:
        raise GanlabError("--out and --resume exclude each other: --out DIR continues the run in DIR by itself")
    if out is not None:
        return RunDirectory(Path(out).expanduser())
    if resume:
        try:
            return newest_run(lambda run: run.checkpoints.is_dir(), "a checkpoint", recipe.name).directory
        except GanlabError:
            return None  # none to continue: the first run of this recipe begins
    return None


def check_directory(recipe: Recipe, directory: RunDirectory) -> None:
    """Refuse, before anything expensive, a directory that this recipe cannot use."""
    path = directory.path
    if not path.exists():
        return
    if not path.is_dir():
        raise GanlabError(f"--out {path} is a file; name a directory")
    strangers = [entry.name for entry in path.iterdir() if entry.name != ".lock"]
    if strangers and not directory.recipe.exists():
        raise GanlabError(f"--out {path} is not empty and holds no run of ganlab; name a new directory")
    checkpoint = newest_checkpoint(directory.checkpoints, lambda text: None)
    if checkpoint is not None:
        refuse_changes(recipe, checkpoint.manifest, path)


def refuse_changes(recipe: Recipe, manifest: Manifest, path: Path) -> None:
    """Compare a recipe with the one that a run was begun with, key by key."""
    old, new = _flat(manifest.recipe), _flat(recipe.table)
    changes = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        free = any(key == name or key.startswith(name + ".") for name in _FREE_TO_CHANGE)
        if before == after or free or _extends(key, before, after):
            continue
        changes.append(f"  {key} was {_shown(before)} and is now {_shown(after)}")
    if changes:
        raise GanlabError(
            f"the run in {path} was begun with another recipe:\n" + "\n".join(changes) + "\n"
            "Put the values back, or start a new run with another --out directory"
        )


def _extends(key: str, before: Any, after: Any) -> bool:
    """Tell whether a change only trains longer."""
    return key in ("train.epochs", "train.iterations") and before is not None and after is not None and after >= before


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.loads(json.dumps(value))  # tuples and lists are the same in a recipe
    return flat


def _shown(value: Any) -> str:
    return "unset" if value is None else json.dumps(value)
