"""The findings of a run, in findings.jsonl."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ganlab import Observer, append_text, hookimpl, replacing_file
from ganlab.standard.observers.metrics import metrics_lines
from ganlab.standard.observers.wording import finding_values

if TYPE_CHECKING:
    from ganlab import Finding, RunInfo

FINDINGS = "findings.jsonl"


class Health(Observer):
    """Writes findings.jsonl: what the run was found to suffer from, a JSON object each, and another one when it ends.

    Its keys are name, iteration, images, epoch, ended, since, evidence, threshold, numbers and advice, a list of
    objects with text and setting. Where nothing is found there is no file.
    """

    api = 1

    @hookimpl
    def run_start(self, run: RunInfo) -> None:
        path = run.directory / FINDINGS
        text = "".join(f"{line}\n" for line, _ in metrics_lines(path, run.first_iteration))
        if path.exists() and path.read_bytes() != text.encode():
            with replacing_file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")

    @hookimpl
    def finding(self, run: RunInfo, finding: Finding) -> None:
        append_text(run.directory / FINDINGS, f"{json.dumps(finding_values(finding))}\n")
