"""The live display of a terminal: a bar for each piece of work, and for the training with its statistics."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from textwrap import wrap
from typing import IO, TYPE_CHECKING, cast

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ganlab import printable
from ganlab.standard.observers.blocks import UPPER_HALF, shrunk, strip
from ganlab.standard.observers.graphics import message, protocol
from ganlab.standard.observers.history import LEVELS, History
from ganlab.standard.observers.stream import Stream
from ganlab.standard.observers.wording import (
    counters,
    finding_line,
    harmless,
    note_line,
    phase_line,
    resources,
    run_lines,
    score_fields,
    scores_line,
    statistics,
    time_left,
)

if TYPE_CHECKING:
    from ganlab import Finding, RunInfo, Scores, Snapshot, Tick

REFRESH_SECONDS = 0.1
"""A display that changes faster than this cannot be read, and costs time."""

LONGEST_BAR = 40
SHORTEST_BAR = 8
SPARKS = 12
"""Characters of a sparkline at most."""
ROOM_FOR_SPARKS = 60
"""Columns from which on there are any."""
STRIP_ROWS = (4, 8, 12)
"""Lines that a strip of samples may have."""
STRIP_SHARE = 0.4
"""Of the terminal's lines, at most so many are for samples."""
LARGEST_GRID = 640
"""Pixels that the last grid is high, at most."""


class Live:
    """Redraws its few lines in place; everything else that is printed meanwhile appears above them.

    No thread draws: the display moves only with the run's events, so it cannot survive them, nor deadlock a fork.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
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
        self._snapshot: Snapshot | None = None
        self._scores: Scores | None = None
        self._histories: dict[str, History] = {}
        self._sparks = _can_be_written(LEVELS, stream.encoding)
        self._laid_out: tuple[int, list[int]] = (0, [])
        """For how many columns the display was laid out when it was drawn last, and how many each of its lines took."""

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
        for name, value in tick.stats.items():
            self._histories.setdefault(name, History(SPARKS)).add(value)
        self._draw()

    def snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._draw()

    def scored(self, scores: Scores) -> None:
        self._scores = scores
        self._print(scores_line(scores))

    def finding(self, finding: Finding) -> None:
        self._print(finding_line(finding), style="" if finding.ended else "yellow")

    def run_end(self, reason: str) -> None:
        self._phases.clear()  # what did not end will not move any more
        self._close()
        self._show_samples()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay out what is shown, anew for the width that the terminal has at that moment."""
        lines = [
            line for part in self._parts(options.max_width) for line in console.render_lines(part, options, pad=False)
        ]
        lines += self._strip(options.max_width, console.height, len(lines))
        self._laid_out = options.max_width, [Segment.get_line_length(line) for line in lines]
        for line in lines:
            yield from line
            yield Segment.line()

    def _parts(self, width: int) -> Iterator[RenderableType]:
        for name, (done, total) in self._phases.items():
            yield from _bar(name, done / total, "", width) if total else _lines([f"{name}  {done:,}"], width)
        run, tick = self._run, self._tick
        if run is not None and tick is not None:
            yield from _bar(run.name, tick.progress, time_left(tick), width)
            yield from _lines([*counters(run, tick), *resources(tick, datetime.now())], width)
            yield from _lines(self._statistics(tick, width), width)
            if self._scores is not None:
                yield from _lines(score_fields(self._scores), width)
        elif run is not None:
            yield from _bar(run.name, 0, "starting", width)

    def _statistics(self, tick: Tick, width: int) -> list[str]:
        """Return each statistic with what it has been, where that can be shown."""
        if not self._sparks or width < ROOM_FOR_SPARKS:
            return list(statistics(tick).values())
        return [f"{words} {self._histories[name].sparkline()}".rstrip() for name, words in statistics(tick).items()]

    def _strip(self, width: int, height: int, taken: int) -> list[list[Segment]]:
        """Return the lines that show samples side by side, where the terminal has the colours and the room."""
        if self._snapshot is None or self._console.no_color or self._console.color_system not in ("256", "truecolor"):
            return []
        rows = max((rows for rows in STRIP_ROWS if rows <= STRIP_SHARE * height and rows + taken < height), default=0)
        if not rows or not _can_be_written(UPPER_HALF, self._console.encoding):
            return []
        samples, columns = self._snapshot.samples, self._snapshot.columns
        chosen = samples[::columns] if self._snapshot.rows else samples  # one of each class
        first = shrunk(chosen[:1], 2 * rows)
        count = (width + 1) // (first.shape[2] + 1)
        return strip(shrunk(chosen[:count], 2 * rows)) if count else []

    def _show_samples(self) -> None:
        """Show the last samples as they are, where the terminal shows pictures."""
        spoken = protocol(os.environ)
        if self._snapshot is None or spoken is None:
            return
        from PIL import Image

        from ganlab import grid

        shown = shrunk(grid(self._snapshot.samples, self._snapshot.columns)[None], LARGEST_GRID)[0]
        self._stream.say(message(Image.fromarray(shown), spoken))

    def _print(self, line: str, style: str = "") -> None:
        self._make_up_for_narrowing()
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
        self._make_up_for_narrowing()
        self._live.refresh()
        self._drawn = now

    def _make_up_for_narrowing(self) -> None:
        """Take away the lines that have become several when the terminal was made narrower than they are.

        It breaks them anew by itself, but for xterm, and what erases the display counts each as one.
        """
        columns, lengths = self._laid_out
        now = self._console.width
        if not self._live.is_started or now >= columns or "XTERM_VERSION" in os.environ:
            return
        more = sum(max(0, -(-length // now) - 1) for length in lengths)
        self._stream.write("\r\x1b[2K" + "\x1b[1A\x1b[2K" * more)
        self._laid_out = now, []

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


def _can_be_written(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
