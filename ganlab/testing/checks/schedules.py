"""Whether a component computes with numbers that change: the check that several kinds have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from ganlab.testing.subject import C, ContractError, Subject
from ganlab.training.operators import Operators, difference

CPU = torch.device("cpu")


def follow(subject: Subject[C], compute: Callable[[Subject[C]], Sequence[Tensor]]) -> str | None:
    """Give each number that may have a schedule one that stays at it: `compute` must come to the same."""
    variants = list(_scheduled(subject))
    if not variants:
        return None
    expected, reads = _watched(subject, compute)
    advice = None
    for name, variant in variants:
        try:
            found, still_reads = _watched(variant, compute)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ContractError(
                f"where the recipe has a schedule for {name}, self.{name} is a scalar tensor, and it cannot compute "
                f"with that: {' '.join(str(error).split())[:200]}; use operators that take a float and a tensor"
            ) from error
        if not all(
            torch.allclose(one, other, rtol=1e-2, atol=1e-4) for one, other in zip(expected, found, strict=True)
        ):
            raise ContractError(
                f"with a schedule for {name} that stays at its number it computes something else than with the number: "
                f"take self.{name} as it is, a float or a scalar tensor"
            )
        if still_reads and not reads:
            advice = f"with a schedule for {name}, on CUDA it will be computed eagerly, which is slower: {still_reads}"
    return advice


def _watched(subject: Subject[C], compute: Callable[[Subject[C]], Sequence[Tensor]]) -> tuple[list[Tensor], str | None]:
    """Return what is computed, and which operator has waited for the device, if one has."""
    with Operators(CPU, ()) as operators:
        values = [value.detach().double().clone() for value in compute(subject)]
    return values, difference([operators.work()])


def _scheduled(subject: Subject[C]) -> Iterator[tuple[str, Subject[C]]]:
    """Yield the subject with one number at a time given as a schedule, where the option takes one."""
    for name, value in dict(subject.make()).items():
        for given in _with_schedules(value):
            table = {**subject.options, name: given}
            try:
                subject.cls.model_validate_json(json.dumps(table, default=str))
            except ValidationError:
                continue
            yield name, Subject(subject.kind, subject.cls, table, subject.images, subject.loss, subject.model)


def _with_schedules(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            for given in _with_schedules(item):
                yield [*value[:index], given, *value[index + 1 :]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield {"from": value, "to": value, "iterations": 1}
