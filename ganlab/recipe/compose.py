"""What a recipe's files and overrides say together, and where each value was written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from ganlab.errors import RecipeError
from ganlab.messages import did_you_mean, short, shown, spoken_at_command_line
from ganlab.recipe.schedules import is_schedule, merged_schedule
from ganlab.recipe.toml import MAX_BYTES, KeyPath, TOMLError, in_toml, parse, parse_key, parse_value
from ganlab.registry.kinds import DECISIVE, KINDS

MAX_BASES = 8
"""How many recipes may extend one another in a row."""

ALTERNATIVES = {"train": ("iterations", "epochs"), "snapshot": ("every_iterations", "every_epochs")}
"""Options of which one takes the other's place: what an upper layer says of one, it says of both."""


Overrides = Mapping[str, Any] | Sequence[str]
"""Values by dotted key, as Python has them, or `key=value` texts, as a command line has them."""
IN_PYTHON = 'write overrides={"train.epochs": 1}'
"""How Python says what is to be changed."""


class _MistakeError(Exception):
    """What is wrong with one value; its place is known one level up."""


class Written(NamedTuple):
    """Nested tables as people wrote them, in one file, in several, or on the command line."""

    table: dict[str, Any]
    places: dict[KeyPath, str]
    """Where a key was written, such as `faces.toml:12` or `--set train.epochs=1`."""
    origin: str
    """The file, or whatever else holds it all."""
    files: tuple[Path, ...] = ()
    """The files that were read, each before the one that it extends."""
    shadowed: frozenset[KeyPath] = frozenset()
    """Options of `[optimizer]` that were written over a layer in which networks have values of their own for them."""

    def place(self, path: KeyPath) -> str:
        """Return where a value was written, or one in it, or the table that it belongs into."""
        if path and path not in self.places:
            # An override is of a key, and the tables around it have no place of their own.
            for inner, place in self.places.items():
                if inner[: len(path)] == path:
                    return place
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.origin)


def read_layers(path: Path, overrides: Overrides = ()) -> Written:
    """Read a recipe, what it extends, and the overrides on top. Raise `RecipeError` where one is not even TOML."""
    try:
        base = _extended(_file(path), path.parent, (path,))
    except RecipeError as error:
        raise RecipeError([*error.problems, *_problems(overrides)]) from error
    return _over(read_overrides(overrides, str(path)), base)


def read_tables(source: Mapping[str, Any] | str, name: str, overrides: Overrides = ()) -> Written:
    """Take a recipe from memory, as nested tables or TOML text; what it extends is sought in the current folder."""
    if isinstance(source, str):
        written = _parsed(source, name)
    else:
        written = Written(_plain(source), {}, name)
    return _over(read_overrides(overrides, name), _extended(written, Path(), ()))


def read_overrides(overrides: Overrides, origin: str) -> Written:
    """Read values by dotted key, or `key=value` texts, in which a value that is not TOML is text.

    Raise `RecipeError` with all bad ones.
    """
    if isinstance(overrides, str):
        raise RecipeError([f'overrides="{short(overrides)}" is one text: {IN_PYTHON}'])
    written = Written({}, {}, origin)
    problems = []
    for item in overrides.items() if isinstance(overrides, Mapping) else overrides:
        place = _place(item)
        try:
            path, value = _override(item) if isinstance(item, str) else (_key(item[0]), _plain(item[1]))
            _insert(written.table, path, value)
        except _MistakeError as error:
            problems.append(f"{place}: {error}")
        else:
            written.places[path] = place
    if problems:
        raise RecipeError(problems)
    return written


def override_texts(overrides: Overrides) -> tuple[str, ...]:
    """Return overrides that have been read without a mistake as `key=value` texts, as a command line has them."""
    if not isinstance(overrides, Mapping):
        return tuple(overrides)
    # None is a key that was not written.
    return tuple(f"{key}={in_toml(value)}" for key, value in _plain(overrides).items())


def _place(override: str | tuple[object, Any]) -> str:
    """Return where an override was written, as whoever has written it calls that place."""
    if isinstance(override, str):
        return f"{'--set' if spoken_at_command_line() else 'overrides:'} {short(override, 80)}"
    return f"overrides[{shown(override[0])}]"


