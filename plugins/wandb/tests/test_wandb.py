"""What Weights & Biases' own file of an offline run holds, of runs that were continued or not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ganlab_wandb import WandB
from PIL import Image
from wandb.proto import wandb_internal_pb2

import ganlab
from ganlab import ImageSpec, RunInfo, Scores, Tick
from ganlab.testing import contract, isolated, tiny_recipe


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"wandb": WandB}):
        yield


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def recipe(iterations: int = 8, **options: Any) -> dict[str, Any]:
    return tiny_recipe(
        {
            "train": {"iterations": iterations, "tick_seconds": 1e-6},
            "snapshot": {"every_iterations": 4},
            "observers": {"plot": False, "gif": False, "wandb": options or True},
        }
    )


Record = wandb_internal_pb2.__dict__["Record"]
BLOCK, HEADER = 32768, 7
LAST = "exit"
"""The record with which a file ends."""


def stored(data: bytes) -> Iterator[bytes]:
    """Yield the records of W&B's file: LevelDB's log, whose blocks hold whole records and parts of longer ones."""
    assert data[:4] == b":W&B"
    place, parts = HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK  # the rest of the block is too short for a header
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        parts += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # a whole one, or the last part
            yield parts
            parts = b""


def records(run: Path) -> list[Any]:
    """Return the records of all of a run's offline files, in the order in which they were begun."""
    found: list[Any] = []
    for path in sorted(run.glob("wandb/offline-run-*/run-*.wandb")):
        while True:  # W&B's own process writes the last of it after the run has ended here
            kept = list(map(Record.FromString, stored(path.read_bytes())))
            if kept and kept[-1].WhichOneof("record_type") == LAST:
                break
            time.sleep(0.1)
        found += kept
    return found


def history(run: Path) -> list[dict[str, Any]]:
    rows = []
    for record in records(run):
        if record.WhichOneof("record_type") == "history":
            items = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            rows.append(items)
    return rows


def test_everything_that_a_run_tells_is_kept_over_its_iterations(tmp_path: Path) -> None:
    ganlab.train(recipe(), out=tmp_path / "run")
    rows = history(tmp_path / "run")
    ticks = {row["iteration"]: row for row in rows if "loss_generator" in row}
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(ticks)
    for line in lines:
        assert ticks[line["iteration"]]["D(x)"] == pytest.approx(line["D(x)"])
    grids = [row["iteration"] for row in rows if "samples/_type" in row]
    assert grids == [0, 4, 8]
    (config,) = [record.run for record in records(tmp_path / "run") if record.WhichOneof("record_type") == "run"]
    names = {item.key for item in config.config.update}
    assert {"model", "loss", "train"} <= names
    assert config.project == "ganlab"
    pictures = sorted((tmp_path / "run").rglob("media/images/samples_*.png"))
    assert len(pictures) == 3
    newest = np.asarray(Image.open(tmp_path / "run/samples/00000008.png").convert("RGB"))
    assert any((np.asarray(Image.open(path).convert("RGB")) == newest).all() for path in pictures)


def test_a_run_that_goes_on_is_the_same_run(tmp_path: Path) -> None:
    ganlab.train(recipe(4), out=tmp_path / "run")
    ganlab.train(recipe(8), out=tmp_path / "run")
    runs = [record.run for record in records(tmp_path / "run") if record.WhichOneof("record_type") == "run"]
    assert len(runs) == 2
    assert {run.run_id for run in runs} == {(tmp_path / "run/wandb/id").read_text().strip()}
    rows = history(tmp_path / "run")
    assert sum("reals/_type" in row for row in rows) == 1
    assert [row["iteration"] for row in rows if "loss_generator" in row][-1] == 8


def test_a_statistic_may_have_the_name_of_a_counter_and_scores_have_theirs(tmp_path: Path) -> None:
    observer = WandB(samples=False)
    run = RunInfo("toy", tmp_path, {"seed": 0}, ImageSpec(1, 8, 8), 20, {}, "cpu", "fp32", 0)
    observer.run_start(run, np.zeros((4, 8, 8, 1), np.uint8))
    observer.tick(Tick(3, 24, 0.5, 0.1, 1.0, 1.0, 1.0, {"epoch": 7.0, "iteration": 9.0}))
    observer.scored(Scores(3, 24, 0.5, {"kid": 0.25}, {}, best=False))
    observer.run_end("finished")
    tick, scores = history(tmp_path)
    assert (tick["epoch"], tick["stat_epoch"], tick["iteration"], tick["stat_iteration"]) == (0.5, 7.0, 3, 9.0)
    assert scores["score/kid"] == 0.25


test_contract = contract(WandB, options={"mode": "offline"})
