"""What a training takes, found on torch's meta device, whose tensors have a shape and a type, and no numbers.

Networks of any size are built there in a moment and in no memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ganlab.data.inputs import declared_inputs
from ganlab.interfaces import Batch, ImageSpec, Iteration, Model
from ganlab.messages import in_words, told
from ganlab.training.iteration import refuse_no_update, updates_of
from ganlab.training.state import State, build_networks, build_state
from ganlab.training.statistics import networks_of

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe

META = torch.device("meta")
Note = Callable[[str], None]


class Rehearsal(NamedTuple):
    """What one iteration was seen to do."""

    batches: int
    """Batches that it drew."""
    activations_bytes: int
    """The most that its gradients needed at one time beside the weights, in float32."""


def state_without_numbers(recipe: Recipe, images: ImageSpec, note: Note) -> State:
    """Return the state of a run, on the meta device. Raise what building the networks raises.

    What cannot be built there, because it looks at its numbers, is built on the CPU, and `note` learns it.
    """
    try:
        with META:
            return build_state(recipe, images, META)
    # A stranger's code, and whatever torch cannot do without numbers: whose fault it was shows when it is built.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        cause = told(error)
    state = build_state(recipe, images, META)
    names = [f'{kind} "{recipe.table[kind]["name"]}"' for kind in ("model", *dict.fromkeys(recipe.brought.values()))]
    note(f"{in_words(names, 'or')} cannot be built without numbers ({cause}); it was built as a run builds it")
    return state


def rehearse(recipe: Recipe, state: State, images: ImageSpec) -> Rehearsal:
    """Run the loss once through its first iteration, without numbers and optimizer steps.

    Raise what a network or a loss raises that cannot do without numbers, or cannot do at all.
    """
    size, drawn, kept = recipe.train.batch_size, 0, _Kept(state)

    def batches() -> Iterator[Batch]:
        nonlocal drawn
        while True:
            drawn += 1
            real = torch.empty(size, *images[:3], device=META).contiguous(memory_format=torch.channels_last)
            labels = (torch.empty(size, dtype=torch.int64, device=META),) if recipe.model.conditional else ()
            yield Batch(real, _inputs(recipe.model, images, size), labels)

    loss = state.schedules.live(recipe.loss)
    with META, torch.autograd.graph.saved_tensors_hooks(kept.keep, _Saved.tensor):
        place = Iteration(0, torch.zeros((), device=META))
        updates = updates_of(loss, state.seen_by_loss, batches(), place)
        for update in updates:
            refuse_no_update(loss, update, updates)
            optimizers = [state.optimizers[name] for name in networks_of(update)]
            parameters: list[Tensor] = [weight for optimizer in optimizers for weight in optimizer.parameters]
            torch.autograd.backward(update.loss, inputs=parameters)
            for optimizer in optimizers:
                optimizer.forget_gradients()
    return Rehearsal(drawn, kept.most_bytes)


@torch.no_grad()
def generated(recipe: Recipe, state: State, images: ImageSpec) -> tuple[int, ...]:
    """Return the shape of what the generator makes of a batch of inputs. Raise as `rehearse` does."""
    with META:
        inputs = _inputs(recipe.model, images, recipe.train.batch_size)
        made: Tensor = state.networks["generator"](*inputs.values())
    return tuple(made.shape)


def trainable(networks: Mapping[str, nn.Module]) -> int:
    """Return the number of trainable numbers of all networks together; what they share is counted once."""
    weights = {weight for network in networks.values() for weight in network.parameters() if weight.requires_grad}
    return sum(weight.numel() for weight in weights)


def lighter(model: Model, images: ImageSpec, most: int) -> tuple[str, int, int] | None:
    """Return an option of `model`, its value, and how many parameters the networks then have: at most `most`.

    Whole numbers are halved, each by itself; of those that help, the one that needs the fewest halvings is returned.
    """
    found = []
    for option, value in dict(model).items():
        if type(value) is not int:
            continue
        for halvings in range(1, value.bit_length()):
            total = _parameters(model, {option: value >> halvings}, images)
            if total is not None and total <= most:
                found.append((halvings, option, value >> halvings, total))
                break
    return min(found)[1:] if found else None


def _parameters(model: Model, changes: dict[str, int], images: ImageSpec) -> int | None:
    """Return how many parameters the networks have with other options, None where they cannot be built."""
    try:
        changed = type(model)(**(dict(model) | changes))
        changed.check(images)
        with META:
            return trainable(build_networks(changed, images))
    except ValidationError:
        return None
    # A stranger's code: this is but advice.
    except (Exception, SystemExit):  # noqa: BLE001
        return None


def _inputs(model: Model, images: ImageSpec, size: int) -> dict[str, Tensor]:
    return {
        name: torch.empty(size, *kind.shape, dtype=torch.float32 if kind.shape else torch.int64, device=META)
        for name, kind in declared_inputs(model, images).items()
    }


class _Kept:
    """Counts the memory of what autograd keeps for gradients, each piece once, however many operations keep it."""

    def __init__(self, state: State) -> None:
        self.most_bytes = self._bytes = 0
        self.owners: Counter[int] = Counter()
        # They are there anyway. Held here, so that no other tensor gets their places.
        self._state = [tensor.untyped_storage() for _, tensor in state.tensors()]
        self._free = {storage._cdata for storage in self._state}

    def keep(self, tensor: Tensor) -> _Saved:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._free:
            self.owners[storage._cdata] += 1
            if self.owners[storage._cdata] == 1:
                self._bytes += storage.nbytes()
                self.most_bytes = max(self.most_bytes, self._bytes)
        return _Saved(self, tensor)

    def release(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._free:
            self.owners[storage._cdata] -= 1
            if self.owners[storage._cdata] == 0:
                self._bytes -= storage.nbytes()


class _Saved:
    """A tensor that an operation keeps until its gradient has been computed."""

    def __init__(self, kept: _Kept, tensor: Tensor) -> None:
        self._kept, self._tensor = kept, tensor

    def tensor(self) -> Tensor:
        return self._tensor

    def __del__(self) -> None:
        self._kept.release(self._tensor)
