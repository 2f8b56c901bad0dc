"""The events of a run, as pluggy hooks, and the manager that calls whoever observes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pluggy

from ganlab.errors import Interrupted, PluginError
from ganlab.interfaces import ImageSpec, Observer
from ganlab.messages import told
from ganlab.providers import strict

if TYPE_CHECKING:
    import numpy as np

    Pictures = np.ndarray[Any, np.dtype[np.uint8]]

Reason = Literal["finished", "interrupted", "failed"]
"""How a run ended."""

hookspec = pluggy.HookspecMarker("ganlab")
hookimpl = pluggy.HookimplMarker("ganlab")


class RunInfo(NamedTuple):
    """What stays the same during a run."""

    name: str
    """The recipe's name."""
    directory: Path
    """The run's directory; an observer writes only below it."""
    recipe: Mapping[str, Any]
    """The resolved recipe as nested tables."""
    images: ImageSpec
    dataset_size: int
    """Number of pictures."""
    parameters: Mapping[str, int]
    """Number of trainable parameters of each network."""
    device: str
    precision: str
    first_iteration: int
    """0, or the iteration that a continued run starts from."""


class Tick(NamedTuple):
    """What the host has just learned from the device."""

    iteration: int
    """Iterations done."""
    images: int
    """Real pictures seen, repetitions counted."""
    epoch: float
    """Passes over the data done."""
    progress: float
    """How much of the training is done, 0 to 1."""
    images_per_second: float
    seconds: float
    """Time since this process began or continued the training."""
    seconds_left: float
    stats: Mapping[str, float]
    """Means since the last tick: `loss_<network>` and whatever else the loss logs."""


class Snapshot(NamedTuple):
    """The generator at one iteration; when every observer has been told, a checkpoint of it is saved."""

    iteration: int
    images: int
    epoch: float
    samples: Pictures
    """Pictures `(N, H, W, C)`, uint8, of the same latents at each snapshot."""
    columns: int
    """How many samples belong into one row of a grid."""


class Events:
    """The hooks that an observer may implement; it may take any subset of a hook's arguments."""

    @hookspec
    def phase(self, name: str, done: int, total: int) -> None:
        """A long piece of work beside training has moved on, such as packing; may come before `run_start`.

        `total` is 0 where it is not known; `done == total` when the work has ended.
        """

    @hookspec
    def note(self, text: str, level: Literal["info", "warning"]) -> None:
        """The host has something to say in one sentence."""

    @hookspec
    def run_start(self, run: RunInfo, reals: Pictures) -> None:
        """Training is about to begin or go on. `reals` are pictures of the data `(N, H, W, C)`, uint8."""

    @hookspec
    def tick(self, run: RunInfo, tick: Tick) -> None:
        """The host has looked at the device."""

    @hookspec
    def snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        """Samples were drawn; a checkpoint follows."""

    @hookspec
    def run_end(self, run: RunInfo, reason: Reason) -> None:
        """Training has ended. A run that was continued later ends again."""


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


def check_hooks(cls: type[Observer], who: str) -> None:
    """Raise `PluginError` for hooks of a class that are misspelt, want what no event has, or ask for more than a call.

    pluggy finds the second alone, and only for an observer that has been made.
    """
    for hook, method in inspect.getmembers_static(cls, inspect.isfunction):
        options = method.__dict__.get("ganlab_impl")
        if options is None:
            continue
        if hook not in Events.__dict__:
            events = ", ".join(key for key in Events.__dict__ if not key.startswith("_"))
            raise PluginError(f"{who}: {hook} is not an event; the events are {events}")
        known = _arguments(Events.__dict__[hook])
        if strange := [name for name in _arguments(method) if name not in known]:
            raise PluginError(f"{who}: {hook} has no argument {', '.join(strange)}; it has {', '.join(known)}")
        if chosen := [key for key, value in options.items() if value]:
            raise PluginError(f"{who}: {hook}: observers are called one by one; @hookimpl takes no {', '.join(chosen)}")


def _arguments(method: Callable[..., object]) -> list[str]:
    """Return what a hook is called with: those without a default, but for `self`."""
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    return [item.name for item in parameters if item.kind in named and item.default is inspect.Parameter.empty]
