"""findings.jsonl, read back whatever lies in it."""

from __future__ import annotations

import json
from pathlib import Path

from standard.observers.events import REALS, a_finding, a_run, watched

from ganlab.health.record import FINDINGS, findings_of, open_findings
from ganlab.standard.observers.health import Health


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    run, host = a_run(tmp_path), watched(Health())
    assert findings_of(tmp_path) == []
    host.run_start(run, REALS)
    told = [a_finding(100)._replace(numbers={"period": 40.0}), a_finding(200, ended=True)._replace(numbers={})]
    for finding in told:
        host.finding(run, finding)
    assert findings_of(tmp_path) == told
    assert open_findings(told) == []
    assert open_findings(told[:1]) == told[:1]
    assert open_findings([*told, a_finding(300)]) == [a_finding(300)]


def test_a_line_that_is_none_is_passed_over(tmp_path: Path) -> None:
    good = a_finding(100)._replace(numbers={"period": 40.0})
    line = json.dumps(good._asdict() | {"advice": [one._asdict() for one in good.advice]})
    hostile = ["", "{}", "[]", "null", "7", '{"name": 1}', line.replace("100", '"x"', 1), line[:-9], "[" * 100_000]
    (tmp_path / FINDINGS).write_text(
        "\n".join([*hostile, line, "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")])
    )
    assert findings_of(tmp_path) == [good]


def test_a_folder_or_a_link_to_nothing_is_no_record(tmp_path: Path) -> None:
    (tmp_path / FINDINGS).mkdir()
    assert findings_of(tmp_path) == []
    assert findings_of(tmp_path / "nowhere") == []
