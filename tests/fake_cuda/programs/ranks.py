"""A run that torchrun has started, of one process: what it exchanges goes through NCCL all the same."""

from __future__ import annotations

from typing import NamedTuple

from toys import tiny

import ganlab
from fake_cuda.device import Action, begin_ledger, ledger
from fake_cuda.training import ENDLESS, NEVER, prepare

ITERATIONS = 12


class Run(NamedTuple):
    """A whole run."""

    generator: bool
    exchanges: dict[str, int]
    refused: list[Action]


def run() -> Run:
    """Train as rank 0 of 1, with one tick, at the end."""
    prepare()
    begin_ledger()
    train = {"device": "cuda", "iterations": ITERATIONS, "tick_seconds": NEVER}
    trained = ganlab.train(tiny(train=train, snapshot={"every_iterations": ENDLESS}))
    told = ledger()
    exchanges = {action.name: action.number for action in told.done if action.kind == "exchange"}
    return Run(trained.generator.is_file(), exchanges, told.refused)
