"""What comes before the networks, for a run and a dry run alike: whatever is refused, is refused here for both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from ganlab.errors import GanlabError, printable
from ganlab.generator.metadata import fit_in_file
from ganlab.interfaces import Observer
from ganlab.messages import counted, shown
from ganlab.registry.lookup import registry
from ganlab.run.heartbeat import Heartbeat
from ganlab.run.init import Init, known_init, read_init
from ganlab.run.observers import Observers
from ganlab.run.resume import (
    check_directory,
    chosen_directory,
    compare_pictures,
    note_of_choice,
    notes_of_code,
    refuse_changes,
    with_pictures_found,
)

if TYPE_CHECKING:
    import torch

    from ganlab.data.packing import Packed
    from ganlab.distributed.ranks import Place
    from ganlab.hardware.device import Precision
    from ganlab.recipe.recipe import Recipe
    from ganlab.run.directory import RunDirectory

LISTED = 10
"""How many pictures that were left out are named."""

Note = Callable[[str, Literal["info", "warning"]], None]


class Prepared(NamedTuple):
    """Where and on what this process can train a recipe."""

    recipe: Recipe
    """With its pictures where they are now."""
    directory: RunDirectory | None
    """The run's, where the user has named it or goes on with one."""
    continues: bool
    """Whether a run in it has begun already."""
    here: Place
    device: torch.device
    precision: Precision
    packed: Packed
    init: Init | None
    """What a new run begins with, if not with fresh weights."""
    observers: Observers
    heartbeat: Heartbeat


def prepare(
    recipe: Recipe,
    out: os.PathLike[str] | str | None,
    resume: bool,
    *,
    heartbeat: Heartbeat | None = None,
    note: Note | None = None,
    importing: Callable[[], AbstractContextManager[object]] = nullcontext,
    guests: Sequence[Observer] = (),
) -> Prepared:
    """Check the directory, choose the device, pack the pictures; raise the `GanlabError` that a run ends with.

    `note` learns what the user should know, by default the observers do; torch is imported within `importing`. `guests`
    are observers that no recipe names.
    """
    chosen = chosen_directory(recipe, out, resume)
    notes = [note_of_choice(recipe, chosen)] if resume else []
    begun = None if chosen is None else check_directory(recipe, chosen)
    if chosen is not None:
        if recipe.file == chosen.recipe.absolute() and (name := chosen.of_recipe) is not None:
            recipe = replace(recipe, name=name)  # not "recipe", by which every run has written its own down
        recipe, found = with_pictures_found(recipe, chosen)
        notes += found
    if chosen is not None and begun is not None:
        recipe = known_init(recipe, begun)
        refuse_changes(recipe, begun, chosen.path)
    edited = [] if begun is None else notes_of_code(recipe, begun)
    with importing():
        from ganlab.distributed.ranks import place
        from ganlab.distributed.share import Share
        from ganlab.hardware.device import choose_device, choose_precision

    here = place()
    Share(here.rank, here.world).of(recipe.train.batch_size)  # refused before anything expensive
    device = choose_device(recipe.train.device, "train.device", here.local)
    heartbeat = heartbeat or Heartbeat()
    observers = _observers(recipe if here.rank == 0 else None, heartbeat, guests)
    note = note or observers.note
    precision = choose_precision(recipe.train.precision, device, lambda text: note(text, "warning"))
    for warning in registry.warnings() + edited:
        note(warning, "warning")
    for text in notes:
        note(text, "info")
    init = None
    if begun is None:
        recipe, init = read_init(recipe, lambda text: note(text, "warning"))
    packed = _packed(recipe, observers, heartbeat)
    _tell_of(packed, recipe.train.batch_size, note)
    moved = compare_pictures(recipe, begun, chosen.path, packed.fingerprint) if chosen is not None and begun else None
    if moved is not None:
        note(moved, "info")
    return Prepared(recipe, chosen, begun is not None, here, device, precision, packed, init, observers, heartbeat)


def _tell_of(packed: Packed, batch_size: int, note: Note) -> None:
    for remark in packed.remarks:
        note(printable(remark), "info")
    for warning in packed.warnings:
        note(printable(warning), "warning")
    for name, reason in packed.skipped[:LISTED]:
        note(f"left out {printable(name)}: {printable(reason)}", "warning")
    if len(packed.skipped) > LISTED:
        note(f"left out {len(packed.skipped)} pictures that could not be read", "warning")
    if not fit_in_file(packed.class_names):
        note(
            f"the names of the {len(packed.class_names):,} classes are too long together for a generator's file, which "
            "will know them by their numbers",
            "warning",
        )
    times, rest = divmod(batch_size, len(packed.images))
    if (times, rest) > (1, 0):
        often = f"{times} or {times + 1} times" if rest else f"{times} times"
        note(
            f"the data has {counted(len(packed.images), 'picture')}, fewer than train.batch_size = {batch_size:,}: "
            f"each batch has every picture {often}",
            "info",
        )


def _packed(recipe: Recipe, observers: Observers, heartbeat: Heartbeat) -> Packed:
    """Pack the pictures, or take them from the cache."""
    from ganlab.data.packing import pack

    with heartbeat.beating(observers.note):
        return pack(recipe.dataset, recipe.table["dataset"]["name"], phases(observers, heartbeat))


def phases(observers: Observers, heartbeat: Heartbeat) -> Callable[[str, int, int], None]:
    """Return what tells the observers of a piece of work, and the signs of life too."""

    def report(work: str, done: int, total: int) -> None:
        heartbeat.work = lambda: f"{work}, {done:,} of {total:,}" if total else work
        observers.phase(work, done, total)

    return report


def _observers(recipe: Recipe | None, heartbeat: Heartbeat, guests: Sequence[Observer]) -> Observers:
    """Return the observers of the run; none where another rank speaks for all."""

    @contextmanager
    def undisturbed() -> Iterator[None]:
        """Keep an observer from changing a run: torch's modes are put back, random draws are seeded anew anyway."""
        import torch

        from ganlab.hardware.device import usual_modes

        with heartbeat.speaking(), usual_modes(), torch.no_grad():
            yield

    observers = Observers(undisturbed)
    for name, observer in recipe.observers.items() if recipe is not None else ():
        # A new one for each run: what an observer remembers of another run is not this one's.
        fresh = type(observer)(**dict(observer))
        observers.register(fresh, name, registry.provider("observer", name).origin)
    for guest in guests if recipe is not None else ():
        if not isinstance(guest, Observer):
            raise GanlabError(
                f"observers: {shown(guest)} is no ganlab.Observer; give objects of classes derived from it"
            )
        observers.register(guest, type(guest).__name__, "given to train")
    return observers
