"""Schedules as tables of a recipe: told from other tables, merged, and put into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard, cast

from ganlab.interfaces import Options, Position, Schedule

UNITS = Position._fields


def is_schedule(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Tell whether a value is the table of a schedule, or the part of one that an upper layer changes."""
    return isinstance(value, Mapping) and not {"from", "to"}.isdisjoint(value)


def number_at(value: object, position: Position) -> float:
    """Return what a number is at a place of the training, where it may have a schedule."""
    return value.at(position) if isinstance(value, Schedule) else float(cast("float", value))


def in_order(value: Any) -> Any:
    """Return a value with the keys of its schedules as a recipe has them; a manifest sorts them."""
    if isinstance(value, list):
        return [in_order(item) for item in value]
    if not is_schedule(value):
        return value
    keys = [field.alias or name for name, field in Schedule.model_fields.items()]
    return {key: value[key] for key in sorted(value, key=lambda key: keys.index(key) if key in keys else len(keys))}


def lasts_longer(before: Any, after: Any) -> bool:
    """Tell whether values differ in that schedules among them take more time, and in nothing else."""
    if isinstance(before, list) and isinstance(after, list):
        pairs = list(zip(before, after, strict=False))
        return len(before) == len(after) and all(one == other or lasts_longer(one, other) for one, other in pairs)
    if not (is_schedule(before) and is_schedule(after) and before.keys() == after.keys()) or "progress" in before:
        return False  # one that goes with the progress is longer by itself
    times = ["after", *(unit for unit in UNITS if unit in before)]
    return all(before[key] <= after[key] if key in times else before[key] == after[key] for key in before)


def merged_schedule(before: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schedule with what an upper layer says of it: a whole one replaces it, and one length the other."""
    if {"from", "to"} <= change.keys():
        return dict(change)
    replaced = set(UNITS) if not change.keys().isdisjoint(UNITS) else set()
    return {key: value for key, value in before.items() if key not in replaced} | dict(change)


def schedules_of(component: Options) -> Iterator[tuple[str, Schedule[Any]]]:
    """Yield the schedules among a component's options, with what each is called there, such as `lr` or `betas[1]`."""
    for name, value in component:
        yield from _schedules(value, name)


def _schedules(value: Any, name: str) -> Iterator[tuple[str, Schedule[Any]]]:
    if isinstance(value, Schedule):
        yield name, value
    elif isinstance(value, Options):
        for inner, item in value:
            yield from _schedules(item, f"{name}.{inner}")
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _schedules(item, f"{name}[{index}]")
