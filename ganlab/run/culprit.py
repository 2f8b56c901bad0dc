"""Whose code has broken down: a plugin's is named with its version, and its traceback kept for its author."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

from ganlab.errors import GanlabError, PluginError, RunError
from ganlab.hardware.memory import ran_out
from ganlab.messages import LAYOUT, printable, same_again, told
from ganlab.registry.entry_points import HOST, Provider, normalized
from ganlab.registry.kinds import Kind
from ganlab.registry.lookup import HERE, registry
from ganlab.training.checkpoint import checkpoint_folders

if TYPE_CHECKING:
    from ganlab.interfaces import Component
    from ganlab.recipe.recipe import Recipe
    from ganlab.run.directory import RunDirectory

_MODULE_CALL = "torch.nn.modules.module"
_HOST_STEP = "ganlab.training.iteration"


class _Suspect(NamedTuple):
    """A component of the recipe that a plugin offers."""

    provider: Provider
    component: Component

    def wrote(self, frame: FrameType) -> bool:
        """Tell whether the code that runs in `frame` lies in the component's package."""
        return _package(frame.f_globals.get("__name__")) == _package(type(self.component).__module__)

    def runs(self, frame: FrameType) -> bool:
        """Tell whether a method of the component runs in `frame`."""
        return type(frame.f_locals.get("self")) is type(self.component)


@contextmanager
def naming_culprit(
    recipe: Recipe, run: Callable[[], RunDirectory] | None = None, iteration: Callable[[], int] | None = None
) -> Iterator[None]:
    """Turn what a plugin of the recipe raises into a `PluginError` that names it and says how to go on.

    The traceback is its cause, and is kept in the directory of `run`. What is nobody's but ganlab's own, a bug,
    comes through as it is.
    """
    try:
        yield
    except GanlabError:
        raise
    # A stranger's code.
    except (Exception, SystemExit) as error:
        provider = culprit(recipe, error)
        if provider is None or ran_out(error):  # which is no plugin's fault, wherever it shows
            raise
        place = "" if iteration is None else f" at iteration {iteration()}"
        head = f"{provider.title} broke down{place}: {told(error)}"
        failure = PluginError("\n".join([head, *_kept(head, error, None if run is None else run()), _remedy(provider)]))
        failure.exit_code = RunError.exit_code
        raise failure from error


def culprit(recipe: Recipe, error: BaseException) -> Provider | None:
    """Return the plugin whose code has raised `error`, or None where it was ganlab's own."""
    suspects = _suspects(recipe)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]
    for place, frame in enumerate(frames):
        found = [suspect for suspect in suspects if suspect.wrote(frame)]
        if found:
            return _closest(found, frames[place:]).provider
    # No code of theirs was running, but what they had built or asked for: a network of torch's own layers, a gradient.
    modules = {frame.f_globals.get("__name__") for frame in frames}
    order: tuple[Kind, ...] = ("model",) if _MODULE_CALL in modules else ("loss", "augmentation", "model")
    if not modules & {_MODULE_CALL, _HOST_STEP}:
        return None
    by_kind = {suspect.provider.kind: suspect.provider for suspect in suspects}
    return next((by_kind[kind] for kind in order if kind in by_kind), None)


def _suspects(recipe: Recipe) -> list[_Suspect]:
    components: list[tuple[Kind, str, Component]] = [
        *recipe.decisive(),
        *(("observer", name, observer) for name, observer in recipe.observers.items()),
    ]
    found = []
    for kind, name, component in components:
        with suppress(PluginError):  # of another registry than this process's
            found.append(_Suspect(registry.provider(kind, name), component))
    # What ganlab brings itself has bugs, and what a notebook has added is before its author's eyes: both want the
    # bare traceback.
    return [suspect for suspect in found if normalized(suspect.provider.distribution) not in (HOST, normalized(HERE))]


def _closest(suspects: list[_Suspect], frames: list[FrameType]) -> _Suspect:
    """Return whose the code in the first of `frames` is, of the components of one package; the others called it."""
    module = frames[0].f_globals.get("__name__")
    near = [suspect for suspect in suspects if suspect.runs(frames[0])]
    near = near or [suspect for suspect in suspects if type(suspect.component).__module__ == module] or suspects
    # A function that several of them could call is the nearest caller's; layers of a network are the model's.
    for frame in frames:
        layer = frame.f_globals.get("__name__") == _MODULE_CALL
        for suspect in near:
            if suspect.runs(frame) or (layer and suspect.provider.kind == "model"):
                return suspect
    return near[0]


def _kept(head: str, error: BaseException, run: RunDirectory | None) -> Iterator[str]:
    """Write the traceback into the run's directory; yield what is to be said of that and of its checkpoint."""
    if run is None:
        return
    text = f"{head}\n\n{''.join(traceback.format_exception(error))}"
    try:
        kept = run.write_error(printable(text, keep=LAYOUT))
    except GanlabError as refused:
        yield str(refused)
    else:
        yield (
            f"Its traceback is in {run.error}." if kept else f"Its traceback is not kept: {run.error} is not ganlab's."
        )
    if (newest := _newest(run.checkpoints)) is not None:
        yield (
            f"The checkpoint of iteration {newest} is kept: once the plugin is repaired, "
            f"{same_again(run.path)} goes on from there."
        )


def _newest(checkpoints: Path) -> int | None:
    """Return the iteration of the newest checkpoint; whether it is intact is found out by who continues it."""
    with suppress(GanlabError):  # then nothing is said of it: what has failed is the news
        return max((int(path.name) for path in checkpoint_folders(checkpoints)), default=None)
    return None


def _remedy(provider: Provider) -> str:
    return f"To do without it: another {provider.kind} in the recipe, or ganlab plugins disable {provider.distribution}"


def _package(module: object) -> str:
    return str(module).partition(".")[0]
