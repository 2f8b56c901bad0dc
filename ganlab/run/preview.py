"""What a run would train and what it would take, without training: `ganlab run --dry-run`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from ganlab.messages import told
from ganlab.run.culprit import naming_culprit
from ganlab.run.outlook import megabytes, outlook, warnings
from ganlab.run.preparation import Prepared, phases, prepare
from ganlab.run.signals import watching_signals

if TYPE_CHECKING:
    from ganlab.interfaces import ImageSpec
    from ganlab.recipe.recipe import Recipe
    from ganlab.training.footprint import Rehearsal
    from ganlab.training.state import State

T = TypeVar("T")

LARGE = 60_000_000
"""Parameters of all networks together that are enough for any picture: StyleGAN2 has 59 million at 1024x1024."""


def preview(recipe: Recipe, out: os.PathLike[str] | str | None = None, resume: bool = False) -> str:
    """Return the resolved recipe, the networks with their parameter counts, and the sizes on disk and in memory.

    Packs the pictures and builds the networks, these without their numbers, in next to no memory. Raises the
    `GanlabError` with which a run would end before its first iteration.
    """
    notes: list[str] = []
    with watching_signals() as interruption, naming_culprit(recipe):
        importing = interruption.importing
        prepared = prepare(recipe, out, resume, note=lambda text, _: notes.append(text), importing=importing)
        with importing():
            from ganlab.hardware.device import usual_modes
            from ganlab.training.footprint import state_without_numbers

        prepared.heartbeat.work = lambda: "building the networks"
        with prepared.heartbeat.beating(prepared.observers.note), usual_modes():
            recipe = prepared.recipe
            state = state_without_numbers(recipe, prepared.packed.spec, notes.append)
            if prepared.init is not None:
                notes += prepared.init.give(state)
            if recipe.evaluate is not None:
                from ganlab.run.scores import open_judge

                report = phases(prepared.observers, prepared.heartbeat)
                open_judge(recipe, prepared.packed, str(prepared.device), report, notes.append)
            lines = list(figures(recipe, prepared, state, notes))
    return "\n".join([recipe.dump(), *lines, *(f"note        {note}" for note in notes)])


def figures(recipe: Recipe, prepared: Prepared, state: State, notes: list[str]) -> Iterator[str]:
    """Yield the lines of the figures; what they mean for the user goes to `notes`."""
    from ganlab.data.batches import batches_per_epoch
    from ganlab.training.footprint import trainable
    from ganlab.training.plan import Plan
    from ganlab.training.state import parameter_counts

    packed, images = prepared.packed, prepared.packed.spec
    parameters = parameter_counts(state.networks)
    checkpoint = sum(tensor.nbytes for _, tensor in state.tensors())
    total = trainable(state.networks)
    trained = checkpoint + 4 * total  # a gradient each
    pictures = f"{megabytes(packed.images.nbytes)} of pictures"
    per_epoch = batches_per_epoch(len(packed.images), recipe.train.batch_size)
    seen = _rehearsal(recipe, state, images, notes)
    ahead = outlook(recipe, state, images, Plan(recipe, per_epoch), None if seen is None else seen.batches)
    activations = "the" if seen is None else megabytes(seen.activations_bytes)

    yield f"pictures    {len(packed.images):,} of {images.channels} x {images.height} x {images.width}" + (
        f" in {images.classes} classes" if images.classes else ""
    )
    for name, count in parameters.items():
        yield _network(recipe, name, count, state)
    yield f"device      {prepared.device}, {prepared.precision}"
    yield f"epoch       {per_epoch:,} batch{'es' if per_epoch > 1 else ''} of {recipe.train.batch_size}"
    yield f"training    {ahead}"
    kept = f", {ahead.kept}" if ahead.kept else ""
    yield f"on disk     {pictures}, {megabytes(checkpoint)} a checkpoint ({recipe.snapshot.keep} kept){kept}"
    yield (
        f"in memory   {megabytes(trained)} weights, gradients, optimizer and average, "
        f"{activations} activations of a batch, {pictures}"
    )
    notes += warnings(recipe, len(packed.images), ahead)
    notes += _large(recipe, images, total)


def _network(recipe: Recipe, name: str, parameters: int, state: State) -> str:
    """Return the line of a network, or of what the loss or the augmentation brings along."""
    trained = f"{parameters:,} parameters"
    if name not in recipe.brought:
        return f"network     {name}: {trained}"
    numbers = sum(buffer.numel() for buffer in state.networks[name].buffers())
    remembered = f"{numbers:,} number{'' if numbers == 1 else 's'} remembered"
    both = [trained] * bool(parameters) + [remembered] * bool(numbers or not parameters)
    return f"{'network' if parameters else 'state':<12}{name}: {' and '.join(both)}, of the {recipe.brought[name]}"


def _rehearsal(recipe: Recipe, state: State, images: ImageSpec, notes: list[str]) -> Rehearsal | None:
    """Return what an iteration does; note what the generator does not make, and what could not be found out."""
    from ganlab.training.footprint import generated, rehearse

    shape = _attempted(lambda: generated(recipe, state, images), "what the generator makes", notes)
    if shape is not None and shape != (expected := (recipe.train.batch_size, *images[:3])):
        notes.append(f"the generator makes {shape} of a batch of latents, not the {expected} of the pictures")
    return _attempted(lambda: rehearse(recipe, state, images), "what an iteration does", notes)


def _attempted(find: Callable[[], T], what: str, notes: list[str]) -> T | None:
    """Return what `find` does; note where it cannot be told without numbers, or the networks do not work."""
    try:
        return find()
    # A stranger's code, run in an unusual way: it need not work, and a run will say whose fault it is.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        notes.append(f"{what} cannot be told without training: {told(error)}")
        return None


def _large(recipe: Recipe, images: ImageSpec, total: int) -> Iterator[str]:
    """Yield a warning where the networks have too many parameters, `total`, with what has fewer."""
    from ganlab.training.footprint import lighter

    if total > LARGE:
        found = lighter(recipe.model, images, LARGE)
        fewer = (
            "a model with fewer" if found is None else f"model.{found[0]} = {found[1]}, which has {_millions(found[2])}"
        )
        yield (
            f"the networks have {_millions(total)} parameters, and {_millions(LARGE)} are enough for 1024x1024, as "
            f"StyleGAN2 shows; this will be slow: use {fewer}, or a lower dataset.resolution"
        )


def _millions(count: int) -> str:
    return f"{count / 1e6:,.0f} million"
