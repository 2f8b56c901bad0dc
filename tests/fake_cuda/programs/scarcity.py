"""Runs with ever more memory, from far too little to plenty."""

from __future__ import annotations

import gc
from typing import Literal, NamedTuple

import torch
from toys import tiny

import ganlab
from fake_cuda.device import limit_memory, memory_used
from fake_cuda.training import NEVER, prepare

MEGABYTE = 2**20


class Outcome(NamedTuple):
    """How a run ended, on a GPU with so much memory."""

    megabytes: float
    end: Literal["refused", "eager", "captured"]
    said: str
    """The error's message, or the log's line that says why iterations are computed eagerly."""
    left: int
    """Bytes that the GPU had given out and not got back when all was over."""


def sweep(step: str) -> list[Outcome]:
    """Return how runs end with `step` times as much memory each, up to plenty."""
    prepare()
    recipe = tiny(
        model={"base_channels": 32, "generator_dropout": 0.1},
        dataset={"resolution": 32, "channels": 3, "count": 64},
        # Without ticks, which take memory when their time has come: so that each size ends the same every time.
        train={"device": "cuda", "batch_size": 64, "iterations": 12, "tick_seconds": NEVER},
        moving_average={"statistics_batches": 1},
        snapshot={"every_iterations": 12},
        observers={"log": {}},
    )
    outcomes: list[Outcome] = []
    megabytes = 1.0
    while megabytes < 600:
        outcomes.append(_outcome(recipe, megabytes, f"run-{len(outcomes)}"))
        megabytes *= float(step)
    return outcomes


def _outcome(recipe: dict[str, object], megabytes: float, out: str) -> Outcome:
    limit_memory(int(megabytes * MEGABYTE))
    end: Literal["refused", "eager", "captured"] = "captured"
    said = ""
    try:
        run = ganlab.train(recipe, out=out)
        assert run.generator.is_file()
        eager = [line for line in (run.directory / "log.txt").read_text().splitlines() if "eagerly" in line]
        if eager:
            end, said = "eager", eager[0]
    except ganlab.GanlabError as error:
        end, said = "refused", str(error)
    gc.collect()
    torch.cuda.empty_cache()
    return Outcome(megabytes, end, said, memory_used(0))
