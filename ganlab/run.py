"""The place where all parts meet: a recipe becomes a run."""

from __future__ import annotations

import json
import platform
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ganlab.checkpoint import Manifest, newest_checkpoint, remove_leftovers, save_checkpoint
from ganlab.durable import replacing_file
from ganlab.errors import GanlabError, Interrupted, RunError
from ganlab.events import Observers, Reason, RunInfo, Snapshot, Tick
from ganlab.recipe import Recipe, find_recipe, load_recipe, parse_recipe
from ganlab.continuation import check_directory, chosen_directory, refuse_changes
from ganlab.registry import registry
from ganlab.rundir import RunDirectory, enter_in_index, new_directory
from ganlab.signals import Interruption, watching_signals

if TYPE_CHECKING:
    import torch

    from ganlab.data.packing import Packed
    from ganlab.metadata import Metadata
    from ganlab.training.device import Precision
    from ganlab.training.plan import Plan
    from ganlab.training.state import State

REALS = 64
"""How many pictures of the data `reals.png` shows."""


class Run(NamedTuple):
    """A run that has reached its end."""

    directory: Path
    generator: Path
    """The artefact: the trained generator as safetensors with its metadata."""
    iterations: int
    images: int
    """Real pictures seen, repetitions counted."""
    seconds: float
    """Time that this call took."""
    already_done: bool
    """Whether the run had been finished before, so that nothing was trained."""


def train(
    recipe: Recipe | Path | str | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    out: Path | str | None = None,
    resume: bool = False,
) -> Run:
    """Train what `recipe` says and return the run.

    `recipe` is a path, the name of a shipped recipe, nested tables, or a `Recipe`; `overrides` are `"key=value"`
    texts for the first two. With `out` that directory is the run's, and an unfinished run in it is continued exactly;
    with `resume` the newest run of the recipe is continued, or one is started; else the run gets a new directory
    below `runs/`. Raises `GanlabError`; `Interrupted` after a signal, when the state has been saved.
    """
    started = time.perf_counter()
    recipe = as_recipe(recipe, overrides)
    with watching_signals() as interruption:
        chosen = chosen_directory(recipe, out, resume)
        if chosen is not None:
            check_directory(recipe, chosen)

        from ganlab.data.packing import pack
        from ganlab.training.device import arithmetic, choose_device, choose_precision

        device = choose_device(recipe.train.device)
        precision = choose_precision(recipe.train.precision, device)
        observers = _observers(recipe)
        packed = pack(recipe.dataset, recipe.table["dataset"]["name"], observers.phase)
        for name, reason in packed.skipped[:10]:
            observers.note(f"left out {name}: {reason}", "warning")
        if len(packed.skipped) > 10:
            observers.note(f"left out {len(packed.skipped)} pictures that could not be read", "warning")
        with arithmetic(precision, recipe.train.deterministic, recipe.train.threads):
            session = _Session(recipe, packed, device, precision, observers, interruption)
            directory = chosen or new_directory(recipe.name)
            with directory.locked():
                trained = session.run(directory)
    return Run(
        directory.path,
        directory.generator,
        session.state.iteration,
        session.plan.images(session.state),
        time.perf_counter() - started,
        not trained,
    )


