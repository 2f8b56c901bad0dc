"""A plugin's folder that is not installed: what its pyproject.toml offers, found as if it were."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ganlab.errors import PluginError
from ganlab.registry.entry_points import HOST, Provider, normalized
from ganlab.registry.lookup import registry
from ganlab.regular import read_regular

PYPROJECT = "pyproject.toml"
MOST_BYTES = 1_000_000


class Project(NamedTuple):
    """What a pyproject.toml says."""

    folder: Path
    name: str
    version: str
    entry_points: Mapping[str, Mapping[str, str]]
    """By group and name, those of ganlab alone."""
    roots: tuple[Path, ...]
    """The folders that hold its packages."""


def read_project(folder: Path) -> Project:
    """Read what a folder's pyproject.toml offers. Raise `PluginError` with what to write instead."""
    path = folder / PYPROJECT
    try:
        table = tomllib.loads(read_regular(path, MOST_BYTES).decode())
    except (ValueError, RecursionError) as error:
        raise PluginError(f"{path}: is not TOML: {error}") from error
    except OSError as error:
        raise PluginError(
            f"{path} cannot be read: {error.strerror}; name the folder of a plugin, or a component"
        ) from error
    project = _table(table, "project")
    name, version = project.get("name"), project.get("version", "0")
    if not isinstance(name, str) or not name:
        raise PluginError(f'{path} has no [project] with a name: write name = "ganlab-..."')
    points = {
        group: {key: target for key, target in entries.items() if isinstance(target, str)}
        for group, entries in _table(project, "entry-points").items()
        if group.startswith("ganlab.") and isinstance(entries, dict)
    }
    if not any(points.values()):
        raise PluginError(
            f"{path} offers no component: name each under its kind, "
            'as in [project.entry-points."ganlab.models"] and NAME = "PACKAGE:CLASS"'
        )
    return Project(folder, name, str(version), points, _roots(folder, table))


@contextmanager
def offered(project: Project, beside: Collection[str] = ()) -> Iterator[list[Provider]]:
    """Make the project's components those of the registry, beside ganlab's own, and yield who they are.

    Those of the distributions `beside`, by their normalized names, stay too. The project's folder comes first on the
    path meanwhile, so that an installed copy is passed over.
    """
    before = list(sys.path)
    with TemporaryDirectory(prefix="ganlab-") as folder:
        _write_metadata(project, Path(folder))
        sys.path[:0] = [folder, *map(str, project.roots)]
        try:
            registry.scan(lambda distribution: distribution in (HOST, normalized(project.name), *beside))
            found = [who for who in registry.providers() if normalized(who.distribution) == normalized(project.name)]
            _refuse_elsewhere(project, found)
            yield found
        finally:
            sys.path[:] = before
            registry.scan()


def _write_metadata(project: Project, folder: Path) -> None:
    """Write what an installer would leave of the project."""
    temporary = folder / f"{normalized(project.name).replace('-', '_')}-{project.version}.dist-info"
    temporary.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project.name}\nVersion: {project.version}\n"
    (temporary / "METADATA").write_text(metadata, encoding="utf-8")
    lines = []
    for group, entries in project.entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (temporary / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def _refuse_elsewhere(project: Project, providers: list[Provider]) -> None:
    """Raise `PluginError` for a module that would be imported from anywhere but the project."""
    for who in providers:
        top = who.target.partition(":")[0].partition(".")[0].strip()
        if not any((root / top).is_dir() or (root / f"{top}.py").is_file() for root in project.roots):
            places = " or ".join(map(str, project.roots))
            what = f'{who.kind} "{who.name}" is {who.target}, but there is no {top} in {places}'
            raise PluginError(f"{project.folder / PYPROJECT}: {what}")


def _roots(folder: Path, table: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return where packages may lie: in the folder, in src/, and where hatchling is told to look."""
    wheel = _table(table, "tool", "hatch", "build", "targets", "wheel")
    packages = wheel.get("packages", [])
    told = [folder / Path(package).parent for package in packages if isinstance(package, str)]
    return tuple(dict.fromkeys(path for path in (*told, folder / "src", folder) if path.is_dir()))


def _table(table: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        inner = table.get(key)
        table = inner if isinstance(inner, dict) else {}
    return table
