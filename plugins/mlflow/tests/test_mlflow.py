"""What MLflow's own folders and database hold of runs that were continued, rolled back, killed, or none of it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ganlab_mlflow
import numpy as np
import pytest
from ganlab_mlflow import MLflow
from mlflow_folders import (
    FAILED,
    FINISHED,
    KILLED,
    SHEET,
    described,
    info,
    kept_in_files,
    lines,
    metrics,
    pictures,
    stored,
    texts,
    tick,
)
from PIL import Image

import ganlab
from ganlab import Advice, Finding, Scores, Snapshot
from ganlab.testing import contract, isolated, tiny_recipe


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"mlflow": MLflow}):
        yield


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return where MLflow keeps runs, in files, which it only does where it is asked to."""
    monkeypatch.chdir(tmp_path)
    return kept_in_files(monkeypatch, tmp_path)


def recipe(iterations: int = 8, **options: Any) -> dict[str, Any]:
    return tiny_recipe(
        {
            "train": {"iterations": iterations, "tick_seconds": 1e-6},
            "snapshot": {"every_iterations": 4},
            "observers": {"plot": False, "gif": False, "mlflow": options or True},
        }
    )


def flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{key}.")
        else:
            yield path + key, value


CALLED = {"loss_generator": "loss_generator", "D(x)": "D_x", "D(G(z))": "D_G_z", "sign(D(x))": "sign_D_x"}


