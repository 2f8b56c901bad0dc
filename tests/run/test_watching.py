"""The watch changes nothing of a training, and is there only where somebody hears of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import tiny

import ganlab
from ganlab import Finding, Observer, hookimpl
from ganlab.health import looks
from ganlab.registry import registry

DEAF = {"terminal": False, "log": False, "health": False}
"""Without those that hear of findings."""
HEARD: list[Finding] = []


class Ear(Observer):
    """Hears of findings, as a stranger's observer may."""

    api = 1

    @hookimpl
    def finding(self, finding: Finding) -> None:
        HEARD.append(finding)


def bits(run: Path) -> list[tuple[str, bytes]]:
    files = [run / "generator.safetensors", *sorted((run / "checkpoints").glob("*/state.safetensors"))]
    return [(str(path.relative_to(run)), path.read_bytes()) for path in files]


def test_a_training_has_the_same_bits_with_and_without_a_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "LONG", 1)  # so that it looks at every snapshot
    ganlab.train(tiny(), out="with")
    ganlab.train(tiny(observers=DEAF), out="without")
    assert bits(Path("with")) == bits(Path("without"))


def test_a_strangers_observer_hears_what_is_found_and_nobody_else_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "LONG", 1)
    monkeypatch.setattr(looks, "LEAST_SPREAD", 9.0)
    registry.add("observer", "ear", Ear)
    HEARD.clear()
    try:
        ganlab.train(tiny(observers={**DEAF, "ear": {}}), out="run")
    finally:
        registry.remove("observer", "ear")
    assert [(finding.name, finding.iteration, finding.since) for finding in HEARD] == [("generator_collapse", 8, 4)]
    assert not Path("run/findings.jsonl").exists()


def test_nothing_is_looked_for_where_nobody_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        pytest.fail("it was looked for")

    monkeypatch.setattr(looks.Looks, "snapshot", fail)
    ganlab.train(tiny(observers=DEAF), out="run")
