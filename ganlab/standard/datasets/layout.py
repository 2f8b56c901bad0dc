"""What the folders of a dataset say: which are splits, which are classes, and which pictures lie beside them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ganlab import DataError, printable
from ganlab.standard.datasets.archives import folders

SPLITS = ("train", "val", "valid", "validation", "test")
"""Folders of these names, in any letters, are parts of one dataset."""
Split = Literal["train", "val", "valid", "validation", "test", "all", "none"]

MOST_SHARED = 64
"""So many folders, one in the other, are passed over before it is given up to look for classes."""
LISTED = 3
"""How many names a sentence lists."""
NAME_LETTERS = 200
"""The longest name of a class."""


class Found(NamedTuple):
    """The pictures that are taken."""

    names: list[str]
    """Their relative paths."""
    classes: list[str] | None
    """What says of each to which class it belongs, such as its folder; None where there are no classes."""
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Part(NamedTuple):
    """The pictures of a split."""

    names: list[str]
    depth: int
    """How many folders of their paths say nothing of their classes."""
    remarks: tuple[str, ...] = ()


def choose_split(names: list[str], split: Split | None, root: Path) -> Part:
    """Return the pictures of the split that is chosen, all where the folders are no splits.

    Raise `DataError` where there are several to choose from, or not the one that is chosen.
    """
    if split == "none":
        return Part(names, 0)
    ways = [folders(name) for name in names]
    inside = list(range(len(names)))
    splits: list[str] = []
    for depth in range(MOST_SHARED):
        inside = [index for index in inside if len(ways[index]) > depth]
        tops = sorted({ways[index][depth] for index in inside}, key=natural)
        splits = [top for top in tops if top.casefold() in SPLITS]
        chosen = [top for top in splits if split in ("all", top.casefold())]
        if chosen:
            taken = [names[index] for index in inside if ways[index][depth] in chosen]
            return Part(taken, depth + 1, _not_chosen(len(names) - len(taken), split))
        if split is None and splits:
            nested = any(len(ways[index]) > depth + 1 for index in inside if ways[index][depth] in splits)
            # One among others that holds pictures itself is like them: a train beside a bus.
            if len(splits) > 1 or (len(tops) > 1 and nested):
                raise DataError(_unclear(root, splits, tops))
        if len(tops) != 1:
            break
    if split not in (None, "all"):
        there = f"it has {few(splits)}" if splits else "leave the option away"
        raise DataError(f'{root} has no folder {split} for dataset.split = "{split}" to choose; {there}')
    return Part(names, 0)


def _not_chosen(count: int, split: Split | None) -> tuple[str, ...]:
    pictures = "1 picture" if count == 1 else f"{count:,} pictures"
    return (f'left out {pictures} outside of what dataset.split = "{split}" chooses',) if count else ()


def _unclear(root: Path, splits: Sequence[str], tops: Sequence[str]) -> str:
    """Say what was found where it cannot be told what is meant."""
    first = min((top.casefold() for top in splits), key=SPLITS.index)
    if len(splits) > 1:
        return (
            f"{root} has the folders {few(splits)}, which are splits and no classes; choose one of them by "
            f'dataset.split = "{first}", or take "all" of them together'
        )
    others = [top for top in tops if top not in splits]
    return (
        f"{root} has the folder {splits[0]} with folders in it, beside {few(others)}; write "
        f'dataset.split = "{first}" if that is a split, or "none" if it is a class like the others'
    )


def by_folders(part: Part) -> Found:
    """Take folders that lie side by side as classes, with what is below them.

    A folder that lies alone says nothing and is passed over, such as the one that a zip was made of. A few pictures
    beside the folders of classes have none and are left out; where most lie there, the folders are no classes.
    """
    names = part.names
    ways = [folders(name) for name in names]
    inside = list(range(len(names)))
    depth = part.depth
    for depth in range(part.depth, part.depth + MOST_SHARED):
        inside = [index for index in inside if len(ways[index]) > depth]
        tops = {ways[index][depth] for index in inside}
        if len(tops) != 1:
            break
    if len(tops) < 2:
        return Found(names, None, part.remarks)
    loose = len(names) - len(inside)
    if loose >= len(inside):
        remark = f"the folders are no classes, for {loose:,} of the {len(names):,} pictures lie beside them"
        return Found(names, None, (*part.remarks, remark))
    taken, classes = [names[index] for index in inside], [ways[index][depth] for index in inside]
    return Found(taken, classes, part.remarks, _stray(sorted(set(names).difference(taken))))


def _stray(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    pictures = "1 picture that lies" if len(names) == 1 else f"{len(names):,} pictures that lie"
    return (
        f"left out {pictures} beside the folders of the classes: {few(names)}; move "
        f"{'it' if len(names) == 1 else 'them'} into these, or set dataset.labels = false to do without classes",
    )


def natural(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Return by what names are sorted as people do it: 2 before 10, whatever the case; then by the letters.

    Numbers are compared as text, for they may have any number of digits.
    """
    pieces: list[str | tuple[int, str]] = list(re.split("([0-9]+)", name.casefold()))
    for place in range(1, len(pieces), 2):  # text and digits take turns
        digits = str(pieces[place]).lstrip("0")
        pieces[place] = (len(digits), digits)
    return pieces, name


def class_name(text: str) -> str:
    """Return a text, such as a folder's name, as a class may be called: on one printable line, not too long."""
    name = printable(unicodedata.normalize("NFC", text))
    return name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 3]}..."


def few(names: Sequence[str]) -> str:
    """List the first few names."""
    shown = [class_name(name) for name in names[:LISTED]]
    if len(names) > LISTED:
        return f"{', '.join(shown)} and {len(names) - LISTED:,} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
