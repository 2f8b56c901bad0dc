"""The progress of a run in lines: plain ones for people, JSON for programs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from ganlab.standard.observers.stream import Stream
from ganlab.standard.observers.wording import (
    finding_line,
    finding_values,
    finite,
    harmless,
    note_line,
    phase_line,
    run_lines,
    scores_line,
    tick_line,
)

if TYPE_CHECKING:
    from ganlab import Finding, RunInfo, Scores, Snapshot, Tick


class Plain:
    """Lines for people and log files, at most one every few seconds; nothing is ever overwritten."""

    def __init__(self, stream: Stream, every_seconds: float) -> None:
        self._stream = stream
        self._phases = Phases(every_seconds)
        self._every_seconds = every_seconds
        self._next = 0.0
        self._waiting: str | None = None

    def phase(self, name: str, done: int, total: int, seconds: float) -> None:
        if self._phases.due(name, done, total, seconds):
            self._say(phase_line(name, done, total, seconds))

    def note(self, text: str, level: str) -> None:
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

    def scored(self, scores: Scores) -> None:
        self._say_waiting()
        self._say(scores_line(scores))

    def finding(self, finding: Finding) -> None:
        self._say_waiting()
        self._say(finding_line(finding))

    def run_end(self, reason: str) -> None:
        self._say_waiting()

    def _say_waiting(self) -> None:
        if self._waiting is not None:
            self._say(self._waiting)
            self._waiting = None
            self._next = time.monotonic() + self._every_seconds

    def _say(self, line: str) -> None:
        self._stream.say(harmless(line))


class JSONLines:
    """One JSON object per event and line, for programs; people read the notes on stderr."""

    def __init__(self, stream: Stream, people: Stream, every_seconds: float) -> None:
        self._stream = stream
        self._people = people
        self._phases = Phases(every_seconds)

    def phase(self, name: str, done: int, total: int, seconds: float) -> None:
        if self._phases.due(name, done, total, seconds):
            self._say("phase", {"name": name, "done": done, "total": total})

    def note(self, text: str, level: str) -> None:
        self._say("note", {"text": text, "level": level})
        self._people.say(harmless(note_line(text, level)))

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

    def scored(self, scores: Scores) -> None:
        values = scores._asdict() | {"values": dict(scores.values), "reference": dict(scores.reference)}
        self._say("scored", values)

    def finding(self, finding: Finding) -> None:
        self._say("finding", finding_values(finding))
        self._people.say(harmless(finding_line(finding)))

    def run_end(self, reason: str) -> None:
        self._say("run_end", {"reason": reason})

    def _say(self, event: str, values: dict[str, Any]) -> None:
        self._stream.say(json.dumps({"event": event, **values}))


class Phases:
    """When a piece of work is worth a line: now and then while it moves, and at its end."""

    def __init__(self, every_seconds: float) -> None:
        self._every_seconds = every_seconds
        self._said: dict[str, float] = {}

    def due(self, name: str, done: int, total: int, seconds: float) -> bool:
        if total and done >= total:
            self._said.pop(name, None)
            return True
        due = seconds - self._said.setdefault(name, 0.0) >= self._every_seconds
        if due:
            self._said[name] = seconds
        return due
