"""Whether iterations do the same work on other numbers, so that one of them can be recorded and stand for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganlab.training.statistics import Layout

if TYPE_CHECKING:
    from ganlab.data.batches import Batches
    from ganlab.interfaces import Batch

READS = frozenset({"aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero"})
"""Operators for which the host waits, to decide something by what it reads."""


_VALUES = (bool, int, float, complex, str, torch.dtype, torch.device, torch.layout, torch.memory_format)
"""Arguments that are what they say; others, such as random generators, are known by their type only."""


class Call(NamedTuple):
    """One call of an operator: its name, and everything about its arguments but the numbers on the device."""

    operator: str
    arguments: tuple[object, ...]


class Work(NamedTuple):
    """What an iteration has done."""

    calls: tuple[Call, ...]
    draws: int
    """Batches drawn."""
    layout: Layout
    """Scalars reported."""

    def uses(self, name: str) -> bool:
        """Tell whether an operator has worked on the lasting tensor of this name."""
        arguments = (argument for call in self.calls for argument in call.arguments)
        return any(isinstance(argument, tuple) and argument[0] == name for argument in arguments)


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]  # so in torch
    """Records the operators that run within it, backward passes included."""

    def __init__(self, device: torch.device, lasting: Iterable[tuple[str, Tensor]]) -> None:
        """`lasting` are tensors that outlive an iteration: which of them an operator works on matters too."""
        super().__init__()  # type: ignore[no-untyped-call]  # so in torch
        self._calls: list[Call] = []
        self._draws = 0
        self._resting = False
        self._device = device
        self._names = {tensor.data_ptr(): name for name, tensor in lasting if tensor.numel()}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch that its compiler need not be imported, for a second, to be kept out of this class."""
        return False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self._resting:
            described = tuple(self._described(argument) for argument in tree_leaves((args, kwargs)))
            self._calls.append(Call(function.name(), described))
        return function(*args, **(kwargs or {}))

    def batches(self, source: Batches) -> Iterator[Batch]:
        """Yield batches. What the device makes of the host's choices is recorded, and not how they are made."""
        while True:
            self._resting = True
            draw = source.draw()
            self._resting = False
            self._draws += 1
            yield source.made_of(draw)

    def work(self, layout: Layout = ()) -> Work:
        """Return what has been done within it."""
        return Work(tuple(self._calls), self._draws, layout)

    def _described(self, argument: object) -> object:
        if not isinstance(argument, Tensor):
            return repr(argument) if isinstance(argument, _VALUES) else type(argument)
        if argument.device.type == "cpu" != self._device.type and argument.dim() == 0:
            return repr(argument.item())  # an operator of another device takes it as a number
        name = self._names.get(argument.data_ptr(), "")
        return (name, argument.device, argument.dtype, tuple(argument.shape), argument.stride())


def difference(works: Sequence[Work]) -> str | None:
    """Return in what iterations differ, so that none of them can stand for the others; None where in nothing."""
    first = works[0]
    for call in first.calls:
        name = call.operator.partition(".")[0]
        if name in READS:
            return f"the host reads the device within an iteration ({name.removeprefix('aten::')})"
    for work in works[1:]:
        if work.draws != first.draws:
            return f"iterations draw different numbers of batches ({first.draws}, {work.draws})"
        if work.layout != first.layout:
            return "iterations report different statistics"
        for index, (one, other) in enumerate(zip(first.calls, work.calls, strict=False)):
            if one.operator != other.operator:
                return f"iterations run different operators (no. {index + 1} is {one.operator}, then {other.operator})"
            if one.arguments != other.arguments:
                what = next(f"{a} and then {b}" for a, b in zip(one.arguments, other.arguments, strict=False) if a != b)
                return f"iterations give {one.operator} different arguments ({what})"
        if len(work.calls) != len(first.calls):
            return f"iterations run different numbers of operators ({len(first.calls)}, {len(work.calls)})"
    return None
