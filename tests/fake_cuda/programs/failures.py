"""Losses that do what a capture forbids, each in another way; and the random numbers of replays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fake_cuda.device import Action, begin_ledger, by_kind, ledger
from fake_cuda.training import Trained, blank, endless, prepare, train
from ganlab.interfaces import Update
from ganlab.standard.losses.bce import BCE
from ganlab.training.cuda_graphs import PROBES, PROOFS, CudaGraph
from ganlab.training.iteration import WholeIteration

ITERATIONS = 1 + PROBES + PROOFS + 4


def _waits_for_event() -> None:
    done = torch.cuda.Event()
    done.record()
    done.synchronize()


def _lets_stream_wait() -> None:
    done = torch.cuda.Event()
    with torch.cuda.stream(torch.cuda.Stream()):
        done.record()
    torch.cuda.current_stream().wait_event(done)


def _forks(joins: bool) -> None:
    elsewhere = torch.cuda.Stream()
    elsewhere.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(elsewhere):
        torch.ones(8, device="cuda")
    if joins:
        torch.cuda.current_stream().wait_stream(elsewhere)


def _raises() -> None:
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError("not while it is captured")


WAYS: dict[str, Callable[[Tensor], object]] = {
    "does nothing": lambda _: None,
    "copies from pinned memory": lambda _: PINNED[0].to("cuda", non_blocking=True),
    "forks and joins": lambda _: _forks(joins=True),
    "forks": lambda _: _forks(joins=False),
    "reads": lambda loss: loss.item(),
    "waits for the stream": lambda _: torch.cuda.current_stream().synchronize(),
    "waits for the device": lambda _: torch.cuda.synchronize(),
    "waits for an event": lambda _: _waits_for_event(),
    "waits for another stream": lambda _: _lets_stream_wait(),
    "copies to the host": lambda loss: loss.cpu(),
    "copies from pageable memory": lambda _: torch.ones(8).to("cuda"),
    "raises": lambda _: _raises(),
}
"""What a loss does in the middle of an iteration."""
PINNED: list[Tensor] = []


class Failure(NamedTuple):
    """What came of a loss that does such a thing."""

    trained: Trained
    refused: list[Action]
    """What has broken the capture."""
    replays: int


def captures(dropout: str) -> dict[str, Failure]:
    """Return how each way ends in networks with dropout, which a broken capture must not keep from drawing."""
    prepare()
    PINNED.append(torch.ones(8).pin_memory())
    model = {"generator_dropout": float(dropout), "discriminator_dropout": float(dropout)}
    recipe = endless(model=model)
    found = {}
    original: Any = BCE._generator_update
    for way, action in WAYS.items():

        def update(self: BCE, *arguments: Any, action: Callable[[Tensor], object] = action) -> Update:
            made: Update = original(self, *arguments)
            action(made.loss.detach())
            return made

        BCE._generator_update = update  # type: ignore[method-assign,assignment]
        begin_ledger()
        trained = train(recipe, blank(recipe, 40), ITERATIONS)
        told = ledger()
        found[way] = Failure(trained, told.refused, by_kind(told.done).get("graph", 0))
    return found


class Place(NamedTuple):
    """Where torch's generator of the device stands."""

    seed: int
    offset: int


class Drawn(NamedTuple):
    """What one computation of an iteration has drawn."""

    replayed: bool
    begin: Place
    end: Place


def random_numbers() -> list[Drawn]:
    """Return what each computation draws, replays and eager ones in the order in which they were computed."""
    prepare()
    found: list[Drawn] = []
    replay, compute = CudaGraph.replay, WholeIteration.compute

    def place() -> Place:
        generator = torch.cuda.default_generators[0]
        return Place(generator.initial_seed() % 10**6, generator.get_offset())

    def watched_replay(self: CudaGraph) -> None:
        begin = place()
        replay(self)
        found.append(Drawn(True, begin, place()))

    def watched_compute(self: WholeIteration, *arguments: Any) -> Any:
        if torch.cuda.is_current_stream_capturing():
            return compute(self, *arguments)
        begin = place()
        result = compute(self, *arguments)
        found.append(Drawn(False, begin, place()))
        return result

    CudaGraph.replay = watched_replay  # type: ignore[method-assign]
    WholeIteration.compute = watched_compute  # type: ignore[method-assign,assignment]
    model = {"generator_dropout": 0.3, "discriminator_dropout": 0.2}
    recipe = endless(model=model, dataset={"flip": True})
    train(recipe, blank(recipe, 40), ITERATIONS)
    return found
