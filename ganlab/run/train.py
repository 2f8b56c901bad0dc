"""The place where all parts meet: a recipe becomes a run."""

from __future__ import annotations

import os
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ganlab.errors import GanlabError, printable
from ganlab.hardware.cores import physical_cores
from ganlab.hardware.load import Load, yielding_threads
from ganlab.hardware.memory import memory_errors
from ganlab.messages import with_article
from ganlab.recipe.compose import Overrides
from ganlab.recipe.recipe import Recipe, find_recipe, load_recipe, parse_recipe
from ganlab.run.culprit import naming_culprit
from ganlab.run.directory import RunDirectory, new_directory
from ganlab.run.heartbeat import Heartbeat
from ganlab.run.outlook import outlook, warnings
from ganlab.run.preparation import phases, prepare
from ganlab.run.session import Session
from ganlab.run.signals import watching_signals
from ganlab.run.standing import check_note, write_note

if TYPE_CHECKING:
    from ganlab.distributed.ranks import Ranks
    from ganlab.interfaces import Observer
    from ganlab.run.observers import Observers
    from ganlab.run.scores import Scoring
    from ganlab.training.trainer import Trainer


class Run(NamedTuple):
    """A run that has reached its end. It can be given wherever a path is wanted: it stands for its directory."""

    directory: Path
    """Where everything that it wrote lies."""
    generator: Path
    """The artefact: the trained generator as safetensors with its metadata."""
    iterations: int
    """Iterations done, also those of earlier calls."""
    images: int
    """Real pictures seen, repetitions counted."""
    seconds: float
    """Time that this call took."""
    already_done: bool
    """Whether the run had been finished before, so that nothing was trained."""
    out_of_patience: bool = False
    """Whether it was `evaluate.patience` that has ended the training."""

    def __fspath__(self) -> str:
        """Return the path of the directory."""
        return str(self.directory)

    def report(self, out: os.PathLike[str] | str | None = None) -> Path:
        """Write what the run has shown as one HTML page and return its path: `out`, or `report.html` in the run.

        Raises `GanlabError` where something else lies there.
        """
        from ganlab.run.report import REPORT, write_report

        # Absolute: `faces/2` might be a run's short name, too.
        return write_report([self.directory.absolute()], self.directory / REPORT if out is None else out)

    @property
    def metrics(self) -> dict[str, list[float]]:
        """What each tick has measured, by name: columns of equal length, as `pandas.DataFrame(run.metrics)` takes them.

        `iteration`, `images`, `epoch`, `seconds` and `images_per_second` come first, then what the loss has reported.
        Empty where the run wrote no metrics.
        """
        from ganlab.run.history import columns
        from ganlab.run.listing import METRICS

        try:
            return columns(self.directory / METRICS)
        except OSError:
            return {}

    def _repr_html_(self) -> str:
        """Return what a notebook shows: where the run lies, and its newest samples."""
        grids = sorted(self.directory.glob("samples/*.png"))
        source = f"data:image/png;base64,{b64encode(grids[-1].read_bytes()).decode()}" if grids else ""
        words = f"{self.directory}: {self.iterations:,} iterations, {self.images:,} pictures seen"
        picture = f'<img alt="samples" src="{source}">' if grids else ""
        return f"<div>{escape(printable(words))}</div>{picture}"


