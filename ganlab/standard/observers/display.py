"""Ways to show the events of a run on the standard streams: plain lines for people, JSON lines for programs."""

from __future__ import annotations

import io
import json
import os
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, TextIO

from ganlab.standard.observers.wording import finite, note_line, phase_line, printable, run_lines, tick_line

if TYPE_CHECKING:
    from ganlab import RunInfo, Snapshot, Tick

Level = Literal["info", "warning"]


class Stream(io.TextIOBase):
    """A standard stream that cannot hurt a run: what nobody reads, or no disk takes, is lost without an error."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has a variable here
        return (self._stream.encoding if self._stream is not None else None) or "utf-8"

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
            except (OSError, ValueError) as error:  # a closed stream is a ValueError
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def isatty(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def _lose(self, error: OSError | ValueError) -> None:
        if isinstance(error, BrokenPipeError):
            # What is left in the buffer would fail again when Python exits, and spoil the exit code.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)


class Display(ABC):
    """One way to show the events of a run."""

    @abstractmethod
    def phase(self, name: str, done: int, total: int) -> None: ...

    @abstractmethod
    def note(self, text: str, level: Level) -> None: ...

    @abstractmethod
    def run_start(self, run: RunInfo) -> None: ...

    @abstractmethod
    def tick(self, run: RunInfo, tick: Tick) -> None: ...

    @abstractmethod
    def snapshot(self, snapshot: Snapshot) -> None: ...

    @abstractmethod
    def run_end(self, reason: str) -> None: ...


class Plain(Display):
    """Lines for people and log files, at most one every few seconds; nothing is ever overwritten."""

    def __init__(self, stream: Stream, every_seconds: float) -> None:
        self._stream = stream
        self._phases = Phases(every_seconds)
        self._every_seconds = every_seconds
        self._next = 0.0
        self._waiting: str | None = None

    def phase(self, name: str, done: int, total: int) -> None:
        seconds = self._phases.due(name, done, total)
        if seconds is not None:
            self._say(phase_line(name, done, total, seconds))

    def note(self, text: str, level: Level) -> None:
        self._say(note_line(text, level))

    def run_start(self, run: RunInfo) -> None:
        for line in run_lines(run):
            self._say(line)

    def tick(self, run: RunInfo, tick: Tick) -> None:
        self._waiting = tick_line(run, tick)
        if time.monotonic() >= self._next:
            self._say_waiting()

    def snapshot(self, snapshot: Snapshot) -> None:
        """Say nothing: the pictures lie where every run's lie, and the line would come again and again."""

    def run_end(self, reason: str) -> None:
        self._say_waiting()

    def _say_waiting(self) -> None:
        if self._waiting is not None:
            self._say(self._waiting)
            self._waiting = None
            self._next = time.monotonic() + self._every_seconds

    def _say(self, line: str) -> None:
        self._stream.write(f"{printable(line)}\n")
        self._stream.flush()


class JSONLines(Display):
    """One JSON object per event and line, for programs; people read the notes on stderr."""

    def __init__(self, stream: Stream, people: Stream, every_seconds: float) -> None:
        self._stream = stream
        self._people = people
        self._phases = Phases(every_seconds)

    def phase(self, name: str, done: int, total: int) -> None:
        if self._phases.due(name, done, total) is not None:
            self._say("phase", {"name": name, "done": done, "total": total})

    def note(self, text: str, level: Level) -> None:
        self._say("note", {"text": text, "level": level})
        self._people.write(f"{printable(note_line(text, level))}\n")
        self._people.flush()

    def run_start(self, run: RunInfo) -> None:
        # The resolved recipe lies in the run's directory, and its values need not be JSON's.
        values = run._asdict() | {"directory": str(run.directory), "images": run.images._asdict()}
        del values["recipe"]
        self._say("run_start", values | {"parameters": dict(run.parameters)})

    def tick(self, run: RunInfo, tick: Tick) -> None:
        values = tick._asdict() | {"stats": {name: finite(value) for name, value in tick.stats.items()}}
        self._say("tick", {name: finite(value) for name, value in values.items()})

    def snapshot(self, snapshot: Snapshot) -> None:
        self._say("snapshot", {"iteration": snapshot.iteration, "images": snapshot.images, "epoch": snapshot.epoch})

    def run_end(self, reason: str) -> None:
        self._say("run_end", {"reason": reason})

    def _say(self, event: str, values: dict[str, Any]) -> None:
        self._stream.write(json.dumps({"event": event, **values}) + "\n")
        self._stream.flush()


class Phases:
    """When a piece of work is worth a line: now and then while it moves, and at its end."""

    def __init__(self, every_seconds: float) -> None:
        self._every_seconds = every_seconds
        self._begun: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def due(self, name: str, done: int, total: int) -> float | None:
        """Return the seconds since the work began where it is due for a line, else None."""
        now = time.monotonic()
        begun = self._begun.setdefault(name, now)
        if total and done >= total:
            del self._begun[name]
            self._said.pop(name, None)
            return now - begun
        if now - self._said.setdefault(name, begun) < self._every_seconds:
            return None
        self._said[name] = now
        return now - begun
