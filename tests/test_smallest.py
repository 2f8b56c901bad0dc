"""The smallest complete plugins: how few lines they are, and that they train and keep the contract like any other."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from toys import tiny

import ganlab
from ganlab.registry import registry
from ganlab.registry.kinds import GROUPS, Kind
from ganlab.testing import run_checks

PLUGINS = {"model": 35, "loss": 15}
"""The kinds, and how many lines module and pyproject.toml may have together, blank ones not counted."""


def folder_of(kind: str) -> Path:
    return Path(__file__).parent / "smallest" / f"{kind}_plugin"


@pytest.fixture
def smallest(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Kind, Any]]:
    """Make the plugins known as their pyproject.toml says, and return their classes."""
    classes: dict[Kind, Any] = {}
    for kind in PLUGINS:
        monkeypatch.syspath_prepend(folder_of(kind))
        groups = tomllib.loads((folder_of(kind) / "pyproject.toml").read_text())["project"]["entry-points"]
        [(group, points)] = groups.items()
        [(name, target)] = points.items()
        assert name == "smallest"
        classes[GROUPS[group]] = EntryPoint(name, target, group).load()
    for kind, cls in classes.items():
        registry.add(kind, "smallest", cls)
    yield dict(classes)
    for kind in classes:
        registry.remove(kind, "smallest")


@pytest.mark.parametrize("kind", PLUGINS)
def test_how_few_lines_a_complete_plugin_is(kind: str) -> None:
    files = [path for path in folder_of(kind).rglob("*") if path.is_file() and path.suffix in (".py", ".toml")]
    assert len(files) == 2
    lines = [line for path in files for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) <= PLUGINS[kind]
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("kinds", [["model"], ["loss"], ["model", "loss"]])
def test_they_train_with_what_ganlab_has_and_with_each_other(smallest: dict[Kind, Any], kinds: list[Kind]) -> None:
    recipe = tiny(train={"iterations": 2}, snapshot={"every_iterations": 2})
    run = ganlab.train(recipe | {kind: {"name": "smallest"} for kind in kinds}, out="run")
    assert run.iterations == 2
    assert ganlab.load_generator(run.generator).sample(range(3)).shape == (3, 8, 8, 1)


@pytest.mark.parametrize("kind", PLUGINS)
def test_they_keep_the_contract(smallest: dict[Kind, Any], kind: Kind) -> None:
    failures = [result for result in run_checks(smallest[kind]) if result.failed]
    assert failures == []
