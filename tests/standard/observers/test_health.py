"""findings.jsonl reads as one run, however often it was continued."""

from __future__ import annotations

import json
from pathlib import Path

from standard.observers.events import REALS, a_finding, a_run, watched

from ganlab.standard.observers.health import Health


def lines(path: Path) -> list[tuple[int, bool]]:
    return [
        (line["iteration"], line["ended"])
        for line in map(json.loads, (path / "findings.jsonl").read_text().splitlines())
    ]


def test_a_finding_is_a_line_at_once_and_infinity_is_null(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Health())
    host.run_start(run, REALS)
    assert not (tmp_path / "findings.jsonl").exists(), "nothing was found"
    host.finding(run, a_finding(10))
    (line,) = (tmp_path / "findings.jsonl").read_text().splitlines()
    values = json.loads(line)
    assert list(values)[:4] == ["name", "iteration", "images", "epoch"]
    assert values["numbers"] == {"period": None}
    assert values["advice"] == [{"text": "half of the learning rate", "setting": "optimizer.lr = 0.0001"}]


def test_what_a_run_has_not_kept_was_not_found(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Health())
    host.run_start(run, REALS)
    for iteration, ended in ((10, False), (20, True), (30, False)):
        host.finding(run, a_finding(iteration, ended))
    with (tmp_path / "findings.jsonl").open("a") as file:
        file.write('{"name": "oscillation", "iterat')  # killed in the middle of a line
    again = a_run(tmp_path, first_iteration=20)
    host = watched(Health())
    host.run_start(again, REALS)
    host.finding(again, a_finding(40))
    assert lines(tmp_path) == [(10, False), (20, True), (40, False)]
