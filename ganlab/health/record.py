"""The findings of a run, in findings.jsonl: one JSON object a line, which reads as one run however often continued."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganlab.events import Advice, Finding
from ganlab.regular import read_regular

FINDINGS = "findings.jsonl"
LARGEST_BYTES = 1 << 24


def findings_of(run: Path) -> list[Finding]:
    """Return what was found in the run of a directory, in order; one that has ended is followed by its end.

    Empty where nothing was, or where it was not looked for. A line that cannot be read is passed over.
    """
    try:
        lines = read_regular(run / FINDINGS, LARGEST_BYTES).splitlines()
    except (OSError, ValueError):
        return []
    return [finding for line in lines if (finding := _finding(line)) is not None]


def open_findings(findings: list[Finding]) -> list[Finding]:
    """Return those that have not ended."""
    latest = {finding.name: finding for finding in findings}
    return [finding for finding in latest.values() if not finding.ended]


def _finding(line: bytes | str) -> Finding | None:
    try:
        table = json.loads(line)
        numbers: Mapping[str, Any] = table["numbers"]
        return Finding(
            name=str(table["name"]),
            iteration=int(table["iteration"]),
            images=int(table["images"]),
            epoch=float(table["epoch"]),
            ended=table["ended"] is True,
            since=int(table["since"]),
            evidence=str(table["evidence"]),
            threshold=str(table["threshold"]),
            numbers={str(name): float(value) for name, value in numbers.items()},
            advice=tuple(Advice(str(one["text"]), str(one["setting"])) for one in table["advice"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
