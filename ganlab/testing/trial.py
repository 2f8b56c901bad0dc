"""A training of a few iterations on pictures in memory, with the loop of real runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from ganlab.data.batches import Batches
from ganlab.data.latents import Latent
from ganlab.distributed.ranks import Place, Ranks
from ganlab.errors import NonFiniteError
from ganlab.events import Tick
from ganlab.generator.file import write_generator
from ganlab.generator.metadata import RecipeRecord, TrainingRecord
from ganlab.generator.network import describe
from ganlab.interfaces import Augmentation, Batch, ImageSpec, Iteration, Loss, Model, Update
from ganlab.recipe.recipe import Recipe
from ganlab.recipe.settings import MovingAverage, Optimizer, Snapshots, Train
from ganlab.testing.subject import ContractError, copied, registered
from ganlab.testing.toys import Waves, waves
from ganlab.training.average import shipped_copy
from ganlab.training.iteration import run_iteration
from ganlab.training.loop import train_loop
from ganlab.training.state import State, build_state

CPU = torch.device("cpu")
ALONE = Ranks(Place(rank=0, world=1, local=0), CPU)
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
        lr: float = 2e-4,
    ) -> None:
        self.images, self.iterations = images, iterations
        self.recipe = Recipe(
            name="contract",
            seed=0,
            model=model,
            dataset=Waves(resolution=(images.height, images.width), channels=images.channels),
            loss=loss,
            augmentation=augmentation,
            optimizer=dict.fromkeys(model.networks, Optimizer(lr=lr)),
            train=Train(batch_size=BATCH_SIZE, epochs=None, iterations=iterations, device="cpu", precision="fp32"),
            moving_average=MovingAverage(statistics_batches=1),
            snapshot=Snapshots(every_epochs=None, every_iterations=iterations),
            observers={},
            table={},
        )

    def begin(self) -> State:
        """Return the state before the first iteration."""
        return build_state(self.recipe, self.images, CPU)

    def batches(self) -> Batches:
        """Return the batches of the run, from the first on."""
        model = self.recipe.model
        return Batches(
            waves(self.images, PICTURES),
            Latent(model.latent_dim, model.latent),
            batch_size=BATCH_SIZE,
            conditional=model.conditional,
            flip=False,
            seed=self.recipe.seed,
            device=CPU,
        )

    def finish(self, state: State) -> None:
        """Train to the end. Raise `NonFiniteError` where anything becomes NaN or infinite."""
        train_loop(self.recipe, state, self.batches(), CPU, "fp32", ALONE, _Witness(patient=True))
        for name, tensor in state.tensors():
            if not torch.isfinite(tensor).all():
                raise NonFiniteError(name, state.iteration - 1)

    def go_on(self, state: State) -> bool:
        """Train one iteration; return whether it was the last."""
        return train_loop(self.recipe, state, self.batches(), CPU, "fp32", ALONE, _Witness(patient=False))

    def iterate(
        self,
        state: State,
        batches: Iterator[Batch],
        index: int,
        observe: Callable[[Update, Tensor], None] = lambda update, gradient_norm: None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Run the iteration with this index and nothing around it; `observe` gets updates and norms of gradients."""
        loss = self.recipe.loss
        run_iteration(loss, state, batches, self.place(index), autocast, observe, ALONE)

    def place(self, index: int) -> Iteration:
        """Return where in the training the iteration with this index stands."""
        return Iteration(index % self.recipe.loss.period, torch.tensor(index / self.iterations))

    def anew(self) -> Trial:
        """Return the same run as another process would continue it: with components that remember nothing."""
        recipe = self.recipe
        augmentation = None if recipe.augmentation is None else copied(recipe.augmentation)
        return Trial(copied(recipe.model), copied(recipe.loss), self.images, self.iterations, augmentation=augmentation)

    def shipped(self, state: State) -> nn.Module:
        """Return the generator with averaged weights in eval mode, as a run ships it."""
        return shipped_copy(state.networks["generator"], state.average)


class _Witness:
    """Nobody looks; one without patience ends the loop after each iteration."""

    def __init__(self, patient: bool) -> None:
        self._patient = patient

    def tick(self, tick: Tick) -> None:
        """Show nothing."""

    def snapshot(self) -> None:
        """Save nothing."""

    def note(self, text: str) -> None:
        """Pass it over."""

    def stop_requested(self) -> bool:
        """Tell whether patience has ended."""
        return not self._patient


def resumes_exactly(trial: Trial, culprit: str) -> None:
    """Train once undisturbed, and once put down after each iteration and taken up anew; compare every bit."""
    undisturbed = trial.begin()
    saved = _values(undisturbed)
    trial.finish(undisturbed)
    expected = _values(undisturbed)

    finished, iteration, drawn = False, 0, 0
    while not finished:
        again = trial.anew()
        state = again.begin()
        for name, tensor in state.tensors():
            tensor.copy_(saved[name])
        state.iteration, state.drawn = iteration, drawn
        finished = again.go_on(state)
        saved, iteration, drawn = _values(state), state.iteration, state.drawn
    for name, tensor in saved.items():
        if not torch.equal(tensor, expected[name]):
            raise ContractError(
                f"a run that was put down and taken up again ends with another {name} than an undisturbed one: "
                f"{culprit} must remember nothing but what a checkpoint holds, which is the parameters and buffers of "
                "the networks (register_buffer), and draw from torch's default generator alone"
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
            recipe=RecipeRecord(name="contract", sha256="0" * 64),
            training=TrainingRecord(iterations=1, images=BATCH_SIZE, epochs=0.5),
            fingerprint="contract",
        )
        write_generator(path, generator, metadata)
        yield path


def _values(state: State) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.tensors()}