def train(
    recipe: Recipe | Path | str | Mapping[str, Any],
    *,
    overrides: Overrides = (),
    out: os.PathLike[str] | str | None = None,
    resume: bool = False,
    init: os.PathLike[str] | str | None = None,
    note: str | None = None,
    observers: Sequence[Observer] = (),
) -> Run:
    """Train what `recipe` says and return the run.

    `recipe` is a path, the name of a shipped recipe, nested tables, or a `Recipe`; `overrides` change values of the
    first three, as in `{"train.epochs": 5}`; the command line's texts, `"train.epochs=5"`, are taken, too. With `out`
    that directory is the run's, and an unfinished run in it is continued exactly; with `resume` the newest run of the
    recipe is continued, or one is started; else the run gets a new directory below `runs/`. `init`, a run or a
    `generator.safetensors`, is what a new run begins with, as `train.init_from`. `note` is shown by `ganlab runs`.
    `observers` watch this call beside those of the recipe; what they remember is theirs afterwards, too.
    Raises `GanlabError`; `Interrupted` after a signal, when the state has been saved.
    """
    started, load = time.perf_counter(), Load()
    with yielding_threads():  # reading a recipe may import a plugin's torch
        recipe = as_recipe(recipe, overrides)
    if init is not None:
        recipe = recipe.with_init(os.fspath(init))
    if note is not None:
        check_note(note)
    heartbeat = Heartbeat()

    def out_of_memory() -> str:
        return f"out of memory at this work: {heartbeat.work()}; smaller networks, pictures or batches need less"

    @contextmanager
    def importing() -> Iterator[None]:
        """Import what a signal ends at once; from then on it is answered."""
        with interruption.importing(), yielding_threads():
            from ganlab.distributed.ranks import place

            yield
        if place().rank == 0:
            interruption.words.stopping = partial(_stopping_before, heartbeat)

    with watching_signals() as interruption, memory_errors(out_of_memory), naming_culprit(recipe):
        prepared = prepare(recipe, out, resume, heartbeat=heartbeat, importing=importing, guests=observers)
        with interruption.importing():
            from ganlab.distributed.ranks import joined
            from ganlab.hardware.device import arithmetic, only_training
            from ganlab.training.trainer import Trainer

        recipe, watching = prepared.recipe, prepared.observers
        here, device, precision = prepared.here, prepared.device, prepared.precision
        # A GPU needs a core that tells it what to do.
        threads = (recipe.train.threads or physical_cores()) if device.type == "cpu" else 1
        crowded = load.crowded(threads) if here.world == 1 else None
        heartbeat.work = lambda: "waiting for the other ranks" if here.world > 1 else "building the networks"
        with (
            heartbeat.beating(watching.note),
            only_training(),
            arithmetic(device, precision, recipe.train.deterministic, recipe.train.threads),
            joined(here, device, recipe.train.rank_timeout_seconds) as ranks,
        ):
            trainer = Trainer(recipe, prepared.packed, device, precision, ranks)
            if prepared.init is not None:
                for text in prepared.init.give(trainer.state):
                    watching.note(text)
            if not prepared.continues:
                _look_ahead(trainer, watching)
            scoring = _scoring(trainer, watching, heartbeat)
            session = Session(trainer, watching, interruption, scoring, crowded)
            heartbeat.work = lambda: session.work
            directory = _common_directory(recipe, prepared.directory, ranks)
            with (
                directory.locked(recipe.name) if ranks.first else nullcontext() as held,
                naming_culprit(recipe, lambda: session.directory, lambda: trainer.state.iteration),
            ):
                if note is not None and ranks.first:
                    write_note(directory, note)
                trained = session.run(directory, held)
    return Run(
        session.directory.path,
        session.directory.generator,
        trainer.state.iteration,
        trainer.plan.images(trainer.state),
        time.perf_counter() - started,
        not trained,
        session.out_of_patience,
    )


def _stopping_before(heartbeat: Heartbeat, again: str) -> str:
    """Return what a signal leads to before the training has begun, and what it would do `again`."""
    return f"stopping before the training begins ({heartbeat.work()}); {again} to end at once"


def as_recipe(recipe: Recipe | Path | str | Mapping[str, Any], overrides: Overrides = ()) -> Recipe:
    """Return a recipe from any of its forms."""
    if isinstance(recipe, Recipe):
        if overrides:
            raise GanlabError("overrides go with a recipe's path, name or tables; this one is already resolved")
        return recipe
    if isinstance(recipe, Mapping):
        return parse_recipe(recipe, overrides=overrides)
    if not isinstance(recipe, str | os.PathLike):
        raise GanlabError(
            f"a recipe is a path, a name, nested tables or a Recipe, not {with_article(type(recipe).__name__)}"
        )
    return load_recipe(find_recipe(str(recipe)), overrides)


def _look_ahead(trainer: Trainer, observers: Observers) -> None:
    """Say how long the run will be and what it will write, and what speaks against it."""
    recipe, packed = trainer.recipe, trainer.packed
    ahead = outlook(recipe, trainer.state, packed.spec, trainer.plan)
    observers.note(str(ahead))
    for warning in warnings(recipe, len(packed.images), ahead):
        observers.note(warning, "warning")


def _scoring(trainer: Trainer, observers: Observers, heartbeat: Heartbeat) -> Scoring | None:
    """Return what judges the generator during the training, on rank 0 and where the recipe wants it."""
    recipe, device = trainer.recipe, str(trainer.device)
    with trainer.ranks.work_of_first() as mine:
        if mine and recipe.evaluate is not None:
            from ganlab.run.scores import Scoring, open_judge

            judge = open_judge(recipe, trainer.packed, device, phases(observers, heartbeat), observers.note)
            return Scoring(judge, recipe, trainer.plan, device, lambda text: observers.note(text, "warning"))
    return None


def _common_directory(recipe: Recipe, chosen: RunDirectory | None, ranks: Ranks) -> RunDirectory:
    """Return the directory of all ranks: the one that the user named, or a new one that rank 0 makes."""
    path = ""
    with ranks.work_of_first() as mine:
        if mine:
            path = str((chosen or new_directory(recipe.name)).path)
    return RunDirectory(Path(ranks.text_of_first(path)))