def as_recipe(recipe: Recipe | Path | str | Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """Return a recipe from any of its forms."""
    if isinstance(recipe, Recipe):
        if overrides:
            raise GanlabError("overrides go with a recipe's path, name or tables; this one is already resolved")
        return recipe
    if isinstance(recipe, Mapping):
        return parse_recipe(recipe, overrides=overrides)
    return load_recipe(find_recipe(str(recipe)), overrides)


class _Session:
    """One process's share of a run: it holds the parts and is the loop's witness."""

    def __init__(
        self,
        recipe: Recipe,
        packed: Packed,
        device: torch.device,
        precision: Precision,
        observers: Observers,
        interruption: Interruption,
    ) -> None:
        from ganlab.data.batches import Batches, Latent
        from ganlab.training.device import keep_freed_memory
        from ganlab.training.plan import Plan
        from ganlab.training.state import build_state

        if device.type == "cpu":
            keep_freed_memory()
        self.recipe, self.packed, self.device, self.precision = recipe, packed, device, precision
        self.observers, self.interruption = observers, interruption
        self.batches = Batches(
            packed,
            Latent(recipe.model.latent_dim, recipe.model.latent),
            batch_size=recipe.train.batch_size,
            conditional=recipe.model.conditional,
            flip=recipe.dataset.flip,
            seed=recipe.seed,
            device=device,
        )
        self.state: State = build_state(recipe, packed.spec, device)
        self.plan: Plan = Plan(recipe, self.batches.per_epoch)

    def run(self, directory: RunDirectory) -> bool:
        """Train to the end in `directory`; return whether anything was left to train."""
        from ganlab.training.loop import train_loop

        self.directory = directory
        remove_leftovers(directory.path)
        remove_leftovers(directory.checkpoints)
        checkpoint = newest_checkpoint(directory.checkpoints, lambda text: self.observers.note(text, "warning"))
        if checkpoint is not None:
            refuse_changes(self.recipe, checkpoint.manifest, directory.path)
            self._note_differences(checkpoint.manifest)
            checkpoint.restore(self.state)
            if self.plan.done(self.state):
                return False
        else:
            enter_in_index(directory, self.recipe.name)
        self._write_description()
        self.info = self._info()
        reason: Reason = "failed"
        with self.interruption.deferred():
            self.observers.run_start(self.info, self._reals())
            try:
                if checkpoint is None or checkpoint.manifest.snapshot:
                    self.snapshot()
                finished = train_loop(self.recipe, self.state, self.batches, self.device, self.precision, self)
                if not finished:
                    self._save(snapshot=False)
                reason = "finished" if finished else "interrupted"
            finally:
                self.observers.run_end(self.info, reason)
        if not finished:
            self._raise_interrupted()
        return True

    def tick(self, tick: Tick) -> None:
        self.observers.tick(self.info, tick)

    def snapshot(self) -> None:
        from ganlab.artefact import write_generator
        from ganlab.training.sampling import draw_samples, sample_columns, shipped_generator

        recipe, state, images = self.recipe, self.state, self.packed.spec
        generator = shipped_generator(recipe, state, images, self.device)
        samples = draw_samples(recipe, generator, images, self.device)
        self._save(snapshot=True)
        write_generator(self.directory.generator, generator, self._metadata())
        self.observers.snapshot(
            self.info,
            Snapshot(
                state.iteration,
                self.plan.images(state),
                self.plan.epoch(state),
                samples,
                sample_columns(recipe, images),
            ),
        )

    def stop_requested(self) -> bool:
        return self.interruption.received is not None

    def _save(self, snapshot: bool) -> None:
        """Save a checkpoint; refuse one that no training could go on from."""
        import torch

        for name, tensor in self.state.tensors():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise RunError(
                    f"{name} holds NaN or infinite values at iteration {self.state.iteration}; it was not saved. "
                    f"Lower optimizer.lr, or set train.precision to fp32, and continue from the last checkpoint"
                )
        save_checkpoint(
            self.directory.checkpoints,
            self.state,
            lambda sha256, size: Manifest(
                iteration=self.state.iteration,
                drawn=self.state.drawn,
                snapshot=snapshot,
                recipe=self.recipe.table,
                data=self.packed.fingerprint,
                versions={name: version(name) for name in ("ganlab", "torch")},
                threads=torch.get_num_threads(),
                device=self.device.type,
                sha256=sha256,
                bytes=size,
            ),
            self.recipe.snapshot.keep,
        )

    def _note_differences(self, manifest: Manifest) -> None:
        """Say what keeps a continued run from giving the very bits that an undisturbed one would have given."""
        import torch

        if manifest.data != self.packed.fingerprint:
            raise GanlabError(
                f"the pictures have changed since {self.directory.path} was begun; "
                f"put them back, or start a new run with another --out directory"
            )
        here = {"torch": version("torch"), "threads": torch.get_num_threads(), "device": self.device.type}
        there = {"torch": manifest.versions["torch"], "threads": manifest.threads, "device": manifest.device}
        for name in here:
            if here[name] != there[name]:
                self.observers.note(
                    f"the run was begun with {name} {there[name]} and goes on with {here[name]}: "
                    f"same data and order, but not the same bits",
                    "warning",
                )

    def _write_description(self) -> None:
        with replacing_file(self.directory.recipe) as temporary:
            temporary.write_text(self.recipe.dump(), encoding="utf-8")
        with replacing_file(self.directory.environment) as temporary:
            temporary.write_text(json.dumps(self._environment(), indent=1) + "\n", encoding="utf-8")

    def _environment(self) -> dict[str, Any]:
        import torch

        providers = {provider.distribution: provider.version for provider in registry.providers()}
        return {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processor": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else platform.processor(),
            "device": str(self.device),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "packages": {name: version(name) for name in ("torch", "numpy", "safetensors")} | providers,
        }

    def _info(self) -> RunInfo:
        from ganlab.training.state import parameter_counts

        return RunInfo(
            name=self.recipe.name,
            directory=self.directory.path,
            recipe=self.recipe.table,
            images=self.packed.spec,
            dataset_size=len(self.packed.images),
            parameters=parameter_counts(self.state.networks),
            device=str(self.device),
            precision=self.precision,
            first_iteration=self.state.iteration,
        )

    def _reals(self) -> Any:
        return self.packed.images[:REALS].transpose(0, 2, 3, 1)

    def _metadata(self) -> Metadata:
        from ganlab.metadata import RecipeRecord, TrainingRecord
        from ganlab.network import describe

        return describe(
            self.recipe.table["model"]["name"],
            self.recipe.model,
            self.packed.spec,
            recipe=RecipeRecord(name=self.recipe.name, sha256=self.recipe.sha256),
            training=TrainingRecord(
                iterations=self.state.iteration,
                images=self.plan.images(self.state),
                epochs=self.plan.epoch(self.state),
            ),
            fingerprint=self.packed.fingerprint,
        )

    def _raise_interrupted(self) -> None:
        received = self.interruption.received or signal.SIGINT
        name = "Ctrl-C" if received == signal.SIGINT else received.name
        raise Interrupted(
            f"stopped by {name} at iteration {self.state.iteration}; everything is saved in {self.directory.path}",
            int(received),
            self.directory.path,
        )


def _observers(recipe: Recipe) -> Observers:
    observers = Observers(_undisturbed)
    for name, observer in recipe.observers.items():
        # A new one for each run: what an observer remembers of another run is not this one's.
        fresh = type(observer)(**dict(observer))
        observers.register(fresh, name, registry.provider("observer", name).origin)
    return observers


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep an observer from changing a run: torch's modes are put back, and random draws are seeded anew anyway."""
    import torch

    with torch.no_grad():
        yield
