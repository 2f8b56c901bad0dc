"""What a run tells its observers: events as pluggy hooks, with arguments by name and nothing heavy behind them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pluggy

from ganlab import ImageSpec, RunInfo, Tick, hookimpl
from ganlab.events import Events

RUN = RunInfo("toy", Path("run"), {"seed": 0}, ImageSpec(1, 8, 8), 40, {"generator": 3}, "cpu", "fp32", 0)
TICK = Tick(4, 32, 0.8, 0.5, 100.0, 1.0, 1.0, {"loss_generator": 0.7})


class Listener:
    """Hears ticks, of which it wants the second half, and notes."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    @hookimpl
    def tick(self, tick: Tick) -> None:
        self.heard.append(tick)

    @hookimpl
    def note(self, level: str) -> None:
        self.heard.append(level)


def test_an_observer_may_take_any_subset_of_an_events_arguments() -> None:
    manager, listener = pluggy.PluginManager("ganlab"), Listener()
    manager.add_hookspecs(Events)
    manager.register(listener)
    manager.check_pending()
    manager.hook.tick(run=RUN, tick=TICK)
    manager.hook.note(text="hello", level="info")
    manager.hook.run_end(run=RUN, reason="finished")
    assert listener.heard == [TICK, "info"]


def test_every_event_is_a_hook_that_says_what_comes_with_it() -> None:
    events = {name: method for name, method in vars(Events).items() if not name.startswith("_")}
    assert list(events) == ["phase", "note", "run_start", "tick", "snapshot", "scored", "finding", "run_end"]
    for name, method in events.items():
        assert method.ganlab_spec, name
        assert inspect.getdoc(method), name
    assert {name: list(inspect.signature(method).parameters)[1:] for name, method in events.items()} == {
        "phase": ["name", "done", "total"],
        "note": ["text", "level"],
        "run_start": ["run", "reals"],
        "tick": ["run", "tick"],
        "snapshot": ["run", "snapshot"],
        "scored": ["run", "scores"],
        "finding": ["run", "finding"],
        "run_end": ["run", "reason"],
    }


def test_events_bring_neither_torch_nor_numpy() -> None:
    code = "import sys, ganlab.events; print(*{'torch', 'numpy', 'PIL', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
