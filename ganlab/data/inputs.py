"""A generator's inputs, as training draws them, and for sampling, where a seed is the same picture everywhere."""

from __future__ import annotations

import math
import operator
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ganlab.errors import PluginError
from ganlab.interfaces import Categorical, ImageSpec, Input, Labels, Model, Normal, Uniform
from ganlab.messages import shown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SEEDS = 2**32
"""Seeds are 0 to this minus one: what numpy's `RandomState` takes."""
NAME = r"[a-z][a-z0-9_]{0,63}"
"""What an input may be called: it is an argument of the command line, and a tensor's name in other formats."""
MOST = 64
"""Inputs at most."""
LARGEST = 2**26
"""Numbers of one input for one picture at most."""

Arrays = dict[str, np.ndarray[Any, Any]]
"""What a generator takes, by name: numbers as float32, a category as a row with a single 1, classes as int64."""


def declared_inputs(model: Model, images: ImageSpec) -> dict[str, Input]:
    """Return what the model's generator takes. Raise `PluginError` where `inputs` declares anything else."""
    declared = model.inputs(images)
    called = f"inputs() of {type(model).__name__}"
    if not isinstance(declared, dict) or not 0 < len(declared) <= MOST:
        raise PluginError(
            f"{called} must return a dict of 1 to {MOST} inputs by name, such as "
            f'{{"z": Normal((100,))}}, and returns {shown(declared)}'
        )
    for name, kind in declared.items():
        if not isinstance(name, str) or not re.fullmatch(NAME, name) or name == "images":
            raise PluginError(
                f"{called} calls an input {shown(name)}: take small letters, digits and _, and not images, "
                "which is what the generator makes"
            )
        if not isinstance(kind, Input):
            raise PluginError(f"{called}: {name} must be Normal, Uniform, Categorical or Labels, not {shown(kind)}")
        if not is_shape(kind.shape) or (not kind.shape and not isinstance(kind, Labels)):
            raise PluginError(f"{called}: {name} must have a shape of whole numbers from 1, not {shown(kind.shape)}")
    if sum(isinstance(kind, Labels) for kind in declared.values()) > 1:
        raise PluginError(f"{called} declares Labels more than once: a picture has one class")
    return declared


def is_shape(shape: object) -> bool:
    """Tell whether a shape is a tuple of whole numbers from 1 whose product is within limits."""
    lengths = shape if isinstance(shape, tuple) else (0,)
    return all(type(length) is int and length >= 1 for length in lengths) and math.prod(lengths) <= LARGEST


def needs_labels(model: Model, images: ImageSpec) -> bool:
    """Tell whether any network of the model takes the classes of the data."""
    return model.conditional or any(isinstance(kind, Labels) for kind in declared_inputs(model, images).values())


def drawn(inputs: Mapping[str, Input], count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw inputs for `count` pictures on the generator's device, as training does; all but labels, in their order."""
    import torch

    shapes = {name: (count, *kind.shape) for name, kind in inputs.items() if not isinstance(kind, Labels)}
    made = {name: torch.empty(shape, device=generator.device) for name, shape in shapes.items()}
    draw_into(made, inputs, generator)
    return made


def draw_into(places: Mapping[str, Tensor], inputs: Mapping[str, Input], generator: torch.Generator) -> None:
    """Overwrite what `drawn` has made with what it would draw next."""
    import torch

    for name, kind in inputs.items():
        match kind:
            case Normal():
                places[name].normal_(generator=generator)
            case Uniform():
                places[name].uniform_(-1.0, 1.0, generator=generator)
            case Categorical():
                chosen = torch.randint(kind.n, (len(places[name]), 1), generator=generator, device=generator.device)
                places[name].copy_(chosen == torch.arange(kind.n, device=generator.device))


def of_seeds(
    inputs: Mapping[str, Input], seeds: Iterable[int], classes: int, chosen: Mapping[str, Sequence[int]] | None = None
) -> Arrays:
    """Draw the inputs of one picture a seed; return them as the generator takes them.

    Seed n is what `RandomState(n)` draws, in the order of `inputs`: `standard_normal(shape)`,
    `uniform(-1, 1, shape)`, `randint(n)` for a category. The label is the seed's remainder by the number of classes
    and draws nothing. `chosen` are categories and labels, one a seed, that take the place of those drawn.
    `RandomState` is the one generator whose stream numpy promises never to change. Raises `ValueError` for a seed
    that is not a whole number from 0 to 2**32 - 1.
    """
    numbers = [checked_seed(seed) for seed in seeds]
    stream = _streams.stream
    types = {name: np.int64 if kind.shape == () else np.float32 for name, kind in inputs.items()}
    made: Arrays = {name: np.zeros((len(numbers), *kind.shape), types[name]) for name, kind in inputs.items()}
    for place, number in enumerate(numbers):
        stream.seed(number)  # the stream of RandomState(number), which costs 30 times as much to make
        for name, kind in inputs.items():
            match kind:
                case Normal():
                    made[name][place] = stream.standard_normal(kind.shape)
                case Uniform():
                    made[name][place] = stream.uniform(-1.0, 1.0, kind.shape)
                case Categorical():
                    made[name][place, stream.randint(kind.n, dtype=np.int64)] = 1.0
                case Labels():
                    made[name][place] = number % classes
    for name, values in (chosen or {}).items():
        if inputs[name].shape:
            made[name][:] = 0.0
            made[name][np.arange(len(numbers)), values] = 1.0
        else:
            made[name][:] = values
    return made


class Grid(NamedTuple):
    """Which pictures a grid shows: rows sweep the classes, or the first categorical input."""

    columns: int
    seeds: list[int]
    chosen: dict[str, list[int]]
    """Categories and labels, one a picture, by the input's name."""

    @classmethod
    def of(cls, inputs: Mapping[str, Input], classes: int, count: int) -> Grid:
        """Return a row a class, with a latent of its own for each picture; or a row a category, whose pictures share
        the rest with those above and below; or else a square.
        """
        labels = next((name for name, kind in inputs.items() if isinstance(kind, Labels)), None)
        if labels is not None:
            columns = -(-count // classes)
            return cls(columns, list(range(count)), {labels: [place // columns % classes for place in range(count)]})
        swept = next(((name, kind.n) for name, kind in inputs.items() if isinstance(kind, Categorical)), None)
        if swept is not None:
            columns = -(-count // swept[1])
            rows = [place // columns for place in range(count)]
            return cls(columns, [place % columns for place in range(count)], {swept[0]: rows})
        return cls(math.ceil(math.sqrt(count)), list(range(count)), {})


def checked_seed(seed: object) -> int:
    """Return `seed` as an int. Raise `ValueError` where it is not a whole number from 0 to 2**32 - 1."""
    try:
        number = operator.index(seed)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        number = -1
    if isinstance(seed, bool) or not 0 <= number < SEEDS:
        raise ValueError(f"{str(seed)[:40]!r} is not a seed: seeds are whole numbers from 0 to {SEEDS - 1}")
    return number


class _Streams(threading.local):
    """One stream a thread, made once: it costs as much as the latents of 20 pictures."""

    def __init__(self) -> None:
        self.stream = np.random.RandomState(0)


_streams = _Streams()
