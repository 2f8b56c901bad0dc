"""The floor plan of the source: rooms, who imports whom, floors, circles. `python scripts/floor_plan.py` prints it.

A room is a module of `ganlab`, or a folder of modules. An arrow runs from a room to each other one that it imports,
in function bodies and for annotations too. A room stands one floor above the highest room that it imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "ganlab"
BESIDE = ("plugins", "benchmarks", "scripts")
"""What is built on the package, a room each."""

Arrows = Mapping[str, set[str]]


def rooms() -> dict[str, list[Path]]:
    """Return the files of each room by its name."""
    found: dict[str, list[Path]] = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        found.setdefault(path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py"), []).append(path)
    for name in BESIDE:
        found[name] = [path for path in sorted((ROOT / name).rglob("*.py")) if "tests" not in path.parts]
    return found


def arrows() -> dict[str, set[str]]:
    """Return for each room the others that it imports."""
    files = rooms()
    return {
        name: {room for path in paths for module in imported(path) if (room := _room(module, files))} - {name}
        for name, paths in files.items()
    }


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything of the package that a file imports, wherever in the file that stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if _is_ours(node.module or ""))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_ours(alias.name))


def circles(graph: Arrows) -> list[set[str]]:
    """Return the groups of rooms that import each other, however long the way round."""
    reached = {room: _reached(graph, room) for room in graph}
    groups: list[set[str]] = []
    for room in graph:
        group = {other for other in reached[room] if room in reached[other]}
        if group and group not in groups:
            groups.append(group)
    return groups


def floors(graph: Arrows) -> list[list[str]]:
    """Return the rooms floor by floor, the ground first. The graph must have no circle."""
    left, built = dict(graph), list[list[str]]()
    while left:
        floor = sorted(room for room, below in left.items() if not below & left.keys())
        built.append(floor)
        for room in floor:
            del left[room]
    return built


def _room(module: str, files: Mapping[str, list[Path]]) -> str | None:
    """Return the room that an imported name lies in; a name of the package itself is offered by its `__init__`."""
    if "." not in module:
        return "__init__"
    first = module.split(".")[1]
    return first if first in files else "__init__"


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


def _reached(graph: Arrows, start: str) -> set[str]:
    reached: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        room = waiting.pop()
        if room not in reached:
            reached.add(room)
            waiting += graph[room]
    return reached


def main() -> None:
    """Print the plan from the top floor down."""
    files, graph = rooms(), arrows()
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for paths in files.values() for path in paths)
    count, found = sum(map(len, graph.values())), circles(graph)
    print(f"{len(files)} rooms, {count} arrows, {len(found)} circles, {lines:,} lines")
    for circle in found:
        print(f"circle: {', '.join(sorted(circle))}")
    for number, floor in reversed(list(enumerate(floors(graph), 1))) if not found else ():
        print(f"floor {number}: {', '.join(floor)}")


if __name__ == "__main__":
    main()
