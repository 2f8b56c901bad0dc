"""Which directory a run uses, and whether the run in it may go on with this recipe."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ganlab.errors import GanlabError, PluginError
from ganlab.interfaces import Position, Schedule, locations
from ganlab.messages import in_words, option, printable, short
from ganlab.recipe.keys import dotted, value_shown
from ganlab.recipe.schedules import is_schedule, lasts_longer
from ganlab.registry.code import code_digest
from ganlab.registry.entry_points import HOST, normalized, strict
from ganlab.registry.lookup import HERE, registry
from ganlab.regular import named_path
from ganlab.run.directory import IndexEntry, RunDirectory, from_here, indexed_runs
from ganlab.training.checkpoint import Manifest, begun_with

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe

_FREE_TO_CHANGE = (
    "observers",
    "snapshot",
    "evaluate",
    "train.tick_seconds",
    "train.threads",
    "train.device",
    "train.compile",
    "train.rank_timeout_seconds",
    "train.on_nonfinite",
)
"""What a continued run may change: it says how a run is watched or where it runs, not what it computes."""
_INIT = ("train.init_from", "train.init_sha256")
"""What a run begins with: where it lies, and what it is."""
_LENGTHS = ("train.epochs", "train.iterations")
LISTED = 8
"""How many changes a message shows."""


def chosen_directory(recipe: Recipe, out: os.PathLike[str] | str | None, resume: bool) -> RunDirectory | None:
    """Return the directory that the user names, or None for a new one."""
    if out is not None and resume:
        raise GanlabError(
            f"{option('out')} and {option('resume')} exclude each other: {option('out')} continues the run of that "
            "directory by itself"
        )
    if out is not None:
        return RunDirectory(named_path(os.path.expanduser(named_path(out))))
    return _newest_run_of(recipe) if resume else None


def note_of_choice(recipe: Recipe, chosen: RunDirectory | None) -> str:
    """Say which run `resume` has taken."""
    of_it = f"run of {recipe.name if recipe.file is None else from_here(recipe.file)}"
    if chosen is None:
        return f"there is no {of_it} here to go on with; a new one begins"
    return f"going on with {chosen.path}, the newest {of_it}"


def check_directory(recipe: Recipe, directory: RunDirectory) -> Manifest | None:
    """Refuse, before anything expensive, a directory that this recipe cannot use; return how the run in it began."""
    path = directory.path
    if not path.exists():
        _refuse_blocked(path)
        return None
    if not path.is_dir():
        raise GanlabError(f"{option('out', path)} is a file; name a directory")
    directory.refuse_strangers()
    # Of its state nothing is read here: the session reads all of it, once, when the run's lock is held.
    if (manifest := begun_with(directory.checkpoints)) is not None:
        refuse_changes(recipe, manifest, path)
    return manifest


def _refuse_blocked(path: Path) -> None:
    """Refuse a directory that is not there and cannot be made, because of what lies there or above."""
    for place in (path, *path.parents):
        if place.is_dir():
            return
        if place.is_symlink() and not place.exists():
            raise GanlabError(
                f"{option('out', path)}: {place} is a link to {os.readlink(place)}, where nothing is; make that "
                "directory, or name another one"
            )
        if place.exists():
            raise GanlabError(f"{option('out', path)}: {place} is a file; name another directory")


def refuse_changes(recipe: Recipe, manifest: Manifest, path: Path) -> None:
    """Compare a recipe with the one that a run was begun with, key by key. Where the pictures lie may have changed."""
    changes = list(_changes(recipe, manifest))
    if all(change.location for change in changes):
        return
    lines = [change.line for change in changes]
    rest = [f"  and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    raise GanlabError(
        f"the run in {path} was begun with another recipe:\n" + "\n".join(lines[:LISTED] + rest) + "\n"
        f"Put the values back, or start a new run in another directory, {option('out')}, "
        f"with the weights of this one, {option('init', path)}"
    )


def compare_pictures(recipe: Recipe, manifest: Manifest, path: Path, fingerprint: str) -> str | None:
    """Say where pictures that are still the same lie now, if elsewhere. Raise `GanlabError` where they are others."""
    places = [change.line for change in _changes(recipe, manifest) if change.location]
    if manifest.provenance.data != fingerprint:
        where = "\n".join([":", *places, ""]) if places else "; "
        raise GanlabError(
            f"the pictures have changed since {path} was begun{where}"
            f"put them back, or start a new run in another directory, {option('out')}, "
            f"with the weights of this one, {option('init', path)}"
        )
    if not places:
        return None
    return f"{', '.join(line.strip() for line in places)}; the pictures are the same, and the run goes on"


def code_of(recipe: Recipe) -> dict[str, str]:
    """Return digests of the code that plugins compute this recipe with, by distribution, as it was imported."""
    found: dict[str, set[str]] = {}
    for kind, component in recipe.components.items():
        provider, cls = registry.provider(kind, recipe.table[kind]["name"]), type(component)
        if normalized(provider.distribution) == HOST or cls.__module__.startswith("ganlab."):
            continue  # ganlab's own is told by its version
        if (digest := code_digest(cls)) is not None:
            own = f'{kind} "{provider.name}"' if provider.distribution == HERE else provider.distribution
            found.setdefault(own, set()).add(digest)
    return {own: hashlib.sha256("".join(sorted(digests)).encode()).hexdigest() for own, digests in found.items()}


def notes_of_code(recipe: Recipe, manifest: Manifest) -> list[str]:
    """Say of which plugins the code is not that of the run's beginning; raise `PluginError` where ganlab is strict.

    Where the version is another one, too, the run says that by itself.
    """
    begun, code = manifest.provenance, code_of(recipe)
    versions = {who.distribution: who.version for who in registry.providers()}
    changed = [own for own in code if begun.code.get(own, code[own]) != code[own]]
    if changed and strict():
        raise PluginError(
            f"the code of {in_words(changed)} has changed since the run was begun (GANLAB_STRICT_PLUGINS is set); put "
            f"it back, or start a new run in another directory, {option('out')}"
        )
    return [
        f"the code of {own} has changed since the run was begun: same data and order, but not the same bits"
        for own in changed
        if versions.get(own) == begun.versions.get(own, versions.get(own))
    ]


def with_pictures_found(recipe: Recipe, directory: RunDirectory) -> tuple[Recipe, list[str]]:
    """Return the recipe with its pictures taken from where the run was begun, if they are not here; say so.

    The recipe's table stays as it was: what the run computes does not depend on it.
    """
    folder = directory.begun_in
    found: dict[str, Path] = {}
    notes = []
    for name, path in locations(recipe.dataset).items():
        if folder is None or os.path.isabs(os.path.expanduser(path)) or os.path.exists(path):
            continue
        if os.path.exists(there := folder / path):
            found[name] = there
            notes.append(f"there is no {path} here; dataset.{name} is {there}, for the run was begun in {folder}")
    if not found:
        return recipe, []
    components = {**recipe.components, "dataset": recipe.dataset.model_copy(update=found)}
    return replace(recipe, components=components), notes


class _Change(NamedTuple):
    """One option that is not what it was when the run was begun."""

    line: str
    location: bool
    """Whether it says where the pictures lie: then what they are decides."""


def _changes(recipe: Recipe, manifest: Manifest) -> Iterator[_Change]:
    """Yield what differs between a recipe and the one that a run was begun with, but for what is free to change."""
    old, new = _begun_with(recipe, manifest), dotted(recipe.table)
    longer = any(_extends(key, old.get(key), new.get(key)) for key in _LENGTHS if old.get(key) != new.get(key))
    placed = {f"dataset.{name}" for name in locations(recipe.dataset)}
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if key in _INIT:
            continue
        free = any(key == name or key.startswith(name + ".") for name in _FREE_TO_CHANGE)
        if before != after and not free and not _extends(key, before, after, longer):
            line = f"  {short(printable(key), 80)} was {value_shown(before)} and is now {value_shown(after)}"
            yield _Change(line, key in placed)
    yield from _init_change(old, new)


def _init_change(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[_Change]:
    """Yield that a run was begun with other weights. Where they lie does not matter, and they may be gone by now."""
    place, digest = _INIT
    if (place in old) == (place in new) and (digest not in new or old.get(digest) == new[digest]):
        return
    before, after = (
        f"{value_shown(table.get(place))}" + (f" (SHA-256 {table[digest][:12]}...)" if digest in table else "")
        for table in (old, new)
    )
    yield _Change(f"  {place} was {before} and is now {after}", False)


def _newest_run_of(recipe: Recipe) -> RunDirectory | None:
    """Return the newest run of this recipe that may go on with it; else the newest, which tells why it may not."""
    found = None
    for entry in indexed_runs():
        if not entry.directory.checkpoints.is_dir():
            continue
        same_file = recipe.file is not None and _real(entry.file) == _real(recipe.file)
        if same_file:
            found = found or entry.directory
        elif _belongs_to_another(entry, recipe):
            continue
        if _fits(recipe, entry.directory, moved=same_file):
            return entry.directory
    return found


def _belongs_to_another(entry: IndexEntry, recipe: Recipe) -> bool:
    """Tell whether a run that was not begun with the recipe's file was begun with another recipe.

    It was where that one's file is still there, or, without files, where it had another name. Else the file was moved,
    or the index is of an older ganlab, and what the run computes decides.
    """
    return entry.recipe != recipe.name if entry.file is None else os.path.isfile(entry.file)


def _fits(recipe: Recipe, directory: RunDirectory, moved: bool) -> bool:
    """Tell whether a run may go on with a recipe: where the recipe is the same file, its pictures may have moved."""
    try:
        manifest = begun_with(directory.checkpoints)
    except GanlabError:
        return False
    if manifest is None:
        return moved  # it was killed before its first checkpoint: there is nothing that could contradict
    return all(moved and change.location for change in _changes(recipe, manifest))


def _real(file: Path | None) -> str | None:
    return None if file is None else os.path.realpath(file)


def notes_of_extension(recipe: Recipe, manifest: Manifest, per_epoch: int) -> Iterator[str]:
    """Say why a run that is now to be longer will not have the bits of one that was so long from the start.

    It will, unless a schedule has begun that goes with the progress of the training, or has itself been made longer.
    """
    old, new = _begun_with(recipe, manifest), dotted(recipe.table)
    # An iteration's numbers are those of the place where it begins; the last one that is done began here.
    last = max(0, manifest.iteration - 1)
    drawn = manifest.drawn * last / max(1, manifest.iteration)
    begun = {"images": drawn * recipe.train.batch_size, "epochs": drawn / per_epoch, "iterations": last}
    for unit, length in zip(("epochs", "iterations"), _LENGTHS, strict=True):
        before, after = old.get(length, 0), new.get(length, 0)
        if before == after or not _extends(length, before, after):
            continue
        pairs = {name: (table, table, before / after) for name, table in _schedules(new)}
        if moved := [name for name in pairs if _differ(*pairs[name], begun | {"progress": begun[unit] / before})]:
            yield (
                f"the run was begun with {length} = {before} and goes on with {after}: {in_words(moved)} had been "
                "changing with the progress of the shorter one, so it will not have the same bits as a run that had "
                f"{after} from the start"
            )
    after_by_name = dict(_schedules(new))
    for name, table in _schedules(old):
        longer = after_by_name.get(name)
        if longer is not None and lasts_longer(table, longer) and _differ(table, longer, 1.0, begun):
            yield (
                f"the run was begun with {name} = {value_shown(table)} and goes on with {value_shown(longer)}: a run "
                "that had this from the start would have had other numbers by now, so this one will not have the same "
                "bits"
            )


def _schedules(flat: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the schedules of a recipe, with what each is called in it."""
    for key, value in flat.items():
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            if is_schedule(item):
                yield f"{key}[{index}]" if isinstance(value, list) else key, item


