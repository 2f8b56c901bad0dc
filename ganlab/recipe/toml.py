"""TOML with what the standard library leaves out: the line of every key, one kind of error, and a writer."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from pathlib import PurePath
from typing import Any, NamedTuple

from ganlab.messages import short

KeyPath = tuple[str | int, ...]
"""The keys that lead to a value, outermost first; positions in arrays of tables are numbers."""

MAX_BYTES = 1_000_000
MAX_DEPTH = 32

_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Whatever can hide a line break or a bracket, else one character. Right for text that tomllib has accepted.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'" r"|\#[^\n]*|.",
    re.DOTALL,
)


class TOMLError(ValueError):
    """What is not TOML, or more than a recipe may be, and the line where that shows, if it shows in one."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(what)
        self.line = line


class Document(NamedTuple):
    """A parsed file."""

    table: dict[str, Any]
    lines: dict[KeyPath, int]
    """Line of every key and table header, counted from 1."""


def parse(data: bytes | str) -> Document:
    """Parse a file of at most `MAX_BYTES`. Raise `TOMLError`, and nothing else, where it is not TOML."""
    if len(data) > MAX_BYTES:
        raise TOMLError(f"is longer than {MAX_BYTES:,} bytes")
    text = _decoded(data) if isinstance(data, bytes) else data
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    table = _loads(text)
    return Document(table, _lines(text))


def parse_value(text: str) -> Any:
    """Parse one TOML value. Raise `TOMLError` where it is none, or more than one."""
    try:
        table = _loads(f"value = {text}")
    except TOMLError as error:
        raise TOMLError(re.sub(r" at (column \d+|the end of the file)$", "", str(error))) from error
    if len(table) != 1 or "\n" in text:
        raise TOMLError("is not one value")
    return table["value"]


def parse_key(text: str) -> tuple[str, ...]:
    """Parse a dotted key such as `train.epochs`. Raise `TOMLError` where it is none."""
    value: Any = _loads(f"{text} = 0") if "\n" not in text and "=" not in text else {}
    path: list[str] = []
    while isinstance(value, dict):
        if len(value) != 1 or len(path) == MAX_DEPTH:
            raise TOMLError("is not one key")
        [(key, value)] = value.items()
        path.append(key)
    return tuple(path)


def dumps(table: Mapping[str, Any], inline: Callable[[object], bool] = lambda value: False) -> str:
    """Write a table of strings, numbers, booleans, arrays and tables as TOML; `parse` gives back an equal one.

    Tables of which `inline` says so are written on their key's line, the others below headers.
    """
    return "".join(_sections(table, (), inline)).lstrip("\n")


def dump_value(value: Any) -> str:
    """Write one value on one line. Raise `TypeError` for what TOML cannot hold, such as None."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value) if isfinite(value) else f"{value}"
        case str() | PurePath():
            return _quoted(str(value))
        case list() | tuple():
            return f"[{', '.join(map(dump_value, value))}]"
        case Mapping():
            items = ", ".join(f"{dump_key(key)} = {dump_value(item)}" for key, item in value.items())
            return f"{{ {items} }}" if items else "{}"
    raise TypeError(f"TOML cannot hold a {type(value).__name__}")


def in_toml(value: Any) -> str:
    """Return any value as a message shows it: as a recipe would hold it, shortened."""
    try:
        return short(dump_value(value))
    except TypeError:
        return short(str(value))


def dump_key(key: str) -> str:
    """Write a key, in quotes where it needs them."""
    return key if _BARE_KEY.fullmatch(key) else _quoted(key)


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TOMLError("is not a text file in UTF-8", line) from error


def _loads(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Its position is an attribute only from Python 3.14 on.
        what = str(error)
        if (position := _POSITION.search(what)) is None:
            raise TOMLError(f"is not TOML: {_lowered(what)}") from error
        what = _lowered(what[: position.start()])
        if position[1] is None:
            raise TOMLError(f"is not TOML: {what} at the end of the file", text.count("\n") + 1) from error
        raise TOMLError(f"is not TOML: {what} at column {position[2]}", int(position[1])) from error
    except RecursionError as error:
        raise TOMLError("is nested too deeply") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise TOMLError(f"is not TOML: {_lowered(str(error))}") from error


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _lines(text: str) -> dict[KeyPath, int]:
    """Return each key's path and line. tomllib parses each statement by itself; only their ends are found here."""
    header: KeyPath = ()
    lengths: dict[KeyPath, int] = {}
    lines: dict[KeyPath, int] = {}
    for line, statement in _statements(text):
        table = _loads(statement)
        if statement.startswith("["):
            header = _header(table, lengths)
            _bounded(header, line)
            for end in range(1, len(header)):
                lines.setdefault(header[:end], line)  # of a table that only the headers of tables in it speak
            lines[header] = line
        else:
            lines |= dict.fromkeys(_paths(table, header, line), line)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Split accepted TOML into its key-value pairs and headers, each with the line where it begins."""
    line, depth, begin = 1, 0, 0
    first = 1
    for token in _TOKEN.finditer(text + "\n"):
        match token[0]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case "\n":
                line += 1
                if depth == 0:
                    statement = text[begin : token.start()].strip()
                    if statement and not statement.startswith("#"):
                        yield first, statement
                    begin, first = token.end(), line
            case other:
                line += other.count("\n")


def _header(table: dict[str, Any], lengths: dict[KeyPath, int]) -> KeyPath:
    """Return the path of `[a.b]` or `[[a.b]]`, whose last table in an array is the one meant."""
    path: KeyPath = ()
    value: Any = table
    while value:
        [(key, value)] = value.items()
        path += (key,)
        if isinstance(value, list):
            lengths[path] = lengths.get(path, -1) + 1
            value = value[0]
        if path in lengths:
            path += (lengths[path],)
    return path


def _paths(value: Any, path: KeyPath, line: int) -> Iterator[KeyPath]:
    _bounded(path, line)
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from _paths(item, (*path, key), line)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _paths(item, (*path, index), line)


def _bounded(path: KeyPath, line: int) -> None:
    """Keep every later walk over the table within Python's recursion limit."""
    if len(path) > MAX_DEPTH:
        raise TOMLError(f"is nested more than {MAX_DEPTH} deep", line)


def _sections(table: Mapping[str, Any], path: tuple[str, ...], inline: Callable[[object], bool]) -> Iterator[str]:
    """Yield a table's own lines, then its tables: TOML has no way back from a header."""
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping) and not inline(value)}
    if path and (len(tables) < len(table) or not tables):
        yield f"\n[{'.'.join(map(dump_key, path))}]\n"
    for key, value in table.items():
        if key not in tables:
            yield f"{dump_key(key)} = {dump_value(value)}\n"
    for key, value in tables.items():
        yield from _sections(value, (*path, key), inline)


def _quoted(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    plain = "".join(escapes.get(letter) or (letter if letter.isprintable() else _escaped(letter)) for letter in text)
    return f'"{plain}"'


def _escaped(letter: str) -> str:
    number = ord(letter)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
