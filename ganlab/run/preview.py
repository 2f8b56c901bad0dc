"""What a run would train and what it would take, without training: `ganlab run --dry-run`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ganlab.interfaces import image_spec
from ganlab.run.culprit import naming_culprit

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe


def preview(recipe: Recipe) -> str:
    """Return the resolved recipe, the networks with their parameter counts, and the sizes on disk and in memory.

    Finds the pictures and builds the networks, so that it raises what a run would raise before its first iteration.
    """
    import torch

    from ganlab.hardware.device import choose_device, choose_precision, usual_modes
    from ganlab.training.state import build_state, parameter_counts

    device = choose_device(recipe.train.device, "train.device")
    notes: list[str] = []
    precision = choose_precision(recipe.train.precision, device, notes.append)
    with naming_culprit(recipe), usual_modes():
        source = recipe.dataset.open()
        images = image_spec(recipe.dataset, source.classes)
        state = build_state(recipe, images, torch.device("cpu"))
    parameters = parameter_counts(state.networks)
    packed = len(source) * images.channels * images.height * images.width
    checkpoint = sum(tensor.nbytes for _, tensor in state.tensors())
    gradients = 4 * sum(parameters.values())
    per_epoch = len(source) // recipe.train.batch_size
    lines = [
        recipe.dump(),
        f"pictures    {len(source):,} of {images.channels} x {images.height} x {images.width}"
        + (f" in {images.classes} classes" if images.classes else ""),
        *(f"network     {name}: {count:,} parameters" for name, count in parameters.items()),
        f"device      {device}, {precision}",
        *(f"note        {note}" for note in notes),
        f"epoch       {per_epoch:,} batches of {recipe.train.batch_size}",
        f"on disk     {_megabytes(packed)} packed pictures, {_megabytes(checkpoint)} a checkpoint"
        f" ({recipe.snapshot.keep} kept)",
        f"in memory   {_megabytes(checkpoint + gradients)} weights, gradients, optimizer and average, "
        f"beside the activations of a batch and {_megabytes(packed)} of pictures",
    ]
    return "\n".join(lines)


def _megabytes(size: int) -> str:
    return f"{max(1, math.ceil(size / 1e6)):,} MB"
