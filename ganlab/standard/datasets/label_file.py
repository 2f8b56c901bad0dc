"""Classes from a file beside the pictures: a CSV of files and labels, or the dataset.json of StyleGAN's tools."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ganlab import DataError
from ganlab.standard.datasets.archives import TOO_LARGE, FileStore, folders, read_file
from ganlab.standard.datasets.layout import NAME_LETTERS, Found, Part, few

LARGEST_BYTES = 64 << 20
"""About two million pictures."""
COLUMNS = ("file", "label")


class Entry(NamedTuple):
    """What a label file says of one picture."""

    place: str
    """Where it says so."""
    file: str
    label: str


def located(root: Path, labels: str) -> Path | None:
    """Return the label file that lies in the root or else beside it; None where it is in a zip, or not there."""
    return next((path for path in (root / labels, root.parent / labels) if path.is_file()), None)


def by_file(store: FileStore, labels: str, part: Part, skip: bool) -> Found:
    """Give the pictures of a split the classes that a label file says, by name or number.

    Its paths begin in the folder that it lies in, or, where it lies beside the root, in the root. Raise `DataError`
    where it is not right, or does not fit the pictures; where `skip`, what does not fit is left out.
    """
    data, base = _content(store, labels)
    read = _csv_entries if labels.lower().endswith(".csv") else _json_entries
    said, first, absent = _matched(read(data, labels), base, {_key(name) for name in store.names})
    unlabelled = [name for name in part.names if _key(name) not in said]
    sentences = []
    if first is not None:
        more = f" (of {absent:,} labels without a picture, the first)" if absent > 1 else ""
        paths = few(store.names[:1])
        sentences.append(f"{first.place}: there is no picture {few([first.file])}{more}; paths look like {paths}")
    if unlabelled:
        count = f"{len(unlabelled):,} of the {len(part.names):,} pictures"
        sentences.append(f"{labels} has no label for {count}: {few(unlabelled)}")
    if sentences and not skip:
        raise DataError(f'{sentences[0]}; correct it, or set dataset.on_bad = "skip" to leave out what does not fit')
    taken = [name for name in part.names if _key(name) in said]
    if not taken:
        raise DataError(f"{labels} has a label for none of the pictures in {store.path}")
    warnings = tuple(f"{sentence}; left out" for sentence in sentences)
    return Found(taken, [said[_key(name)].label for name in taken], part.remarks, warnings)


def _matched(entries: Iterator[Entry], base: str, keys: set[str]) -> tuple[dict[str, Entry], Entry | None, int]:
    """Return the entry of each picture, the first entry that has no picture, and how many have none."""
    said: dict[str, Entry] = {}
    absent, first = 0, None
    for entry in entries:
        key = _key(f"{base}/{entry.file}")
        if key not in keys:
            absent, first = absent + 1, first or entry
        elif key in said:
            raise DataError(
                f"{entry.place}: {few([entry.file])} has a label already, by {said[key].place}; leave one away"
            )
        else:
            said[key] = entry
    return said, first, absent


def _content(store: FileStore, labels: str) -> tuple[bytes, str]:
    """Return the bytes of a label file, and the folder in which its paths begin."""
    beside = store.path.parent / labels
    try:
        data = store.read_apart(LARGEST_BYTES)
        if data is not None:
            within = not labels.startswith("/") and ".." not in labels.split("/")
            return data, labels.rpartition("/")[0] if within else ""
        if beside.exists():
            return read_file(beside, LARGEST_BYTES, TOO_LARGE), ""
    except OSError as error:
        raise DataError(f"{labels} cannot be read: {error.strerror or error}") from error
    except DataError as error:
        raise DataError(f"{labels} {error}") from error
    raise DataError(f'there is no {labels} in {store.path}, nor beside it; dataset.labels = "{labels}" says so')


def _key(path: str) -> str:
    return "/".join(folders(path, whole=True))


def _csv_entries(data: bytes, name: str) -> Iterator[Entry]:
    """Read lines of RFC 4180: file and label, or any columns below a header that has these."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}:{line}: is not UTF-8; save it as that") from error
    rows = _rows(text, name)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{name} is empty; a line is a file, a comma and its label")
    header = [cell.strip().lower() for cell in first[1]]
    file, label, width = 0, 1, 2
    if set(COLUMNS) <= set(header):
        file, label, width = header.index("file"), header.index("label"), len(header)
        first = next(rows, None)
    while first is not None:
        line, cells = first
        if len(cells) != width:
            raise DataError(
                f"{name}:{line}: has other columns than {width}, namely {len(cells)}; a line is a file, a comma and "
                "its label, unless a header that has file and label names more columns"
            )
        yield Entry(f"{name}:{line}", cells[file].strip(), _label(cells[label], f"{name}:{line}"))
        first = next(rows, None)


def _rows(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not empty, with their numbers."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num}: is not CSV: {error}") from error


def _json_entries(data: bytes, name: str) -> Iterator[Entry]:
    """Read `{"labels": [["00000/img00000000.png", 6], ...]}`, whose numbers are the classes."""
    try:
        table: Any = json.loads(data)
    except json.JSONDecodeError as error:
        raise DataError(f"{name}:{error.lineno}: is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, a number of thousands of digits, nested too deeply
        raise DataError(f"{name} is not JSON that can be read: {str(error)[:80]}") from error
    pairs = table.get("labels") if isinstance(table, dict) else None
    if not isinstance(pairs, list):
        raise DataError(f'{name} has no list of "labels" such as [["00000/img00000000.png", 6], ...]')
    for index, pair in enumerate(pairs):
        place = f"{name}: labels[{index}]"
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise DataError(f'{place}: is no pair of a file and its label, such as ["00000/img00000000.png", 6]')
        label = pair[1]
        if isinstance(label, bool) or not isinstance(label, int | str) or (isinstance(label, int) and label < 0):
            raise DataError(f"{place}: the label of {few([pair[0]])} is neither a whole number from 0 on nor a name")
        yield Entry(place, pair[0], _label(str(label), place))


def _label(text: str, place: str) -> str:
    label = text.strip()
    if not label or len(label) > NAME_LETTERS:
        raise DataError(f"{place}: a label has 1 to {NAME_LETTERS} letters, and this one has {len(label):,}")
    return label
