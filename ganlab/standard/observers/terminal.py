"""The terminal: what a run shows to whoever started it, as a live display, plain lines or JSON lines."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Literal

from pydantic import NonNegativeFloat, PrivateAttr

from ganlab import Observer, hookimpl
from ganlab.standard.observers.lines import JSONLines, Plain
from ganlab.standard.observers.stream import Stream

if TYPE_CHECKING:
    from ganlab import Finding, RunInfo, Scores, Snapshot, Tick
    from ganlab.standard.observers.live import Live
    from ganlab.standard.observers.notebook import Notebook


class Terminal(Observer):
    """Shows the progress of a run: a live display on a terminal or in a notebook, else a line every few seconds.

    People read it on stderr, so that stdout stays free for results; JSON lines go to stdout.
    """

    api = 1
    mode: Literal["auto", "rich", "plain", "json", "off"] = "auto"
    """`"rich"` is a live display, `"plain"` a line now and then, `"json"` an object per event and line on stdout,
    `"off"` is silence; `"auto"` is rich on an interactive terminal, one display in a notebook, and plain elsewhere."""
    every_seconds: NonNegativeFloat = 5.0
    """Seconds between two plain lines, at least; between two JSON lines about one piece of work, too."""

    _display: Plain | JSONLines | Live | Notebook | None = None
    _begun: dict[str, float] = PrivateAttr(default_factory=dict)

    @hookimpl
    def phase(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        seconds = now - self._begun.setdefault(name, now)
        if total and done >= total:
            del self._begun[name]
        self._shown().phase(name, done, total, seconds)

    @hookimpl
    def note(self, text: str, level: str) -> None:
        self._shown().note(text, level)

    @hookimpl
    def run_start(self, run: RunInfo) -> None:
        self._shown().run_start(run)

    @hookimpl
    def tick(self, run: RunInfo, tick: Tick) -> None:
        self._shown().tick(run, tick)

    @hookimpl
    def snapshot(self, snapshot: Snapshot) -> None:
        self._shown().snapshot(snapshot)

    @hookimpl
    def scored(self, scores: Scores) -> None:
        self._shown().scored(scores)

    @hookimpl
    def finding(self, finding: Finding) -> None:
        self._shown().finding(finding)

    @hookimpl
    def run_end(self, reason: str) -> None:
        self._shown().run_end(reason)
        self._display = None  # the next run, in a notebook, may find other streams
        self._begun.clear()

    def _shown(self) -> Plain | JSONLines | Live | Notebook:
        if self._display is None:
            self._display = self._open()
        return self._display

    def _open(self) -> Plain | JSONLines | Live | Notebook:
        """Choose the display when there is something to show: the streams are those of that moment."""
        if self.mode == "off":
            return Plain(Stream(None), self.every_seconds)
        if self.mode == "json":
            return JSONLines(Stream(sys.stdout), Stream(sys.stderr), self.every_seconds)
        if self.mode == "auto" and _in_notebook():
            from ganlab.standard.observers.notebook import Notebook

            return Notebook()
        stream = Stream(sys.stderr)
        # Without cursor movement there is no live display, whoever asks for one.
        moves = os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
        quiet = os.environ.get("TTY_INTERACTIVE") == "0"
        if moves and (self.mode == "rich" or (self.mode == "auto" and stream.isatty() and not quiet)):
            from ganlab.standard.observers.live import Live

            return Live(stream)
        return Plain(stream, self.every_seconds)


def _in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook, whose front end shows HTML."""
    ipython, kernel = sys.modules.get("IPython"), sys.modules.get("ipykernel.zmqshell")
    return ipython is not None and kernel is not None and isinstance(ipython.get_ipython(), kernel.ZMQInteractiveShell)
