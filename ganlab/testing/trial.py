"""A training of a few iterations on pictures in memory, with the loop of real runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from ganlab.errors import NonFiniteError
from ganlab.generator.file import write_generator
from ganlab.generator.metadata import DataRecord, RecipeRecord, TrainingRecord
from ganlab.generator.network import describe
from ganlab.hardware.device import Autocast
from ganlab.interfaces import (
    Augmentation,
    Batch,
    Component,
    ImageSpec,
    Iteration,
    Loss,
    Model,
    Optimizer,
    Position,
    Update,
)
from ganlab.networks.shipment import shipment
from ganlab.recipe.recipe import Recipe
from ganlab.recipe.settings import MovingAverage, Snapshots, Train
from ganlab.registry.kinds import KINDS, Kind
from ganlab.registry.lookup import registry
from ganlab.testing.subject import ContractError, copied, registered
from ganlab.testing.toys import Waves, waves
from ganlab.training.average import shipped_copy
from ganlab.training.iteration import run_iteration
from ganlab.training.state import State
from ganlab.training.ticks import Callbacks
from ganlab.training.trainer import Trainer

CPU = torch.device("cpu")
PICTURES, BATCH_SIZE = 16, 8
"""Two batches an epoch, so that three iterations cross its end."""


class Trial:
    """A run of so many iterations, in memory."""

    def __init__(
        self,
        model: Model,
        loss: Loss,
        images: ImageSpec,
        iterations: int,
        *,
        augmentation: Augmentation | None = None,
        optimizer: Optimizer | None = None,
    ) -> None:
        """Without `optimizer`, it is the usual one."""
        optimizer = optimizer or usual_optimizer()
        self.images, self.iterations = images, iterations
        pictures = Waves(resolution=(images.height, images.width), channels=images.channels)
        components: dict[Kind, Component] = {
            "model": model,
            "dataset": pictures,
            "loss": loss,
            "optimizer": optimizer,
        }
        brought = loss.brings if augmentation is None else (*loss.brings, *augmentation.brings)
        self.recipe = Recipe(
            name="contract",
            seed=0,
            components=components if augmentation is None else {**components, "augmentation": augmentation},
            optimizer=dict.fromkeys((*model.networks, *brought), optimizer),
            train=Train(batch_size=BATCH_SIZE, epochs=None, iterations=iterations, device="cpu", precision="fp32"),
            moving_average=MovingAverage(statistics_batches=1),
            snapshot=Snapshots(every_epochs=None, every_iterations=iterations),
            observers={},
            table={},
        )

    def begin(self) -> Trainer:
        """Return what trains it, before the first iteration."""
        return Trainer(self.recipe, waves(self.images, PICTURES), CPU, "fp32")

    def finish(self, trainer: Trainer) -> None:
        """Train to the end. Raise `NonFiniteError` where anything becomes NaN or infinite."""
        trainer.run(Callbacks())
        for name, tensor in trainer.state.tensors():
            if not torch.isfinite(tensor).all():
                raise NonFiniteError(name, trainer.state.iteration - 1)

    def iterate(
        self,
        trainer: Trainer,
        index: int,
        observe: Callable[[Update, Tensor], None] = lambda update, gradient_norm: None,
        autocast: Autocast = nullcontext,
        batches: Iterator[Batch] | None = None,
        around: AbstractContextManager[object] | None = None,
    ) -> None:
        """Run the iteration with this index and nothing around it; `observe` gets updates and norms of gradients.

        `around` is entered around what the device does, without what the host decides before.
        """
        batches = trainer.batches if batches is None else batches
        loss = trainer.state.schedules.live(self.recipe.loss)
        drawn, progress = trainer.batches.drawn, index / self.iterations
        trainer.state.schedules.begin(
            Position(drawn * BATCH_SIZE, drawn / trainer.batches.per_epoch, index, progress=progress)
        )
        with around or nullcontext():
            run_iteration(loss, trainer.state, batches, self.place(index), autocast, observe, trainer.ranks)

    def place(self, index: int) -> Iteration:
        """Return where in the training the iteration with this index stands."""
        return Iteration(index % self.recipe.loss.period, torch.tensor(index / self.iterations))

    def anew(self) -> Trial:
        """Return the same run as another process would continue it: with components that remember nothing."""
        recipe = self.recipe
        augmentation = None if recipe.augmentation is None else copied(recipe.augmentation)
        return Trial(
            copied(recipe.model),
            copied(recipe.loss),
            self.images,
            self.iterations,
            augmentation=augmentation,
            optimizer=copied(recipe.optimizer["generator"]),
        )

    def shipped(self, state: State) -> nn.Module:
        """Return the generator with averaged weights in eval mode, as a run ships it."""
        return shipped_copy(shipment(self.recipe.model, state.networks), state.average)


def usual_optimizer(**options: float) -> Optimizer:
    """Return the optimizer of a recipe that names none."""
    optimizer: Optimizer = registry.get("optimizer", KINDS["optimizer"].default or "")(**options)
    return optimizer


def resumes_exactly(trial: Trial, culprit: str) -> None:
    """Train once undisturbed, and once put down after each iteration and taken up anew; compare every bit."""
    undisturbed = trial.begin()
    saved = _values(undisturbed.state)
    trial.finish(undisturbed)
    expected = _values(undisturbed.state)

    finished, iteration, drawn = False, 0, 0
    while not finished:
        trainer = trial.anew().begin()
        state = trainer.state
        for name, tensor in state.tensors():
            tensor.copy_(saved[name])
        state.iteration, state.drawn = iteration, drawn
        finished = trainer.run(Callbacks(stop_requested=lambda: True))
        saved, iteration, drawn = _values(state), state.iteration, state.drawn
    for name, tensor in saved.items():
        if not torch.equal(tensor, expected[name]):
            raise ContractError(
                f"a run that was put down and taken up again ends with another {name} than an undisturbed one: "
                f"{culprit} must remember nothing but what a checkpoint holds, which is the parameters and buffers of "
                "networks and of what build() returns (register_buffer), and draw from torch's default generator alone"
            )


@contextmanager
def artefact(model: Model, generator: nn.Module, images: ImageSpec) -> Iterator[Path]:
    """Yield the path of the generator's artefact, in a directory that is removed afterwards."""
    with TemporaryDirectory(prefix="ganlab-") as folder, registered("model", type(model)) as name:
        path = Path(folder) / "generator.safetensors"
        metadata = describe(
            name,
            model,
            images,
            generator,
            recipe=RecipeRecord(name="contract", sha256="0" * 64),
            training=TrainingRecord(iterations=1, images=BATCH_SIZE, epochs=0.5),
            data=DataRecord(fingerprint="contract"),
        )
        write_generator(path, generator, metadata)
        yield path


def _values(state: State) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.tensors()}