def find_recipe(name_or_path: str) -> Path:
    """Return a recipe's path, given that or the name of a recipe that comes with ganlab. Raise `RecipeError`."""
    path = Path(name_or_path)
    name = path.name.removesuffix(".toml")
    shipped = {recipe.stem: recipe for recipe in shipped_recipes()}
    if path.parent == Path() and name in shipped and not os.path.isfile(path):
        return shipped[name]
    if os.path.exists(path):
        return path
    hint = f"; did you mean {name}?" if name in shipped else did_you_mean(name, shipped)
    hint = hint or (f"; with ganlab come {', '.join(shipped)}" if shipped else "")
    raise RecipeError([f"{short(name_or_path)}: there is no such recipe{hint}"])


def shipped_recipes() -> list[Path]:
    """Return the recipes that come with ganlab, in the order of their names."""
    package = Path(__file__).parents[1]
    installed = package / "recipes"
    return sorted((installed if installed.is_dir() else package.parent / "recipes").glob("*.toml"))


def _problems(overrides: Overrides) -> list[str]:
    try:
        read_overrides(overrides, "")
    except RecipeError as error:
        return error.problems
    return []


def _file(path: Path) -> Written:
    try:
        # Neither a pipe, which would block, nor a device, which may have no end.
        if os.path.exists(path) and not os.path.isfile(path):
            hint = "; to train on the pictures in a folder: ganlab run own_pictures --set dataset.root=FOLDER"
            raise RecipeError([f"{path}: is not a file{hint if path.is_dir() else ''}"])
        with path.open("rb") as file:
            return _parsed(file.read(MAX_BYTES + 1), str(path))._replace(files=(path,))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RecipeError([f"{path}: cannot be read: {reason}"]) from error


def _parsed(data: bytes | str, name: str) -> Written:
    try:
        document = parse(data)
    except TOMLError as error:
        place = name if error.line is None else f"{name}:{error.line}"
        raise RecipeError([f"{place}: {error}"]) from error
    return Written(document.table, {path: f"{name}:{line}" for path, line in document.lines.items()}, name)


def _extended(written: Written, folder: Path, chain: tuple[Path, ...]) -> Written:
    """Put what `written` says on top of the recipe that it extends, if it does."""
    if "extends" not in written.table:
        return written
    extends = written.table.pop("extends")
    try:
        base = _base(extends, folder, chain)
    except _MistakeError as error:
        problem = f"{written.place(('extends',))}: extends = {in_toml(extends)}: {error}"
        raise RecipeError([problem]) from error
    return _over(written, _extended(_file(base), base.parent, (*chain, base)))


def _base(extends: object, folder: Path, chain: tuple[Path, ...]) -> Path:
    if not isinstance(extends, str) or "\0" in extends:
        raise _MistakeError("must be the path of a recipe, or the name of one that comes with ganlab")
    path = Path(os.path.normpath(folder / extends))
    if not os.path.exists(path):
        shipped = {recipe.stem: recipe for recipe in shipped_recipes()}
        if extends.removesuffix(".toml") not in shipped:
            nearby = [recipe.name for recipe in sorted(folder.glob("*.toml"))]
            raise _MistakeError(f"there is no {path}{did_you_mean(PurePath(extends).name, [*nearby, *shipped])}")
        path = shipped[extends.removesuffix(".toml")]
    if not os.path.isfile(path):
        raise _MistakeError(f"{path} is not a file")
    circle = [link for link in chain if os.path.samefile(link, path)]
    if circle:
        around = chain[chain.index(circle[0]) :]
        raise _MistakeError(f"goes round in a circle: {' ▶ '.join(map(str, (*around, path)))}")
    if len(chain) > MAX_BASES:
        raise _MistakeError(f"is the {MAX_BASES + 1}th recipe in a row that extends another; {MAX_BASES} are allowed")
    return path


