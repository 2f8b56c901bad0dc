"""The log of a run, in log.txt."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from ganlab import Observer, append_text, hookimpl
from ganlab.standard.observers.wording import (
    finding_line,
    harmless,
    note_line,
    phase_line,
    run_lines,
    scores_line,
    tick_line,
)

if TYPE_CHECKING:
    from ganlab import Finding, RunInfo, Scores, Tick


class Log(Observer):
    """Writes log.txt: every tick, note, score and finding as a line with its time, for people, over all of the run."""

    api = 1
    _path: Path | None = None
    _waiting: list[str] = PrivateAttr(default_factory=list)
    _begun: dict[str, float] = PrivateAttr(default_factory=dict)

    @hookimpl
    def phase(self, name: str, done: int, total: int) -> None:
        begun = self._begun.setdefault(name, time.monotonic())
        if total and done >= total:
            self._write(phase_line(name, done, total, time.monotonic() - self._begun.pop(name, begun)))

    @hookimpl
    def note(self, text: str, level: str) -> None:
        self._write(note_line(text, level))

    @hookimpl
    def run_start(self, run: RunInfo) -> None:
        # What was said before the run had a directory comes first.
        self._path = run.directory / "log.txt"
        for line in run_lines(run):
            self._write(line)

    @hookimpl
    def tick(self, run: RunInfo, tick: Tick) -> None:
        self._write(tick_line(run, tick))

    @hookimpl
    def scored(self, scores: Scores) -> None:
        self._write(scores_line(scores))

    @hookimpl
    def finding(self, finding: Finding) -> None:
        self._write(finding_line(finding))

    @hookimpl
    def run_end(self, reason: str) -> None:
        self._write(reason)

    def _write(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        self._waiting += [f"{stamp}  {line}\n" for line in harmless(text).splitlines()]
        if self._path is not None:
            with suppress(FileNotFoundError):  # the run's directory was moved; run_start tells where it is now
                append_text(self._path, "".join(self._waiting))
                self._waiting.clear()
