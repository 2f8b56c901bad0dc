"""What the classes of a dataset are called."""

from __future__ import annotations

from ganlab.errors import DataError
from ganlab.interfaces import Source
from ganlab.messages import quoted, shown

MOST_CLASSES = 1_000_000
"""More are refused; in a packed file they are damage."""
NAME_LETTERS = 200
"""The longest name of a class: it comes to stand in a generator's file, in logs and beside grids."""


def is_name(called: object) -> bool:
    """Tell whether a class may be called so."""
    return isinstance(called, str) and bool(called.strip()) and called.isprintable() and len(called) <= NAME_LETTERS


def class_names(source: Source, name: str) -> tuple[str, ...]:
    """Return what the classes of a source are called; `name` is the dataset's. Raise `DataError` where they are none.

    Where it does not name them, these are their numbers.
    """
    classes = source.classes
    if classes > MOST_CLASSES:
        raise DataError(f'dataset "{name}" states {classes:,} classes; up to {MOST_CLASSES:,} can be used')
    names: tuple[object, ...] = tuple(source.class_names) or tuple(map(str, range(classes)))
    if len(names) != classes or isinstance(source.class_names, str):
        raise DataError(
            f'dataset "{name}" names {shown(source.class_names)} as its {classes:,} classes; '
            "it must give a sequence with one name for each"
        )
    seen: dict[object, int] = {}
    for number, called in enumerate(names):
        if not is_name(called):
            raise DataError(
                f'dataset "{name}" calls its class {number} {shown(called)}; a name is one printable line of up to '
                f"{NAME_LETTERS} letters"
            )
        if seen.setdefault(called, number) != number:
            raise DataError(
                f'dataset "{name}" calls both class {seen[called]} and class {number} {quoted(str(called))}; '
                "each needs a name of its own"
            )
    return tuple(map(str, seen))
