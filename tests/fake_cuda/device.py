"""The fake GPUs as the process sees them that has them: what they were asked for, and how much memory they give."""

from __future__ import annotations

import ctypes
from collections import Counter
from functools import cache
from typing import NamedTuple


class Action(NamedTuple):
    """Something that was asked of a GPU, and how often."""

    kind: str
    """kernel, convolution, product, copy, memset, exchange, graph, event, wait, query or allocation."""
    name: str
    number: int


class Ledger(NamedTuple):
    """What was asked of the GPUs since the ledger was begun."""

    done: list[Action]
    """At once, not as part of a graph."""
    refused: list[Action]
    """What broke a capture."""
    graphs: list[list[Action]]
    """The nodes of each graph that was made."""


def by_kind(actions: list[Action]) -> dict[str, int]:
    """Return how many actions there are of each kind."""
    totals = Counter[str]()
    for action in actions:
        totals[action.kind] += action.number
    return dict(totals)


def begin_ledger() -> None:
    """Forget what was asked of the GPUs so far."""
    _runtime().fake_forget()


def ledger() -> Ledger:
    """Return what was asked of the GPUs since then."""
    text: bytes = _runtime().fake_ledger()
    places: dict[str, list[Action]] = {"done": [], "refused": []}
    for line in text.decode().splitlines():
        place, kind, name, number = line.split("\t")
        places.setdefault(place, []).append(Action(kind, name, int(number)))
    return Ledger(places.pop("done"), places.pop("refused"), list(places.values()))


def limit_memory(size: int, device: int = 0) -> None:
    """Let a device have `size` bytes in all from now on."""
    _runtime().fake_limit(device, ctypes.c_size_t(size))


def memory_used(device: int) -> int:
    """Return how many bytes a device has given out."""
    used: int = _runtime().fake_used(device)
    return used


def has_context(device: int) -> bool:
    """Tell whether anything has worked on a device, which costs a real one some hundred megabytes."""
    return bool(_runtime().fake_has_context(device))


def launch(stream: int, kind: str, name: str) -> None:
    """Launch something that computes nothing."""
    _runtime().fake_launch(ctypes.c_void_p(stream), kind.encode(), name.encode())


@cache
def _runtime() -> ctypes.CDLL:
    runtime = ctypes.CDLL(None)  # preloaded, so its names are the process's
    runtime.fake_ledger.restype = ctypes.c_char_p
    runtime.fake_used.restype = ctypes.c_size_t
    runtime.fake_has_context.restype = ctypes.c_bool
    return runtime
