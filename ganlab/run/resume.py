"""Which directory a run uses, and whether the run in it may go on with this recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlab.errors import GanlabError
from ganlab.messages import printable, short
from ganlab.run.directory import RunDirectory, newest_run
from ganlab.training.checkpoint import Manifest, begun_with

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe

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
_LENGTHS = ("train.epochs", "train.iterations")
LISTED = 8
"""How many changes a message shows."""


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
    directory.refuse_strangers()
    # Of its state nothing is read here: the session reads all of it, once, when the run's lock is held.
    if (manifest := begun_with(directory.checkpoints)) is not None:
        refuse_changes(recipe, manifest, path)


def refuse_changes(recipe: Recipe, manifest: Manifest, path: Path) -> None:
    """Compare a recipe with the one that a run was begun with, key by key."""
    old, new = _begun_with(recipe, manifest), _flat(recipe.table)
    changes = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        free = any(key == name or key.startswith(name + ".") for name in _FREE_TO_CHANGE)
        if before == after or free or _extends(key, before, after):
            continue
        changes.append(f"  {short(printable(key), 80)} was {_value(before)} and is now {_value(after)}")
    if changes:
        rest = [f"  and {len(changes) - LISTED} more"] if len(changes) > LISTED else []
        raise GanlabError(
            f"the run in {path} was begun with another recipe:\n" + "\n".join(changes[:LISTED] + rest) + "\n"
            "Put the values back, or start a new run with another --out directory"
        )


def note_of_extension(recipe: Recipe, manifest: Manifest, per_epoch: int) -> str | None:
    """Say why a run that is now to be longer will not have the bits of one that was so long from the start.

    It will, unless a learning rate has begun to fall already: it falls towards the end, and that has moved.
    """
    falling = [options.decay_from for options in recipe.optimizer.values() if options.decay_from is not None]
    old, new = _begun_with(recipe, manifest), _flat(recipe.table)
    # An iteration's rate is that of the place where it begins; the last one that is done began here.
    last = max(0, manifest.iteration - 1)
    drawn = manifest.drawn * last / max(1, manifest.iteration)
    for key, begun in zip(_LENGTHS, (drawn / per_epoch, last), strict=True):
        before, after = old.get(key, 0), new.get(key)
        if falling and before != after and _extends(key, before, after) and begun / before > min(falling):
            return (
                f"the run was begun with {key} = {before} and goes on with {after}: since {min(falling):.0%} of the "
                f"shorter one its learning rate had been falling, so it will not have the same bits as a run that "
                f"had {after} from the start"
            )
    return None


def _begun_with(recipe: Recipe, manifest: Manifest) -> dict[str, Any]:
    """Return the recipe that a run was begun with, with the defaults of options that ganlab has learned since."""
    from ganlab.recipe.recipe import parse_recipe

    old = _flat(manifest.provenance.recipe)
    if _flat(recipe.table).keys() - old.keys():
        with suppress(GanlabError):  # it cannot be read any more; what differs is shown as it is
            old = _flat(parse_recipe(manifest.provenance.recipe, recipe.name).table) | old
    return old


def _extends(key: str, before: Any, after: Any) -> bool:
    """Tell whether a change only trains longer."""
    return key in _LENGTHS and type(before) in (int, float) and after is not None and bool(after >= before > 0)


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.loads(json.dumps(value))  # tuples and lists are the same in a recipe
    return flat


def _value(value: Any) -> str:
    return "unset" if value is None else short(json.dumps(value))
