"""ganlab's own tables: what each option takes, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from ganlab.interfaces import Options
from ganlab.recipe.options import options_of
from ganlab.recipe.settings import MovingAverage, Settings, Snapshots, Train
from ganlab.standard.optimizers.adam import Adam

POSITIVE: tuple[list[Any], list[Any]] = ([1e-300, 1, 1e300], [0, -1, "1", True])
COUNT: tuple[list[Any], list[Any]] = ([1, 2**63 - 1], [0, 1.5, "1", True])
SWITCH: tuple[list[Any], list[Any]] = ([True, False], [0, 1, "true"])
EDGES: dict[type[Options], dict[str, tuple[list[Any], list[Any]]]] = {
    Settings: {
        "seed": ([0, 2**63 - 1], [-1, 1.5, "1", True]),
        "extends": (["base.toml"], [3, ["base.toml"]]),
    },
    Adam: {
        "lr": POSITIVE,
        "betas": ([[0, 0], [0.5, 0.999]], [[0.5], [0.5, 0.9, 0.9], [0.5, 1], [-0.1, 0.9], 0.5]),
        "eps": POSITIVE,
    },
    Train: {
        "batch_size": COUNT,
        "epochs": ([1e-300, 1, 1e9], [0, -1, "1", True, 1.1e9]),
        "iterations": COUNT,
        "init_from": (["runs/faces/0001", "generator.safetensors"], [1, True, []]),
        "init_sha256": (["0" * 64], ["0" * 63, "G" * 64, "", 0]),
        "device": (
            ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:123"],
            ["gpu", "CPU", "cpu:0", "cuda:", "cuda:1234", "cuda:x", " cpu", ""],
        ),
        "precision": (["auto", "fp32", "tf32", "bf16", "fp16"], ["fp8", "", 32]),
        "compile": SWITCH,
        "deterministic": SWITCH,
        "on_nonfinite": (["stop", "rollback"], ["skip", ""]),
        "rank_timeout_seconds": ([1e-300, 1, 1e8], [0, -1, "1", True, 1.1e8]),
        "tick_seconds": POSITIVE,
        "threads": ([1, 4096], [0, 1.5, "1", True, 4097]),
    },
    MovingAverage: {
        "enabled": SWITCH,
        "half_life_images": POSITIVE,
        "warm_up": SWITCH,
        "statistics_batches": ([1, 1000], [0, 1.5, "1", True, 1001]),
    },
    Snapshots: {
        "every_epochs": ([1e-6, 1, 1e9], [0, 9e-7, "1", True, 1.1e9]),
        "every_iterations": COUNT,
        "samples": ([1, 10_000], [0, 1.5, "1", True, 10_001]),
        "keep": ([2, 100], [1, 0, 2.5]),
        "generators": COUNT,
    },
}
"""For each option, values that it takes and values that it refuses."""


def takes(cls: type[Options], name: str, value: Any) -> bool:
    try:
        cls.model_validate_json(json.dumps({name: value}))  # as a recipe is read
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("cls", EDGES)
def test_every_option_has_its_bounds(cls: type[Options]) -> None:
    assert EDGES[cls].keys() == cls.model_fields.keys()
    for name, (good, bad) in EDGES[cls].items():
        assert [value for value in good if not takes(cls, name, value)] == [], name
        assert [value for value in bad if takes(cls, name, value)] == [], name


@pytest.mark.parametrize("cls", EDGES)
def test_every_option_is_documented_and_described(cls: type[Options]) -> None:
    for option in options_of(cls):
        assert option.doc.endswith("."), option.name
        assert option.accepted != "any value", option.name
