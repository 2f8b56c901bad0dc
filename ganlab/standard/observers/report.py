"""The report of a run: one page that opens anywhere, written anew while the run goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydantic import NonNegativeFloat

from ganlab import Observer, hookimpl

if TYPE_CHECKING:
    from typing import Literal

    from ganlab import RunInfo


class Report(Observer):
    """Writes report.html: curves, the film of the samples, scores and the recipe, in one page without a server.

    A browser that reloads it follows the run. It takes less than a fiftieth of the time; the last one is written at the
    end of the run. `ganlab report` writes it later, and of several runs.
    """

    api = 1
    every_seconds: NonNegativeFloat = 20.0
    """Seconds between two writings during the run, at least."""

    _not_before: float = 0.0

    @hookimpl
    def run_start(self) -> None:
        self._not_before = 0.0  # a recipe in memory may be trained more than once

    @hookimpl
    def snapshot(self, run: RunInfo) -> None:
        self._write(run)

    @hookimpl
    def scored(self, run: RunInfo) -> None:
        self._write(run)

    @hookimpl
    def run_end(self, run: RunInfo, reason: Literal["finished", "interrupted", "failed"]) -> None:
        from ganlab import write_report

        write_report([run.directory.absolute()], ended=reason)  # not a name that could be a run's short one

    def _write(self, run: RunInfo) -> None:
        from ganlab import write_report

        begun = time.monotonic()
        if begun >= self._not_before:
            write_report([run.directory.absolute()])
            ended = time.monotonic()
            self._not_before = ended + max(self.every_seconds, 49 * (ended - begun))
