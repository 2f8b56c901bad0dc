"""MLflow's folders, read without MLflow, and what a run tells its observers, told without one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ganlab_mlflow import sender
from PIL import Image

from ganlab import ImageSpec, RunInfo, Tick

FINISHED, FAILED, KILLED = 3, 4, 5
"""How MLflow's folders say that a run has ended."""


def kept_in_files(patch: pytest.MonkeyPatch, place: Path) -> Path:
    """Make a folder at a place MLflow's own choice, and nothing else; return it.

    MLflow keeps runs in files only where it is asked to. However slow the machine is, its answers are waited for.
    """
    patch.setattr(sender, "START_SECONDS", 600.0)
    patch.setattr(sender, "END_SECONDS", 600.0)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        patch.delenv(name)
    patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    patch.setenv("MLFLOW_TRACKING_URI", str(place / "mlruns"))
    return place / "mlruns"


def experiment(folder: Path, name: str = "ganlab") -> Path:
    """Return an experiment's folder."""
    (found,) = (path.parent for path in folder.glob("*/meta.yaml") if described(path.parent)["name"] == name)
    return found


def stored(folder: Path, name: str = "ganlab") -> Path:
    """Return the folder of the one run of an experiment."""
    (found,) = experiment(folder, name).glob("*/meta.yaml")
    return found.parent


def described(folder: Path) -> dict[str, str]:
    """Return what MLflow's meta.yaml says, which is a line for each entry."""
    lines = (folder / "meta.yaml").read_text().splitlines()
    return {key: value.strip("'") for key, _, value in (line.partition(": ") for line in lines)}


def texts(folder: Path) -> dict[str, str]:
    """Return what lies in files below a folder, by their names: tags and parameters."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def metrics(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Return steps and values by the names of metrics; a line has time, value and step."""
    found = {}
    for name, text in texts(run / "metrics").items():
        lines = [line.split() for line in text.splitlines()]
        found[name] = [(int(step), float(value)) for _, value, step in lines]
    return found


def pictures(run: Path, name: str) -> dict[int, np.ndarray[Any, Any]]:
    """Return a run's pictures by their steps, which stand in the names of their files."""
    files = (run / "artifacts/images").glob(f"{name}+step+*.png")
    return {int(file.name.split("+")[2]): np.asarray(Image.open(file)) for file in files}


def lines(run: Path) -> list[dict[str, Any]]:
    """Return what a run of ganlab's has written of its ticks."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def info(folder: Path, first: int = 0, **tables: Any) -> RunInfo:
    table = {"seed": 0, "observers": {"gif": False}} | tables
    return RunInfo("toy", folder, table, ImageSpec(5, 8, 8), 20, {}, "cpu", "fp32", first)


def tick(iteration: int, **stats: float) -> Tick:
    return Tick(iteration, 8 * iteration, 0.5, 0.1, 1.0, 1.0, 1.0, stats)


SHEET = np.zeros((4, 8, 8, 5), np.uint8)