def _over(top: Written, base: Written) -> Written:
    """Merge two layers: tables key by key, everything else as the upper one says."""
    dropped: set[KeyPath] = set()
    for kind in DECISIVE:
        name = _get(top.table, kind, "name")
        before = _get(base.table, kind, "name") or KINDS[kind].default
        if name is not None and before is not None and name != before:
            # Options of another component: to inherit them would give this one values that nobody chose for it.
            dropped |= {(kind, key) for key, value in _table(base.table, kind).items() if not _names_its_own(value)}
    dropped |= {("optimizer", network) for network in _networks_with_another_optimizer(top.table, base.table)}
    dropped |= {("evaluate", name) for name in _metrics_no_more_named(top.table, base.table)}
    for section, alternatives in ALTERNATIVES.items():
        if any(_get(top.table, section, key) is not None for key in alternatives):
            dropped |= {(section, key) for key in alternatives}
    table = {
        key: {inner: item for inner, item in value.items() if (key, inner) not in dropped}
        if isinstance(value, dict)
        else value
        for key, value in base.table.items()
    }
    places = {path: place for path, place in base.places.items() if path[:2] not in dropped}
    shadowed = top.shadowed | base.shadowed | _shadowed(top.table, table)
    return Written(_merged(table, top.table), places | top.places, top.origin, (*top.files, *base.files), shadowed)


def _shadowed(top: Mapping[str, Any], base: Mapping[str, Any]) -> frozenset[KeyPath]:
    """Return the options of all networks in the upper layer that a network has for itself in the lower one."""
    own = {key for table in _table(base, "optimizer").values() if isinstance(table, dict) for key in table}
    return frozenset(("optimizer", key) for key in _table(top, "optimizer").keys() & own)


def _merged(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[key] = merged_schedule(before, value) if is_schedule(before) else _merged(before, value)
        else:
            merged[key] = value
    return merged


def _override(text: str) -> tuple[tuple[str, ...], Any]:
    key, equals, value = text.partition("=")
    if not equals:
        form = "of the form key=value, as in train.epochs=1"
        raise _MistakeError(f"must be {form}" if spoken_at_command_line() else f"must be {form}; {IN_PYTHON}")
    path, value = _key(key.strip()), value.strip()
    try:
        return path, parse_value(value)
    except TOMLError as error:
        if value.startswith(("[", "{", '"', "'")):
            raise _MistakeError(f"its value {error}") from error
        return path, value  # so that a shell user need not quote twice


def _key(key: object) -> tuple[str, ...]:
    try:
        path = parse_key(key) if isinstance(key, str) else None
    except TOMLError:
        path = None
    if path is None:
        raise _MistakeError(f"{short(str(key))} is not a dotted key such as train.epochs")
    if path[0] == "extends":
        raise _MistakeError("only a file can extend another")
    return path


def _insert(table: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *tables, key = path
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise _MistakeError(f"contradicts another override, which gives {name} a value")
    before = table.get(key)
    if isinstance(before, dict) and isinstance(value, dict):
        value = _merged(before, value)
    elif isinstance(before, dict) or (key in table and isinstance(value, dict)):
        raise _MistakeError(f"contradicts another override, which gives {key} otherwise")
    table[key] = value


def _plain(value: Any) -> Any:
    """Return what TOML would hold for a value from Python; None is a key that was not written."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value


def _names_its_own(value: Any) -> bool:
    """Tell whether a value is the table of a network that names an optimizer for itself."""
    return isinstance(value, dict) and "name" in value


def _networks_with_another_optimizer(top: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[str]:
    """Yield the networks whose own tables are about another optimizer in the upper layer than in the lower one."""
    general = _get(base, "optimizer", "name") or KINDS["optimizer"].default
    for network, table in _table(top, "optimizer").items():
        name = table.get("name") if isinstance(table, dict) else None
        before = _table(_table(base, "optimizer"), network).get("name", general)
        if name is not None and name != before:
            yield network


def _metrics_no_more_named(top: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[str]:
    """Yield the metrics whose options stand in the lower layer, and which the upper one's list leaves out."""
    named = _get(top, "evaluate", "metrics")
    for name, options in _table(base, "evaluate").items():
        if isinstance(named, list) and isinstance(options, dict) and name not in named:
            yield name


def _get(table: Mapping[str, Any], section: str, key: str) -> Any:
    return _table(table, section).get(key)


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the table that stands below a key, an empty one where there is none."""
    inner = table.get(key)
    return inner if isinstance(inner, dict) else {}
