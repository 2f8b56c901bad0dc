"""One iteration, from top to bottom: the host's part, each update that the loss yields, and the moving average."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from ganlab.distributed.ranks import Ranks
from ganlab.errors import PluginError
from ganlab.hardware.device import Autocast
from ganlab.interfaces import Batch, Iteration, Loss, Position, Update
from ganlab.messages import line_of, with_article
from ganlab.registry.lookup import registry
from ganlab.seeds import Stream, stream_seed
from ganlab.training.state import State
from ganlab.training.statistics import Layout, Statistics, networks_of

if TYPE_CHECKING:
    from ganlab.data.batches import Batches
    from ganlab.recipe.recipe import Recipe


PROGRESS = "progress"
"""What the tensor is called that says how much of the training is done."""
_END: Any = object()
"""What comes after the last update; a loss may yield anything else by mistake, None too."""


class WholeIteration:
    """The iteration of a run, in two parts: what the host decides anew each time, and what the device then does."""

    def __init__(
        self,
        recipe: Recipe,
        state: State,
        batches: Batches,
        statistics: Statistics,
        autocast: Autocast,
        ranks: Ranks,
    ) -> None:
        self.recipe, self.state, self.batches, self.device = recipe, state, batches, batches.device
        self._statistics, self._autocast, self._ranks = statistics, autocast, ranks
        self._loss = state.schedules.live(recipe.loss)
        self._progress = torch.zeros((), device=self.device)
        # Sums in another order, so where bits are promised it is left. An augmentation may draw once for a batch.
        bits_matter = self.device.type != "cuda" or recipe.train.deterministic
        self._one_pass = recipe.model.one_pass and recipe.augmentation is None and not bits_matter

    @property
    def phase(self) -> int:
        """Which of the loss's different iterations is next."""
        return self.state.iteration % self.recipe.loss.period

    def run(self, progress: float) -> Layout:
        """Run the iteration; return which scalars have been added to the statistics."""
        self.begin(progress)
        return self.compute(self.batches)

    def begin(self, progress: float, *, tell_progress: bool = True) -> None:
        """Write what differs from iteration to iteration to where the device reads it.

        Without `tell_progress` all but the progress, which is left where nothing reads it: it is a launch.
        """
        state, recipe = self.state, self.recipe
        # What layers draw depends on the iteration alone, so a run continues as if it had never stopped.
        _seed_layers(state.seed(recipe.seed), state.iteration, self._ranks.rank, self.device)
        if tell_progress:
            self._progress.fill_(progress)
        position = self._position(progress)
        state.schedules.begin(position)
        if state.average is not None:
            state.average.begin(position)
        self._statistics.begin()

    def _position(self, progress: float) -> Position:
        drawn = self.state.drawn
        return Position(
            images=drawn * self.recipe.train.batch_size,
            epochs=drawn / self.batches.per_epoch,
            iterations=self.state.iteration,
            progress=progress,
        )

    def compute(self, batches: Iterator[Batch]) -> Layout:
        """Update the networks and the moving average; return which scalars have been added to the statistics."""
        place = Iteration(self.phase, self._progress, self._one_pass)
        run_iteration(self._loss, self.state, batches, place, self._autocast, self._statistics.add, self._ranks)
        if self.state.average is not None:
            self.state.average.update()
        return self._statistics.close()

    def abandon(self) -> None:
        """Forget the gradients of an iteration that has not come to its end."""
        for optimizer in self.state.optimizers.values():
            optimizer.forget_gradients()

    def told(self) -> dict[str, Tensor]:
        """Return what `begin` writes and a loss may read, by name."""
        return {PROGRESS: self._progress}

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that an iteration changes, by name."""
        buffers = {
            f"networks/{network}/{name}": buffer
            for network, module in self.state.networks.items()
            for name, buffer in module.named_buffers()
        }
        return dict(self.state.tensors()) | buffers | dict(self._statistics.tensors())


def _seed_layers(seed: int, iteration: int, rank: int, device: torch.device) -> None:
    """Seed torch's default generators for one iteration, each rank's with its own seed."""
    value = stream_seed(seed, Stream.LAYERS, iteration, rank)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index].manual_seed(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)


def updates_of(
    loss: Loss, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
) -> Iterator[Update]:
    """Call `loss.updates`. Raise `PluginError` with the place where it does not yield."""
    updates = loss.updates(networks, batches, iteration)
    if not isinstance(updates, Iterator):
        what = "None, for it has no yield" if updates is None else with_article(type(updates).__name__)
        raise PluginError(
            f"{registry.title(loss)}: updates() returns {what}: yield each Update by itself, for the host steps the "
            f"optimizer between two of them{line_of(type(loss).updates)}"
        )
    return updates


def refuse_no_update(loss: Loss, update: object, updates: Iterator[Update]) -> None:
    """Raise `PluginError` with the place where `update`, the last of `updates`, is none."""
    if not isinstance(update, Update):
        raise PluginError(
            f"{registry.title(loss)} yields {with_article(type(update).__name__)}: write yield Update(network, loss) "
            f"or Update(network, loss, stats){line_of(updates)}"
        )
    if not isinstance(update.loss, Tensor):
        raise PluginError(
            f"{registry.title(loss)} yields an Update whose loss is {with_article(type(update.loss).__name__)}: it "
            f"must be a tensor of one number{line_of(updates)}"
        )


def run_iteration(
    loss: Loss,
    state: State,
    batches: Iterator[Batch],
    iteration: Iteration,
    autocast: Autocast,
    observe: Callable[[Update, Tensor], None],
    ranks: Ranks,
) -> None:
    """Run the updates of one iteration in the order in which the loss yields them.

    `observe` gets each update and the norm of its gradient.
    """
    updates = updates_of(loss, state.seen_by_loss, batches, iteration)
    while True:
        # Entered anew for every update: autocast keeps the half-precision copies of the weights it has seen,
        # and a later update must not see the weights from before the step.
        with autocast():
            before = _modes()
            update = next(updates, _END)
            after = _modes()
        if before != after:
            _leave(before)
            raise PluginError(
                f"{registry.title(loss)} changed torch's grad or autocast mode across a yield ({before} became "
                f"{after}); close `with torch.no_grad()` and the like before each yield{line_of(updates)}"
            )
        if update is _END:
            break
        refuse_no_update(loss, update, updates)
        observe(update, _step(loss, state, update, updates, ranks))
        state.brought.adapt(update)
    state.brought.agree(ranks)


def _step(loss: Loss, state: State, update: Update, updates: Iterator[Update], ranks: Ranks) -> Tensor:
    """Differentiate the update's loss for its networks' weights alone, step their optimizers, return the norm."""
    names = networks_of(update)
    _check(loss, state, update, names, updates)
    optimizers = [state.optimizers[name] for name in names]
    # Only these: the weight gradients of the other networks would be computed and thrown away.
    parameters: list[Tensor] = [p for optimizer in optimizers for p in optimizer.parameters]
    scale = state.loss_scale
    torch.autograd.backward(update.loss if scale is None else scale.scaled(update.loss), inputs=parameters)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        raise PluginError(
            f"{registry.title(loss)} yields a loss for {', '.join(names)} that depends on none of its weights"
            f"{line_of(updates)}"
        )
    ranks.average(gradients)
    if scale is not None:
        scale.unscale(gradients)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if scale is not None:
        scale.follow(gradients, norm)
    for optimizer in optimizers:
        optimizer.step()
    return norm


class _Modes(NamedTuple):
    """The modes of torch that a loss must leave as it found them."""

    grad: bool
    autocast: bool
    inference: bool


def _check(loss: Loss, state: State, update: Update, names: tuple[str, ...], updates: Iterator[Update]) -> None:
    if unknown := [name for name in names if name not in state.optimizers]:
        brought = f" and brings = {loss.brings}" if loss.brings else ""
        weightless = [name for name in unknown if name in (*loss.networks, *state.brought.modules)]
        if weightless:
            raise PluginError(
                f"{registry.title(loss)} updates {weightless}, which has no weights that can be trained"
                f"{line_of(updates)}"
            )
        raise PluginError(
            f"{registry.title(loss)} updates {unknown}, but states networks = {loss.networks}{brought}"
            f"{line_of(updates)}"
        )
    if update.loss.numel() != 1:
        raise PluginError(
            f"{registry.title(loss)} yields a loss of shape {tuple(update.loss.shape)}; it must be one number"
            f"{line_of(updates)}"
        )
    if not update.loss.requires_grad:
        raise PluginError(
            f"{registry.title(loss)} yields a loss for {', '.join(names)} that depends on no trainable weight"
            f"{line_of(updates)}"
        )


def _modes() -> _Modes:
    autocast = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
    return _Modes(torch.is_grad_enabled(), autocast, torch.is_inference_mode_enabled())


def _leave(modes: _Modes) -> None:
    torch.set_grad_enabled(modes.grad)
