"""A run in a Jupyter notebook: one display that is updated in its place."""

from __future__ import annotations

import io
import time
from base64 import b64encode
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from ganlab.standard.observers.blocks import shrunk
from ganlab.standard.observers.history import History
from ganlab.standard.observers.wording import (
    counters,
    finding_line,
    harmless,
    note_line,
    phase_line,
    resources,
    run_lines,
    score_fields,
    statistics,
    time_left,
)

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

    from ganlab import Finding, RunInfo, Scores, Snapshot, Tick

REFRESH_SECONDS = 0.5
LARGEST_GRID = 640
"""Pixels that the sample grid is high, at most."""
SPARKS = 24
NOTES = 12
"""So many of the last notes stay in sight."""
GREY = "color: #777"


class Notebook:
    """Bar, time, losses and the newest samples of a run, in one cell's output; nothing else is printed."""

    def __init__(self) -> None:
        self._handle: DisplayHandle | None = None
        self._drawn = 0.0
        self._phases: dict[str, tuple[int, int]] = {}
        self._notes: list[str] = []
        self._run: RunInfo | None = None
        self._tick: Tick | None = None
        self._scores: Scores | None = None
        self._histories: dict[str, History] = {}
        self._samples = ""

    def phase(self, name: str, done: int, total: int, seconds: float) -> None:
        if total and done >= total:
            self._phases.pop(name, None)
            self._notes.append(phase_line(name, done, total, seconds))
        else:
            self._phases[name] = done, total
        self._draw()

    def note(self, text: str, level: str) -> None:
        self._notes.append(note_line(text, level))
        self._draw(at_once=True)

    def run_start(self, run: RunInfo) -> None:
        self._run = run
        self._draw(at_once=True)

    def tick(self, run: RunInfo, tick: Tick) -> None:
        self._run, self._tick = run, tick
        for name, value in tick.stats.items():
            self._histories.setdefault(name, History(SPARKS)).add(value)
        self._draw()

    def snapshot(self, snapshot: Snapshot) -> None:
        from ganlab import grid

        picture = shrunk(grid(snapshot.samples, snapshot.columns)[None], LARGEST_GRID)[0]
        what = f"samples of iteration {snapshot.iteration:,}"
        self._samples = f'<img alt="{what}" title="{what}" src="{_data_uri(picture)}">'
        self._draw(at_once=True)

    def scored(self, scores: Scores) -> None:
        self._scores = scores
        self._draw(at_once=True)

    def finding(self, finding: Finding) -> None:
        self._notes.append(finding_line(finding))
        self._draw(at_once=True)

    def run_end(self, reason: str) -> None:
        self._phases.clear()
        self._notes.append(reason)
        self._draw(at_once=True)

    def _draw(self, at_once: bool = False) -> None:
        now = time.monotonic()
        if not at_once and now - self._drawn < REFRESH_SECONDS:
            return
        from IPython.display import HTML, display

        shown = HTML(self._html())  # type: ignore[no-untyped-call]  # so in IPython
        if self._handle is None:
            self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown)  # type: ignore[no-untyped-call]
        self._drawn = now

    def _html(self) -> str:
        """Return what is shown. Every text may be a stranger's, and none of it is markup."""
        run, tick = self._run, self._tick
        parts = [f"<div>{_words(line)}</div>" for line in (run_lines(run) if run is not None else ())]
        parts += [
            _bar(done / total if total else None, f"{name} {done:,}") for name, (done, total) in self._phases.items()
        ]
        if run is not None and tick is not None:
            parts.append(_bar(tick.progress, f"{tick.progress:.0%}  {time_left(tick)}"))
            parts.append(f"<div>{_words('  '.join([*counters(run, tick), *resources(tick, datetime.now())]))}</div>")
            parts.append(self._table(tick))
        if self._scores is not None:
            parts.append(f"<div>{_words('  '.join(score_fields(self._scores)))}</div>")
        parts.append(self._samples)
        parts += [f'<div style="{GREY}">{_words(note)}</div>' for note in self._notes[-NOTES:]]
        return f'<div style="line-height: 1.5">{"".join(parts)}</div>'

    def _table(self, tick: Tick) -> str:
        rows = (
            f'<tr><td style="text-align: left">{_words(words)}</td>'
            f'<td style="text-align: left" aria-hidden="true">{self._histories[name].sparkline()}</td></tr>'
            for name, words in statistics(tick).items()
        )
        return f"<table>{''.join(rows)}</table>"


def _bar(fraction: float | None, words: str) -> str:
    value = "" if fraction is None else f' value="{fraction:.4f}"'
    return f'<div><progress style="width: 20em" max="1"{value}></progress> {_words(words)}</div>'


def _words(text: str) -> str:
    return escape(harmless(text))


def _data_uri(picture: Any) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
