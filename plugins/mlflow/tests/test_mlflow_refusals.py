"""What is said where MLflow does not take a run: one sentence, and the training goes on."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ganlab_mlflow import MLflow, sender
from ganlab_mlflow.failures import RefusedError, failure, place, refuse_unwritable
from ganlab_mlflow.sender import TrackingError
from hostile import NAME
from mlflow_folders import SHEET, experiment, info, kept_in_files, lines, stored, tick

import ganlab
from ganlab import GanlabError, Snapshot
from ganlab.testing import isolated, tiny_recipe


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Yield where MLflow keeps runs."""
    with isolated({"mlflow": MLflow}):
        yield kept_in_files(monkeypatch, tmp_path)


def recipe(**options: Any) -> dict[str, Any]:
    watched = {"plot": False, "gif": False, "mlflow": options}
    return tiny_recipe({"train": {"iterations": 8, "tick_seconds": 1e-6}, "observers": watched})


def refusal(tmp_path: Path, uri: str | None = None, **options: Any) -> str:
    """Return what the observer says of a run that MLflow does not take."""
    observer = MLflow(tracking_uri=uri, samples=False, **options)
    with pytest.raises(TrackingError) as refused:
        observer.run_start(info(tmp_path), SHEET)
    observer.tick(tick(3))  # is heard by nobody
    observer.run_end("finished")
    assert "\n" not in str(refused.value).strip()
    return str(refused.value)


def tell_on(observer: MLflow) -> None:
    """Tell of iterations until it is too much."""
    for iteration in count():
        observer.tick(tick(iteration))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_a_server_that_is_not_there_is_said_once_and_the_training_goes_on(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    ganlab.train(recipe(tracking_uri=address), out=tmp_path / "run")
    assert [line["iteration"] for line in lines(tmp_path / "run")] == list(range(1, 9))
    (said,) = [line for line in (tmp_path / "run/log.txt").read_text().splitlines() if "mlflow" in line]
    assert said.endswith(
        f"failed at run_start and is switched off: TrackingError: no MLflow server answers at {address} "
        "(NewConnectionError): is it up, and is tracking_uri right?"
    )


def test_a_server_that_never_answers_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "START_SECONDS", 0.5)
    monkeypatch.setattr(sender, "END_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        observer = MLflow(tracking_uri=f"http://127.0.0.1:{silent.getsockname()[1]}")
        observer.run_start(info(tmp_path), SHEET)
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), np.uint8)
        for iteration in range(10):  # far more than a pipe holds
            observer.snapshot(info(tmp_path), Snapshot(iteration, 0, 0.0, noise, 8))
        with pytest.raises(TrackingError, match=r"^MLflow has not taken everything within 1 seconds; what it misses "):
            observer.run_end("finished")
    assert not (tmp_path / "mlflow").exists()


class WebPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<h1>It works!</h1>")

    def log_message(self, *_: object) -> None:
        pass


