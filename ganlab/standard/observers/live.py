"""The live display of a terminal: a bar for each piece of work, and for the training with its statistics."""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Iterator
from textwrap import wrap
from typing import IO, TYPE_CHECKING, cast

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ganlab import printable
from ganlab.standard.observers.stream import Stream
from ganlab.standard.observers.wording import (
    counters,
    harmless,
    note_line,
    phase_line,
    run_lines,
    scores_line,
    statistics,
    time_left,
)

if TYPE_CHECKING:
    from ganlab import RunInfo, Scores, Snapshot, Tick

REFRESH_SECONDS = 0.1
"""A display that changes faster than this cannot be read, and costs time."""

LONGEST_BAR = 40
SHORTEST_BAR = 8


class Live:
    """Redraws its few lines in place; everything else that is printed meanwhile appears above them.

    No thread draws: the display moves only with the run's events, so it cannot survive them, nor deadlock a fork.
    """

    def __init__(self, stream: Stream) -> None:
        # The stream decides whether it is a terminal before this is built; Jupyter's display is not wanted.
        self._console = Console(
            file=cast(IO[str], stream),
            force_terminal=True,
            force_jupyter=False,
            # What is in a name is shown and not interpreted: [red], :bomb:
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._live = RichLive(
            self,
            console=self._console,
            auto_refresh=False,
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),  # a pipe's reader waits for it
        )
        self._drawn = 0.0
        self._phases: dict[str, tuple[int, int]] = {}
        self._run: RunInfo | None = None
        self._tick: Tick | None = None

    def phase(self, name: str, done: int, total: int, seconds: float) -> None:
        if total and done >= total:
            self._phases.pop(name, None)
            self._print(phase_line(name, done, total, seconds))
        else:
            self._phases[name] = done, total
            self._draw()

    def note(self, text: str, level: str) -> None:
        self._print(note_line(text, level), style="yellow" if level == "warning" else "")

    def run_start(self, run: RunInfo) -> None:
        for line in run_lines(run):
            self._print(line)
        self._run = run
        self._draw(at_once=True)

    def tick(self, run: RunInfo, tick: Tick) -> None:
        self._run, self._tick = run, tick
        self._draw()

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show nothing: the pictures lie where every run's lie."""

    def scored(self, scores: Scores) -> None:
        self._print(scores_line(scores))

    def run_end(self, reason: str) -> None:
        self._phases.clear()  # what did not end will not move any more
        self._close()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay out what is shown, anew for the width that the terminal has at that moment."""
        width = options.max_width
        for name, (done, total) in self._phases.items():
            yield from _bar(name, done / total, "", width) if total else _lines([f"{name}  {done:,}"], width)
        if self._run is not None and self._tick is not None:
            yield from _bar(self._run.name, self._tick.progress, time_left(self._tick), width)
            yield from _lines(counters(self._run, self._tick), width)
            yield from _lines(statistics(self._tick), width)
        elif self._run is not None:
            yield from _bar(self._run.name, 0, "starting", width)

    def _print(self, line: str, style: str = "") -> None:
        # Soft: the terminal breaks long lines itself, so that a path can be copied.
        self._console.print(harmless(line), style=style, soft_wrap=True)

    def _draw(self, at_once: bool = False) -> None:
        now = time.monotonic()
        if not self._live.is_started:
            self._live.start()
            # However the process ends, even killed: its terminal must not be left without a cursor.
            self._console.show_cursor(True)
            atexit.register(self._abandon)
        elif not at_once and now - self._drawn < REFRESH_SECONDS:
            return
        self._live.refresh()
        self._drawn = now

    def _close(self) -> None:
        self._live.stop()
        atexit.unregister(self._abandon)

    def _abandon(self) -> None:
        """Take away the display of a run that broke off: what was printed above it says why."""
        self._live.transient = True
        self._close()


def _bar(name: str, fraction: float, remark: str, width: int) -> Iterator[RenderableType]:
    """Yield a line with a bar between name and percentage; where there is no room for it, the words alone."""
    words = [word for word in (f"{fraction:4.0%}", remark) if word]
    title, state = Text(printable(name), "bold"), Text("  ".join(words))
    room = min(LONGEST_BAR, width - title.cell_len - state.cell_len - 4)
    if room < SHORTEST_BAR:
        yield from _lines([name, *words], width)
        return
    bar = ProgressBar(1.0, fraction, room, style="dim", complete_style="green", finished_style="green")
    line = Table.grid(padding=(0, 2))  # keeps the words in place where, without colours, only what is done is drawn
    line.add_row(title, bar, state)
    yield line


def _lines(fields: list[str], width: int) -> Iterator[Text]:
    """Yield lines that break between fields; only a field that is wider than the terminal is broken itself."""
    space = "\N{NO-BREAK SPACE}"
    whole = (field.replace(" ", space) if len(field) <= width else field for field in map(printable, fields))
    for line in wrap("  ".join(whole), width, break_on_hyphens=False):
        yield Text(line.replace(space, " "), no_wrap=True, overflow="crop")
