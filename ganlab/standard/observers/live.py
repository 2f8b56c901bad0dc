"""The live display of a terminal: a bar for each piece of work, and for the training with its statistics."""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Iterator
from textwrap import wrap
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live as RichLive
from rich.text import Text

from ganlab.standard.observers.display import Display, Level, Stream
from ganlab.standard.observers.wording import (
    counters,
    note_line,
    phase_line,
    printable,
    run_lines,
    statistics,
    time_left,
)

if TYPE_CHECKING:
    from ganlab import RunInfo, Snapshot, Tick

REFRESH_SECONDS = 0.1
"""A display that changes faster than this cannot be read, and costs time."""

LONGEST_BAR = 40
SHORTEST_BAR = 8


class Work(NamedTuple):
    """A piece of work beside training, and when it began."""

    begun: float
    done: int = 0
    total: int = 0


class Screen:
    """What the display shows, laid out anew for the width that the terminal has at that moment."""

    def __init__(self) -> None:
        self.phases: dict[str, Work] = {}
        self.run: RunInfo | None = None
        self.tick: Tick | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, ascii_only = options.max_width, options.ascii_only
        for name, work in self.phases.items():
            if work.total:
                yield from _bar(name, work.done / work.total, "", width, ascii_only)
            else:
                yield from _texts([f"{name}  {work.done:,}"], width)
        if self.run is not None and self.tick is None:
            yield from _bar(self.run.name, 0, "starting", width, ascii_only)
        elif self.run is not None and self.tick is not None:
            yield from _bar(self.run.name, self.tick.progress, time_left(self.tick), width, ascii_only)
            yield from _texts(counters(self.run, self.tick), width)
            yield from _texts(statistics(self.tick), width)


def _bar(name: str, fraction: float, remark: str, width: int, ascii_only: bool) -> Iterator[Text]:
    """Yield a line with a bar between name and percentage; where there is no room for it, the words alone."""
    name = printable(name)
    words = [f"{fraction:4.0%}", *([remark] if remark else [])]
    room = min(LONGEST_BAR, width - cell_len(name) - len("  ".join(words)) - 4)
    if room < SHORTEST_BAR:
        yield from _texts([name, *words], width)
        return
    full, empty = ("#", ".") if ascii_only else ("\N{BOX DRAWINGS HEAVY HORIZONTAL}",) * 2
    done = int(room * min(max(fraction, 0.0), 1.0))
    yield Text.assemble(
        (name, "bold"), "  ", (full * done, "green"), (empty * (room - done), "dim"), "  ", "  ".join(words)
    )


def _texts(fields: list[str], width: int) -> Iterator[Text]:
    """Yield lines that break between fields; only a field that is wider than the terminal is broken itself."""
    line = ""
    for piece in (piece for field in fields for piece in wrap(field, width)):
        if line and len(line) + 2 + len(piece) > width:
            yield Text(line, no_wrap=True, overflow="crop")
            line = ""
        line = f"{line}  {piece}" if line else piece
    if line:
        yield Text(line, no_wrap=True, overflow="crop")


class Live(Display):
    """Redraws its few lines in place; everything else that is printed meanwhile appears above them.

    No thread draws: the display moves only with the run's events, so it cannot survive them, nor deadlock a fork.
    """

    def __init__(self, stream: Stream) -> None:
        # The stream decides whether it is a terminal before this is built; Jupyter's display is not wanted.
        self._console = Console(
            file=cast(IO[str], stream), force_terminal=True, force_jupyter=False, highlight=False, markup=False
        )
        self._screen = Screen()
        self._live: RichLive | None = None
        self._drawn = 0.0

    def phase(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        begun = self._screen.phases.setdefault(name, Work(now)).begun
        if total and done >= total:
            del self._screen.phases[name]
            self._print(phase_line(name, done, total, now - begun))
        else:
            self._screen.phases[name] = Work(begun, done, total)
            self._draw()

    def note(self, text: str, level: Level) -> None:
        self._print(note_line(text, level), style="yellow" if level == "warning" else "")

    def run_start(self, run: RunInfo) -> None:
        for line in run_lines(run):
            self._print(line)
        self._screen.run = run
        self._draw(at_once=True)

    def tick(self, run: RunInfo, tick: Tick) -> None:
        self._screen.tick = tick
        self._draw()

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show nothing: the pictures lie where every run's lie."""

    def run_end(self, reason: str) -> None:
        self._screen.phases.clear()  # what did not end will not move any more
        self._close()
        self._screen.run = self._screen.tick = None

    def _print(self, line: str, style: str = "") -> None:
        # Soft: the terminal breaks long lines itself, so that a path can be copied.
        self._console.print(printable(line), style=style, soft_wrap=True)

    def _draw(self, at_once: bool = False) -> None:
        now = time.monotonic()
        if self._live is None:
            self._open()
        elif not at_once and now - self._drawn < REFRESH_SECONDS:
            return
        assert self._live is not None
        self._live.refresh()
        self._drawn = now

    def _open(self) -> None:
        self._live = RichLive(
            self._screen,
            console=self._console,
            auto_refresh=False,
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),  # a pipe's reader waits for it
        )
        self._live.start()
        # However the process ends, even killed: its terminal must not be left without a cursor.
        self._console.show_cursor(True)
        atexit.register(self._abandon)

    def _close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            atexit.unregister(self._abandon)

    def _abandon(self) -> None:
        """Take away the display of a run that broke off: what was printed above it says why."""
        if self._live is not None:
            self._live.transient = True
            self._close()
