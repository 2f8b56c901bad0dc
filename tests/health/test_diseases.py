"""A run with each disease is diagnosed, while it trains and afterwards, and a healthy one is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from health_cases import (
    PERCEPTRONS,
    Case,
    diseased,
    healthy,
    register_plugins,
    register_sick,
    tick_by_iterations,
    write_pictures,
)

import ganlab
from ganlab.health.diseases import DISEASES
from ganlab.health.record import FINDINGS, findings_of
from ganlab.recipe.recipe import load_recipe, parse_recipe
from ganlab.registry import registry
from ganlab.run.diagnosis import diagnose
from ganlab.run.directory import RunDirectory
from ganlab.training.ticks import Stopwatch

DOCS = Path(__file__).parents[2] / "docs" / "health.md"
CASES = [case for case in diseased(Path("few")) if case.disease]
RECIPES = list(healthy(Path("500")))
QUIET = ("observers.terminal=false", "observers.gif=false", "observers.plot=false")


@pytest.fixture(autouse=True)
def _sick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Stopwatch, "tick_due", Stopwatch.tick_due)  # which is put back
    tick_by_iterations()
    register_sick()
    yield
    for kind, name in (("model", "perceptrons"), ("loss", "difference"), ("loss", "chamfer")):
        registry.remove(kind, name)  # type: ignore[arg-type]


def trained(recipe: dict[str, Any], *overrides: str) -> RunDirectory:
    return RunDirectory(
        ganlab.train(recipe, overrides=(*QUIET, "train.threads=1", "train.device=cpu", *overrides)).directory
    )


def silent(*_: object) -> None:
    """Report nothing."""


def test_each_disease_has_a_run() -> None:
    assert {case.disease for case in CASES} == set(DISEASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.disease)
def test_a_run_with_a_disease_is_diagnosed(case: Case) -> None:
    write_pictures(Path("few"), 20)
    assert isinstance(case.recipe, dict)
    run = trained(case.recipe)
    found = findings_of(run.path)
    mine = [finding for finding in found if finding.name == case.disease and not finding.ended]
    assert len(mine) == 1, f"once: {[finding.name for finding in found]}"
    assert mine[0].evidence
    assert mine[0].advice
    assert mine[0].threshold == DISEASES[mine[0].name].threshold
    log = (run.path / "log.txt").read_text()
    assert log.count(f"warning: {mine[0].sentence}") == 1
    # A run without the record is diagnosed by what else it has left.
    (run.path / FINDINGS).unlink()
    assert case.disease in {finding.name for finding in diagnose(run, silent).findings}


@pytest.mark.parametrize(("iterations", "told"), [(99, []), (150, ["generator_collapse"])])
def test_a_run_too_short_to_be_told_is_diagnosed_by_what_its_generator_draws(iterations: int, told: list[str]) -> None:
    (case,) = (case for case in CASES if case.disease == "generator_collapse")
    assert isinstance(case.recipe, dict)
    run = trained(case.recipe | {"train": {"batch_size": 32, "iterations": iterations}})
    assert findings_of(run.path) == []
    found = diagnose(run, silent).findings
    assert [finding.name for finding in found] == told
    for finding in found:
        words = "the 256 pictures of iteration 150 are all but the same picture; they differ among each other by 0.0%"
        assert finding.evidence.startswith(words)
        assert finding.advice


def test_a_healthy_run_has_no_finding() -> None:
    run = trained(PERCEPTRONS)
    assert findings_of(run.path) == []
    assert not (run.path / FINDINGS).exists()
    assert diagnose(run, silent).findings == []


@pytest.mark.nightly
@pytest.mark.parametrize("case", RECIPES, ids=lambda case: case.name)
def test_every_recipe_is_healthy(case: Case, tmp_path: Path) -> None:
    register_plugins()
    write_pictures(tmp_path / "500", 500)
    assert isinstance(case.recipe, Path)
    overrides = [text.replace("500", str(tmp_path / "500")) if "root" in text else text for text in case.overrides]
    recipe = load_recipe(case.recipe, [*overrides, *QUIET, "train.iterations=1200", "train.threads=1"])
    run = ganlab.train(recipe)
    assert findings_of(run.directory) == []


def test_the_page_has_every_finding_with_its_threshold() -> None:
    page = DOCS.read_text(encoding="utf-8")
    for name, disease in DISEASES.items():
        assert f"| `{name}` | {disease.what} | {disease.threshold} |" in page, name


def test_a_stopped_run_tells_nothing_twice() -> None:
    (case,) = (case for case in CASES if case.disease == "generator_collapse")
    assert isinstance(case.recipe, dict)
    overrides = (*QUIET, "train.threads=1", "train.device=cpu")
    for iterations in (1500, 2000):
        ganlab.train(case.recipe, overrides=(*overrides, f"train.iterations={iterations}"), out="run")
    assert [finding.name for finding in findings_of(Path("run"))] == ["generator_collapse"]
    assert parse_recipe(case.recipe)
