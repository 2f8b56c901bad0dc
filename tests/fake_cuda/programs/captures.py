"""What captured iterations ask of a GPU: of DCGAN at full width, and of every plugin, narrow."""

from __future__ import annotations

from typing import Any, NamedTuple

import ours
from ours import Setting

from fake_cuda.device import Action, Ledger, begin_ledger, by_kind, ledger
from fake_cuda.training import NEVER, add_plugins, blank, narrowed, plugin_recipes, prepare, train
from ganlab.data.packing import Packed
from ganlab.recipe.recipe import Recipe
from ganlab.registry import registry
from ganlab.registry.kinds import Kind
from ganlab.training.cuda_graphs import PROBES, PROOFS

BEFORE = 1 + PROBES + PROOFS
"""Iterations of a phase until it is replayed."""
WINDOW = 8
"""Replayed iterations of each phase that are looked at."""
PLENTY = 200
"""Batches in an epoch: so many that none begins while replays are looked at."""
KINDS_OF_WORK: tuple[Kind, ...] = ("model", "loss", "augmentation")
"""Kinds of components that run in an iteration."""


class Case(NamedTuple):
    """What a recipe's iterations were."""

    notes: list[str]
    period: int
    eager: dict[str, float]
    """What an eager iteration asks for, by kind."""
    graphs: list[list[Action]]
    """Their nodes."""
    replayed: dict[str, float]
    """What a replayed iteration asks for, by kind, beside the nodes of its graph."""
    refused: list[Action]
    """What has broken a capture."""


def _case(recipe: Recipe, packed: Packed) -> Case:
    period = recipe.loss.period
    # The first iteration of a phase makes what lasts; the probes but for the last, which is recorded, only compute.
    begin_eager, end_eager = period, PROBES * period
    begin_replays, end_replays = BEFORE * period, (BEFORE + WINDOW) * period
    ledgers: dict[int, Ledger] = {}

    def told(iterations: int) -> None:
        if iterations in (begin_eager, begin_replays):
            ledgers[iterations] = ledger()
            begin_ledger()
        if iterations in (end_eager, end_replays):
            ledgers[iterations] = ledger()

    trained = train(recipe, packed, end_replays, told)
    eager = by_kind(ledgers[end_eager].done)
    replayed = by_kind(ledgers[end_replays].done)
    return Case(
        trained.notes,
        period,
        {kind: number / (end_eager - begin_eager) for kind, number in eager.items()},
        ledgers[begin_replays].graphs,
        {kind: number / (end_replays - begin_replays) for kind, number in replayed.items()},
        ledgers[begin_replays].refused,
    )


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "steady": {"moving_average": {"warm_up": False}},
    "demanding": {
        "model": {"generator_dropout": 0.3, "discriminator_dropout": 0.2},
        "dataset": {"flip": True},
        "loss": {"discriminator_steps": 2, "real_label": 0.9},
        "optimizer": {"lr": {"from": 2e-4, "to": 0.0, "after": 0.3, "progress": 0.7}},
    },
    "hidden": {"model": {"discriminator_channels": 32, "head_channels": 256}},
    "fp32": {"train": {"precision": "fp32"}},
    "fp16": {"train": {"precision": "fp16"}},
    "deterministic": {"train": {"precision": "fp32", "deterministic": True}},
}
"""What DCGAN's recipe may ask for; in bfloat16 where nothing is said."""


def dcgan() -> dict[str, Case]:
    """Return DCGAN's iterations, 64 channels wide, 128 pictures at a time, by variant and resolution."""
    prepare()
    found = {}
    for resolution in (64, 32):
        for name, tables in VARIANTS.items():
            setting = Setting(resolution, 3, 128, 64, "cuda")
            recipe = ours.recipe(setting, tables, tick_seconds=NEVER)
            found[f"{name} {resolution}"] = _case(recipe, blank(recipe, 128 * 2 * (BEFORE + WINDOW)))
    return found


class Plugins(NamedTuple):
    """The recipes of the plugins in this checkout."""

    cases: dict[str, Case]
    """By the recipe's name."""
    left: list[str]
    """What the plugins and ganlab offer that is in none of the cases: kind and name."""


def plugins() -> Plugins:
    """Return the iterations of the plugins' recipes, narrow; of recipes with the same components one will do."""
    prepare()
    add_plugins()
    seen: dict[tuple[str, ...], Recipe] = {}
    cases = {}
    for name, tables in plugin_recipes().items():
        recipe = narrowed(tables)
        components = tuple(f"{kind} {recipe.table[kind]['name']}" for kind in KINDS_OF_WORK if kind in recipe.table)
        if seen.setdefault(components, recipe) is recipe:
            cases[name] = _case(recipe, blank(recipe, 8 * PLENTY))
    loss = {"name": "logistic", "r1": 1.0, "penalty_every": 4}
    lazy = narrowed({**plugin_recipes()["logistic_fashion_mnist"], "loss": loss})
    cases["logistic, every fourth"] = _case(lazy, blank(lazy, 8 * PLENTY))
    used = {component for components in seen for component in components}
    offered = [f"{kind} {name}" for kind in KINDS_OF_WORK for name in registry.names(kind)]
    return Plugins(cases, [component for component in offered if component not in used])
