"""X1 and X2: the same recipe gives the same files, in any process and folder, whatever watches it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toys import tiny

import ganlab
from durable.conftest import Scale, Tally
from durable.parts import HARD
from durable.runs import digest, end
from ganlab import Observer, Snapshot, Tick, hookimpl
from ganlab.registry import registry

OF_THE_CLOCK = {"lock", "run.json", "log.txt", "metrics.jsonl", "losses.png", "report.html"}
"""What tells of the time, or is drawn at moments that the clock chooses."""

RECIPES: dict[str, dict[str, Any]] = {
    "hard": tiny(**HARD),
    "plain": tiny(
        model={"latent": "uniform", "generator_dropout": 0.1},
        dataset={"channels": 3, "resolution": 16},
        moving_average={"enabled": False},
        seed=7,
    ),
    "pictures": tiny(
        dataset={"name": "fashion_mnist", "split": "shipped", "resolution": 32},
        train={"iterations": 4, "batch_size": 16},
    ),
}

TRAINER = """\
import json, sys, torch
from durable.parts import register
import ganlab
torch.set_num_threads(1)
register()
for name, table in json.loads(sys.argv[1]).items():
    ganlab.train(table, out=name)
"""


def files(run: Path) -> dict[str, str]:
    return {
        str(file.relative_to(run)): digest(file)
        for file in run.rglob("*")
        if file.is_file() and file.name not in OF_THE_CLOCK
    }


def test_x1_the_same_recipe_gives_the_same_files_in_every_process(tmp_path: Path, scale: Scale, tally: Tally) -> None:
    seeds = ["0", "1", "random", "random", "4294967295"][: scale(2, 3, 5)]
    found: list[dict[str, dict[str, str]]] = []
    for number, seed in enumerate(seeds):
        place = tmp_path / f"{number}" / ("deep/" * number)
        place.mkdir(parents=True)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONHASHSEED": seed,
            "GANLAB_CACHE": str(tmp_path / f"{number}" / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        subprocess.run([sys.executable, "-c", TRAINER, json.dumps(RECIPES)], cwd=place, env=environment, check=True)
        found.append({name: files(place / name) for name in RECIPES})
    for name in RECIPES:
        assert len(found[0][name]) > 10
        for other in found[1:]:
            assert other[name] == found[0][name]
    tally("runs compared file by file", len(RECIPES) * len(seeds))


class Meddler(Observer):
    """Does to a run whatever an observer might."""

    api = 1

    @hookimpl
    def tick(self, tick: Tick) -> None:
        self._meddle(tick.iteration)

    @hookimpl
    def snapshot(self, snapshot: Snapshot) -> None:
        self._meddle(1000 + snapshot.iteration)
        snapshot.samples[:] = 0

    def _meddle(self, seed: int) -> None:
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        torch.rand(seed % 7 + 1)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.set_autocast_enabled("cpu", True)


@pytest.fixture
def _meddler() -> Iterator[None]:
    registry.add("observer", "meddler", Meddler)
    yield
    registry.remove("observer", "meddler")


NOBODY = dict.fromkeys(("terminal", "metrics", "log", "samples", "plot", "gif"), False)
WATCHED: dict[str, dict[str, Any]] = {
    "nobody": {"observers": NOBODY},
    "a meddler": {"observers": {"meddler": {}}},
    "seldom": {"train": {"tick_seconds": 1000.0}},
    "all the time": {"train": {"tick_seconds": 1e-9}},
    "many snapshots": {"snapshot": {"every_iterations": 1, "samples": 9, "keep": 5}},
}


@pytest.mark.usefixtures("_meddler")
def test_x2_what_watches_a_run_does_not_change_it(tally: Tally) -> None:
    def ending(directory: Path) -> tuple[str, dict[str, list[float]]]:
        # The generator's file also tells of which recipe it is; the numbers in it must be the same.
        weights = load_file(directory / "generator.safetensors")
        return end(directory)[0], {name: weight.flatten().tolist() for name, weight in weights.items()}

    expected = ending(ganlab.train(tiny(**HARD), out="usual").directory)
    for name, tables in WATCHED.items():
        merged = {key: {**HARD.get(key, {}), **tables.get(key, {})} for key in HARD.keys() | tables.keys()}
        assert ending(ganlab.train(tiny(**merged), out=name).directory) == expected, name
    tally("ways to watch a run", len(WATCHED))
