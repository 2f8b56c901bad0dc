"""Who observes a run: registered with pluggy, and called one by one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

import pluggy

from ganlab.errors import Interrupted, PluginError
from ganlab.events import Events, Finding, Reason, RunInfo, Scores, Snapshot, Tick
from ganlab.interfaces import Observer
from ganlab.messages import told
from ganlab.registry.entry_points import strict
from ganlab.registry.loading import check_hooks

if TYPE_CHECKING:
    from ganlab.events import Pictures


class _Hooks(pluggy.PluginManager):
    """A plugin manager that reads the hooks of an observer's class, never its attributes' values."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        method = inspect.getattr_static(type(plugin), name, None)
        return getattr(method, "ganlab_impl", None) if inspect.isfunction(method) else None


class Observers:
    """Calls the observers of one run, one by one, so that a broken one harms nobody else."""

    def __init__(self, guard: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        """`guard` is entered around every call: it restores what an observer must not change."""
        self._guard = guard
        self._hooks = _Hooks("ganlab")
        self._hooks.add_hookspecs(Events)
        self._origins: dict[int, str] = {}
        self.excused: Callable[[], bool] = lambda: False
        """Whether observers that fail now are not at fault, so that nothing is said of them: they have nowhere to
        write to."""

    def register(self, observer: Observer, name: str, origin: str) -> None:
        """Add an observer. Raise `PluginError` naming `origin` where a hook is misspelt or has a wrong signature."""
        try:
            self._hooks.register(observer, name)
            check_hooks(type(observer), f'observer "{name}" ({origin})')
        except pluggy.PluginValidationError as error:
            self._forget(observer)
            detail = " ".join(str(error).split())
            raise PluginError(f'observer "{name}" ({origin}): {detail}') from error
        except PluginError:
            self._forget(observer)
            raise
        except ValueError as error:  # pluggy knows observers by their options
            raise PluginError(f'observer "{name}" ({origin}) is there already, with the same options') from error
        self._origins[id(observer)] = f'observer "{name}" ({origin})'

    def hear(self, event: str) -> bool:
        """Tell whether any of them hears an event."""
        return bool(self._hooks.hook.__dict__[event].get_hookimpls())

    def phase(self, name: str, done: int, total: int) -> None:
        self._call("phase", {"name": name, "done": done, "total": total})

    def note(self, text: str, level: Literal["info", "warning"] = "info") -> None:
        self._call("note", {"text": text, "level": level})

    def run_start(self, run: RunInfo, reals: Pictures) -> None:
        self._call("run_start", {"run": run, "reals": reals})

    def tick(self, run: RunInfo, tick: Tick) -> None:
        self._call("tick", {"run": run, "tick": tick})

    def snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        self._call("snapshot", {"run": run, "snapshot": snapshot})

    def scored(self, run: RunInfo, scores: Scores) -> None:
        self._call("scored", {"run": run, "scores": scores})

    def finding(self, run: RunInfo, finding: Finding) -> None:
        self._call("finding", {"run": run, "finding": finding})

    def run_end(self, run: RunInfo, reason: Reason) -> None:
        self._call("run_end", {"run": run, "reason": reason})

    def _call(self, event: str, arguments: Mapping[str, object]) -> None:
        failures = []
        for implementation in list(self._hooks.hook.__dict__[event].get_hookimpls()):
            try:
                with self._guard():
                    implementation.function(*(arguments[name] for name in implementation.argnames))
            except Interrupted:  # a signal that arrived in the middle of it
                raise
            # A stranger's code: whatever it raises must not stop the run.
            except (Exception, SystemExit) as error:  # noqa: BLE001
                failures.append((implementation.plugin, error))
        if failures and self.excused():
            return
        for observer, cause in failures:
            self._forget(observer)
            origin = self._origins.get(id(observer), "an observer")
            failure = f"{origin} failed at {event}"
            if strict():
                raise PluginError(f"{failure}: {told(cause)} (GANLAB_STRICT_PLUGINS is set)") from cause
            self.note(f"{failure} and is switched off: {told(cause)}", "warning")

    def _forget(self, observer: object) -> None:
        # pluggy leaves an observer registered that it has just refused.
        if self._hooks.is_registered(observer):
            self._hooks.unregister(observer)
