"""What a caller gives a generator, checked before it is computed with: arrays, or choices that go with seeds."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ganlab.data.inputs import Arrays, of_seeds
from ganlab.errors import ArtefactError
from ganlab.generator.metadata import Metadata
from ganlab.hardware.memory import memory_errors
from ganlab.interfaces import Categorical, Input, Labels, Normal
from ganlab.messages import did_you_mean, in_words, listed, one_line, quoted, shown, with_article

Choice = float | str | Sequence[float | str] | np.ndarray[Any, Any]
"""What an input is set to: a category, or a class by name or number, or several that take turns; one number for all of
an input's, or each of them."""
NOTHING: Mapping[str, Choice] = {}
NAMED = 20
"""How many classes a message lists."""


class Arguments(NamedTuple):
    """A generator's inputs: how they are called, drawn and checked."""

    name: str
    """What messages call the generator."""
    kinds: Mapping[str, Input]
    classes: int
    class_names: Sequence[str]
    """Of all classes, in the order of their numbers; empty where they are not known."""

    @classmethod
    def of(cls, name: str, metadata: Metadata) -> Arguments:
        """Return those of the generator that the metadata describes."""
        return cls(name, metadata.kinds, metadata.images.classes, metadata.class_names)

    def checked(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
        """Return arrays in the order and types that the generator takes. Raise `ArtefactError` where they do not fit.

        They have one row a picture: float `(N, *shape)` for normal, uniform and categorical inputs, the last one-hot,
        integers `(N,)` for labels.
        """
        if not isinstance(inputs, Mapping):
            names = ", ".join(f'"{name}": ...' for name in self.kinds)
            raise ArtefactError(
                f"{self.name}: takes its inputs by name, {{{names}}}, not {with_article(type(inputs).__name__)}"
            )
        self._known(inputs)
        if missing := [name for name in self.kinds if name not in inputs]:
            raise ArtefactError(f"{self.name}: needs {in_words([self._described(m, self.kinds[m]) for m in missing])}")
        arrays = {name: np.asarray(inputs[name]) for name in self.kinds}
        count = len(next((array for array in arrays.values() if array.ndim), ()))
        return {name: self._checked(name, array, count) for name, array in arrays.items()}

    def wishes(self, label: int | str | None, inputs: Mapping[str, Choice], truncation: float) -> Wishes:
        """Return what is chosen for pictures of seeds. Raise `ArtefactError` for what the generator cannot do."""
        self._known(inputs)
        if label is not None:
            labels = next((name for name, kind in self.kinds.items() if isinstance(kind, Labels)), None)
            if labels is None:
                raise ArtefactError(f"{self.name}: takes no labels: its model is not conditional")
            if labels in inputs:
                raise ArtefactError(f"{self.name}: label and inputs both choose {labels}; give one of them")
            inputs = {**inputs, labels: label}
        turns: dict[str, list[int]] = {}
        numbers: Arrays = {}
        for name, choice in inputs.items():
            kind = self.kinds[name]
            if isinstance(kind, Categorical | Labels):
                turns[name] = self._turns(name, kind, choice)
            else:
                numbers[name] = self._numbers(name, kind, choice)
        try:
            usable = 0.0 <= truncation < math.inf
        except (TypeError, ValueError):  # of what cannot be compared, and of arrays
            usable = False
        if not usable:
            raise ArtefactError(f"{self.name}: truncation must be a number from 0, not {shown(truncation)}")
        scaled = [name for name, kind in self.kinds.items() if isinstance(kind, Normal) and name not in numbers]
        if truncation != 1.0 and not scaled:
            raise ArtefactError(
                f"{self.name}: truncation scales inputs that are drawn from a normal distribution, and there is none: "
                f"its inputs are {self._listed()}; leave truncation out"
            )
        return Wishes(turns, numbers, dict.fromkeys(scaled, truncation) if truncation != 1.0 else {})

    def drawn(self, seeds: Sequence[int], wishes: Wishes, first: int = 0) -> Arrays:
        """Return the inputs of pictures, one a seed; `first` is the place of the first among all that are drawn."""
        count = len(seeds)
        turns = {
            name: [turn[place % len(turn)] for place in range(first, first + count)]
            for name, turn in wishes.turns.items()
        }
        try:
            with memory_errors(lambda: f"out of memory for {count} pictures of {self.name} at once; ask for fewer"):
                made = of_seeds(self.kinds, seeds, self.classes, turns)
        except ValueError as error:
            raise ArtefactError(f"{self.name}: {error}") from error
        for name, values in wishes.numbers.items():
            made[name][:] = values
        for name, truncation in wishes.scales.items():
            made[name] *= np.float32(truncation)
        return made

    def _known(self, inputs: Iterable[str]) -> None:
        for name in inputs:
            if name not in self.kinds:
                meant = did_you_mean(str(name), self.kinds) or f"; its inputs are {self._listed()}"
                raise ArtefactError(f"{self.name}: has no input {shown(name)}{meant}")

    def _listed(self) -> str:
        return in_words([self._described(name, kind) for name, kind in self.kinds.items()])

    def _checked(self, name: str, array: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
        kind = self.kinds[name]
        labels = isinstance(kind, Labels)
        if array.shape != (count, *kind.shape) or array.dtype.kind not in ("iu" if labels else "f"):
            shape = ", ".join(map(str, ("N" if name == next(iter(self.kinds)) else count, *kind.shape)))
            raise ArtefactError(
                f"{self.name}: {name} must be {'integers' if labels else 'floats'} of shape "
                f"({shape}{'' if kind.shape else ','}), not {array.dtype} of shape {array.shape}"
            )
        if labels:
            # onnxruntime takes negative labels for classes counted from the end.
            self._refuse_unknown(name, kind, array)
            return np.ascontiguousarray(array, np.int64)
        values = np.ascontiguousarray(array, np.float32)
        if not np.isfinite(values).all():
            raise ArtefactError(f"{self.name}: {name} holds values that are not finite")
        return values

    def _turns(self, name: str, kind: Categorical | Labels, choice: Choice) -> list[int]:
        """Return the numbers of the categories or classes that take turns."""
        given = list(_each(choice))
        if isinstance(kind, Labels):
            given = [self._class(value) if isinstance(value, str) else value for value in given]
        try:
            if any(isinstance(value, bool) for value in given):
                raise TypeError
            chosen = [operator.index(value) for value in given]
        except TypeError as error:
            raise ArtefactError(
                f"{self.name}: {self._described(name, kind)} takes whole numbers, not {one_line(str(choice), 60)}"
            ) from error
        if not chosen:
            raise ArtefactError(f"{self.name}: {self._described(name, kind)} is given no number")
        self._refuse_unknown(name, kind, chosen)
        return chosen

    def _class(self, label: str) -> int:
        """Return the number of the class that a text names."""
        if label in self.class_names:
            return self.class_names.index(label)
        if re.fullmatch("-?[0-9]{1,9}", label):
            return int(label)
        which = f"{listed(self.class_names, NAMED)}, or their" if self.class_names else "which have no names but their"
        raise ArtefactError(
            f"{self.name}: label {quoted(label)} is none of its classes, {which} numbers 0 to {self.classes - 1}"
            f"{did_you_mean(label, self.class_names)}"
        )

    def _refuse_unknown(self, name: str, kind: Input, chosen: Iterable[int]) -> None:
        count = kind.n if isinstance(kind, Categorical) else self.classes
        for value in chosen:
            if not 0 <= value < count:
                what = f"label {value} is none of its classes"
                if isinstance(kind, Categorical):
                    what = f"{name} {value} is none of its categories"
                raise ArtefactError(f"{self.name}: {what}, 0 to {count - 1}")

    def _numbers(self, name: str, kind: Input, choice: Choice) -> np.ndarray[Any, Any]:
        """Return the numbers of a normal or uniform input, of its shape, or one for all of them."""
        size = math.prod(kind.shape)
        try:
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
                values = np.asarray(choice, np.float32)
        except (TypeError, ValueError, OverflowError) as error:
            raise ArtefactError(f"{self.name}: {name} takes numbers, not {one_line(str(choice), 60)}") from error
        if values.size not in (1, size):
            takes = "1 number" if size == 1 else f"1 number, or the {size} of its shape {kind.shape}"
            raise ArtefactError(f"{self.name}: {name} takes {takes}, not {values.size}")
        if not np.isfinite(values).all():
            raise ArtefactError(f"{self.name}: {name} holds values that are not finite")
        return values.reshape(kind.shape) if values.size == size else values.reshape(())

    def _described(self, name: str, kind: Input) -> str:
        match kind:
            case Categorical():
                return f"{name} (categories 0 to {kind.n - 1})"
            case Labels():
                return f"{name} (classes 0 to {self.classes - 1})"
        return f"{name} ({kind.distribution}, {' x '.join(map(str, kind.shape))})"


class Wishes(NamedTuple):
    """What a caller has chosen of the inputs that seeds would decide."""

    turns: Mapping[str, list[int]]
    """Categories and labels, which the pictures take in turns."""
    numbers: Arrays
    """Of normal and uniform inputs, for all pictures alike."""
    scales: Mapping[str, float]
    """Factors of normal inputs that are drawn."""


def _each(choice: Choice) -> Iterator[Any]:
    if isinstance(choice, np.ndarray):
        return iter(choice.reshape(-1))
    return iter(choice) if isinstance(choice, Sequence) and not isinstance(choice, str) else iter([choice])