def _differ(before: Mapping[str, Any], after: Mapping[str, Any], shrunk: float, begun: Mapping[str, float]) -> bool:
    """Tell whether two schedules have parted by a place; what is progress to one is `shrunk` to the other."""
    # Only how they go counts, not what their ends may be.
    old, new = (Schedule[float].model_validate(table) for table in (before, after))
    if old.unit not in begun or (old.unit != "progress" and before == after):
        return False
    # They have parted at the latest where the first one ends, and may meet again.
    moment = min(begun[old.unit], old.after + old.length)
    place = Position(moment, moment, moment, progress=moment)
    return old.at(place) != new.at(place._replace(progress=moment * shrunk))


def _begun_with(recipe: Recipe, manifest: Manifest) -> dict[str, Any]:
    """Return the recipe that a run was begun with, with the defaults of options that ganlab has learned since."""
    from ganlab.recipe.recipe import parse_recipe

    old = dotted(manifest.provenance.recipe)
    if dotted(recipe.table).keys() - old.keys():
        with suppress(GanlabError):  # it cannot be read any more; what differs is shown as it is
            old = dotted(parse_recipe(manifest.provenance.recipe, recipe.name).table) | old
    return old


def _extends(key: str, before: Any, after: Any, longer: bool = False) -> bool:
    """Tell whether a change only trains longer, or, where the training is `longer`, lets a schedule last longer."""
    if key in _LENGTHS:
        return type(before) in (int, float) and after is not None and bool(after >= before > 0)
    return longer and lasts_longer(before, after)