def test_everything_that_a_run_tells_lies_in_files(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mlflow.py").write_text("raise SystemExit('a file of the user, and not MLflow')")
    ganlab.train(recipe(tags={"team": "fashion"}, generator=True), out=tmp_path / "run")
    run, told = stored(folder), lines(tmp_path / "run")
    about = described(run)
    assert (about["run_name"], about["status"]) == ("recipe run", str(FINISHED))
    assert [line["iteration"] for line in told] == list(range(1, 9))
    found = metrics(run)
    for name, called in CALLED.items():
        assert dict(found[called]) == pytest.approx({line["iteration"]: line[name] for line in told})
    assert {"images", "images_per_second", "epoch"} < found.keys()
    resolved = tomllib.loads((tmp_path / "run/recipe.toml").read_text())
    options = dict(flat({name: table for name, table in resolved.items() if name != "observers"}))
    kept = texts(run / "params")
    assert kept.keys() == options.keys()
    for name, value in options.items():
        assert kept[name] == value if isinstance(value, str) else json.loads(kept[name]) == value
    tags = texts(run / "tags")
    assert (tags["team"], tags["device"], tags["mlflow.source.name"]) == ("fashion", "cpu", "ganlab")
    samples = pictures(run, "samples")
    assert sorted(samples) == [0, 4, 8]
    for iteration, sheet in samples.items():
        assert (sheet == np.asarray(Image.open(tmp_path / f"run/samples/{iteration:08}.png"))).all()
    assert (pictures(run, "reals")[0] == np.asarray(Image.open(tmp_path / "run/reals.png"))).all()
    for name in ("recipe.toml", "generator.safetensors"):
        assert (run / "artifacts" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_a_run_that_goes_on_is_the_same_run(folder: Path, tmp_path: Path) -> None:
    for iterations in (4, 8):
        ganlab.train(recipe(iterations), out=tmp_path / "run")
    run = stored(folder)
    assert run.name == (tmp_path / "run/mlflow/run_id").read_text().strip()
    assert [step for step, _ in metrics(run)["loss_generator"]] == list(range(1, 9))
    assert described(run)["status"] == str(FINISHED)
    assert texts(run / "params")["train.iterations"] == "4"  # MLflow does not let it change
    assert texts(run / "tags")["continued.train.iterations"] == "8"
    assert sorted(pictures(run, "reals")) == [0]
    assert sorted(pictures(run, "samples")) == [0, 4, 8]


def test_mlflow_s_own_default_is_a_database_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    for iterations in (4, 8):
        ganlab.train(recipe(iterations, experiment="clothes", run_name="first", samples=False), out=tmp_path / "run")
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        ((run, name, status),) = database.execute(
            "select run_uuid, runs.name, status from runs join experiments using (experiment_id) "
            "where experiments.name = 'clothes'"
        )
        values = dict(database.execute("select step, value from metrics where key = 'D_G_z' and run_uuid = ?", [run]))
        options = dict(database.execute("select key, value from params where run_uuid = ?", [run]))
        tags = dict(database.execute("select key, value from tags where run_uuid = ?", [run]))
    database.close()
    assert (name, status) == ("first", "FINISHED")
    assert values == {line["iteration"]: pytest.approx(line["D(G(z))"]) for line in lines(tmp_path / "run")}
    assert (options["train.iterations"], tags["continued.train.iterations"]) == ("4", "8")
    assert (tmp_path / f"mlruns/1/{run}/artifacts/recipe.toml").is_file()
    assert not (tmp_path / f"mlruns/1/{run}/artifacts/images").exists()


def test_statistics_scores_and_findings_have_names_of_their_own(folder: Path, tmp_path: Path) -> None:
    observer = MLflow()
    observer.run_start(info(tmp_path, table={"long": "é" * 600, "path": "a/b"}), SHEET)
    taken = {"epoch": 7.0, "score/kid": 8.0, "finding": 9.0}
    observer.tick(tick(3, **taken, **{"D(x)": 1.0, "D_x": 2.0, "../x": 3.0, "nan": float("nan")}))
    observer.snapshot(info(tmp_path), Snapshot(3, 24, 0.5, SHEET, 2))  # of five channels, one is shown
    observer.scored(Scores(3, 24, 0.5, {"kid": 0.25}, {}, best=False))
    ways = (Advice("less of it", "optimizer.lr = 0.1"),)
    observer.finding(Finding("oscillation", 3, 24, 0.5, False, 1, "up and down", "often", {}, ways))
    observer.finding(Finding("oscillation", 5, 40, 0.8, True, 1, "still", "often", {}))
    observer.run_end("failed")
    run = stored(folder)
    found = {name: values for name, values in metrics(run).items() if not name.startswith("images")}
    assert np.isnan(found.pop("nan")[0][1])
    assert found == {
        "epoch": [(3, 0.5)],
        "stat_epoch": [(3, 7.0)],
        "stat_score/kid": [(3, 8.0)],
        "stat_finding": [(3, 9.0)],
        "D_x": [(3, 2.0)],
        "D_x_2": [(3, 1.0)],
        "_x": [(3, 3.0)],
        "score/kid": [(3, 0.25)],
        "finding/oscillation": [(3, 1.0), (5, 0.0)],
    }
    assert texts(run / "tags")["finding.oscillation"] == "iteration 5: oscillation has ended: still"
    assert described(run)["status"] == str(FAILED)
    assert texts(run / "params") == {"seed": "0", "table.long": "é" * 496 + " ...", "table.path": "a/b"}
    assert pictures(run, "samples")[3].shape[:2] == pictures(run, "reals")[0].shape[:2]


def test_an_option_that_is_as_it_was_again_is_not_said_to_differ(folder: Path, tmp_path: Path) -> None:
    for lr in (0.1, 0.2, 0.1):
        observer = MLflow(samples=False)
        observer.run_start(info(tmp_path, lr=lr), SHEET)
        observer.run_end("finished")
        assert texts(stored(folder) / "params")["lr"] == "0.1"
        assert texts(stored(folder) / "tags").get("continued.lr") == ("0.2" if lr == 0.2 else None)


def test_a_run_that_is_rolled_back_without_an_end_goes_on(folder: Path, tmp_path: Path) -> None:
    observer = MLflow(samples=False)
    for first in (0, 2):
        observer.run_start(info(tmp_path, first), SHEET)
        for iteration in range(first + 1, 4):
            observer.tick(tick(iteration, loss=float(first)))
    observer.run_end("interrupted")
    run = stored(folder)
    assert metrics(run)["loss"] == [(1, 0.0), (2, 0.0), (3, 0.0), (3, 2.0)]
    assert described(run)["status"] == str(KILLED)


def test_what_a_killed_run_has_said_arrives(folder: Path, tmp_path: Path) -> None:
    script = f"""
import os, signal, sys
sys.path[:] = {sys.path!r}
from pathlib import Path
from ganlab_mlflow import MLflow, sender
from mlflow_folders import SHEET, info, tick
sender.START_SECONDS = 600.0
observer = MLflow(samples=False)
observer.run_start(info(Path({str(tmp_path)!r})), SHEET)
for iteration in range(1, 3000):
    observer.tick(tick(iteration, loss=0.5))
observer._sender._to.write(b'{{"about": "metr')
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    while described(stored(folder))["status"] != str(KILLED):
        time.sleep(0.05)
    assert metrics(stored(folder))["loss"] == [(iteration, 0.5) for iteration in range(1, 3000)]


def test_mlflow_is_not_imported_beside_a_training() -> None:
    script = "import sys, ganlab_mlflow; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    place = str(Path(ganlab_mlflow.__file__).parents[1])
    assert subprocess.run([sys.executable, "-c", script], check=False, env={"PYTHONPATH": place}).returncode == 0


test_contract = contract(MLflow)