def test_an_address_of_something_else_is_said(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), WebPage) as server:
        threading.Thread(target=server.serve_forever).start()
        said = refusal(tmp_path, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert "It works!" in said


def test_places_that_cannot_be_written_to_are_said(folder: Path, tmp_path: Path) -> None:
    folder.touch()
    assert str(folder) in refusal(tmp_path)
    refuse_unwritable(f"sqlite:///{tmp_path}/new/mlflow.db")
    with pytest.raises(RefusedError) as refused:
        refuse_unwritable(f"sqlite:///{folder}/new/mlflow.db?timeout=3")
    assert str(refused.value) == (
        f"no database can be written at {folder}/new/mlflow.db: {folder} cannot be written to"
    )


def test_a_folder_is_what_mlflow_has_to_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    assert refusal(tmp_path) == (
        f"MLflow keeps runs in a folder, as {tmp_path}/mlruns is, no more: name a database instead, such as "
        'tracking_uri = "sqlite:///mlflow.db", or set MLFLOW_ALLOW_FILE_STORE=true'
    )


def test_what_an_address_needs_and_does_not_have_is_said(tmp_path: Path) -> None:
    assert "nosuch" in refusal(tmp_path, "nosuch://host/runs")
    missing = ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2")
    assert failure(missing, "postgresql://host/runs") == (
        "postgresql://host/runs needs the package psycopg2, which is not installed"
    )


def test_a_password_is_not_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://me:se%24cret@127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    said = refusal(tmp_path)
    assert said.startswith("no MLflow server answers at http://me:***@127.0.0.1:")
    error = ValueError(f"cannot read {address}")
    for uri in (address, None):
        assert failure(error, uri) == f"ValueError: cannot read {address.replace('se%24cret', '***')}"
    assert place("[") == "["


def test_a_deleted_experiment_is_said(folder: Path, tmp_path: Path) -> None:
    observer = MLflow(samples=False)
    observer.run_start(info(tmp_path), SHEET)
    observer.run_end("finished")
    run, there = stored(folder), experiment(folder)
    meta = (run / "meta.yaml").read_text()
    (run / "meta.yaml").write_text(meta.replace("lifecycle_stage: active", "lifecycle_stage: deleted"))
    assert refusal(tmp_path) == (
        f"somebody has deleted its run {run.name} there: mlflow runs restore --run-id {run.name} brings it back, and "
        "without mlflow/run_id in the run's directory another one is begun"
    )
    (there / "meta.yaml").write_text((there / "meta.yaml").read_text().replace("stage: active", "stage: deleted"))
    shutil.move(there, folder / ".trash")
    (tmp_path / "mlflow/run_id").unlink()
    assert refusal(tmp_path) == (
        f'somebody has deleted the experiment "ganlab" there: mlflow experiments restore --experiment-id {there.name} '
        "brings it back, and the option experiment names another one"
    )


def test_hostile_names_are_names(folder: Path, tmp_path: Path) -> None:
    observer = MLflow(experiment=NAME, run_name=NAME, tags={"name": NAME}, samples=False)
    observer.run_start(info(tmp_path, name=NAME), SHEET)
    observer.tick(tick(1, **{NAME: 0.5}))
    observer.run_end("finished")
    (run,) = (path.parent for path in folder.glob("*/*/meta.yaml"))
    assert (run / "tags/name").read_bytes().decode() == (run / "params/name").read_bytes().decode() == NAME
    assert {path.name for path in (run / "metrics").iterdir()} >= {"images", "epoch"}


def test_a_run_that_is_unknown_there_is_begun_anew(folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        observer = MLflow(samples=False)
        observer.run_start(info(tmp_path), SHEET)
        observer.run_end("finished")
        known = (tmp_path / "mlflow/run_id").read_text().strip()
        assert stored(folder).name == known
        shutil.rmtree(stored(folder))
    (tmp_path / "mlflow/run_id").write_text("../../other")
    assert refusal(tmp_path) == """MlflowException: Invalid value "../../other" for parameter 'run_id' supplied."""


def test_a_run_that_vanishes_is_said_and_nothing_more_is_sent(folder: Path, tmp_path: Path) -> None:
    observer = MLflow(samples=False)
    observer.run_start(info(tmp_path), SHEET)
    shutil.rmtree(folder)
    with pytest.raises(TrackingError, match=f"^Exception: '{folder}' does not exist.$"):
        tell_on(observer)
    observer.run_end("finished")


def test_what_ends_the_process_is_said(tmp_path: Path) -> None:
    observer = MLflow(samples=False)
    observer.run_start(info(tmp_path), SHEET)
    assert observer._sender is not None
    observer._sender._process.kill()
    with pytest.raises(TrackingError, match=r"^the process that tells MLflow has ended with exit code -9: "):
        tell_on(observer)


def test_mistakes_in_the_options_are_found_before_a_run(tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match=r"observers\.mlflow\.tracking_uri = .*set the variable MLFLOW_TRACKING_URI"):
        ganlab.train(recipe(tracking_uri="postgresql://me:secret@host/runs"), out="run")
    with pytest.raises(GanlabError, match=r'observers\.mlflow\.tags: .*"a\?b" is no name of a tag'):
        ganlab.train(recipe(tags={"a?b": "c"}), out="run")
    with pytest.raises(GanlabError, match=r"observers\.mlflow\.experiment"):
        ganlab.train(recipe(experiment=""), out="run")
    assert not Path("run").exists()
