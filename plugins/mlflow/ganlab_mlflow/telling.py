"""What a run says ▶ MLflow: one run there, however often it was continued."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

from mlflow.entities import Experiment, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient, get_tracking_uri
from PIL import Image

from ganlab_mlflow.failures import RefusedError, refuse_unwritable

METRICS, PARAMETERS = 1000, 100
"""How many of them MLflow takes in one request."""
EXPERIMENT = "ganlab"
"""The experiment, where neither the recipe nor MLflow's variables name one."""
TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""By which MLflow's pages show an experiment as one of trainings, and not of conversations."""
CONTINUED = "continued."
"""Before the name of an option that a continued run has otherwise: MLflow's parameters never change."""


class Telling:
    """A run of MLflow's that is told what comes."""

    def __init__(self, opening: dict[str, Any]) -> None:
        """Find the run, or make it. Raise `RefusedError` where somebody has deleted it or its experiment."""
        uri = opening["tracking_uri"] or get_tracking_uri()
        refuse_unwritable(uri)
        self._client = MlflowClient(tracking_uri=uri)
        found = self._found(opening["run_id"])
        run = found or self._made(opening)
        self.run_id: str = run.info.run_id
        self._describe(opening, run)
        if found is None:
            self._picture(opening["reals"])

    def tell(self, inbox: SimpleQueue[dict[str, Any]]) -> None:
        """Tell what comes, until the end is told, too."""
        for message in _joined(inbox):
            match message["about"]:
                case "metrics":
                    self._metrics(message["points"])
                case "tag":
                    self._client.set_tag(self.run_id, message["name"], message["value"])
                case "picture":
                    self._picture(message)
                case "file":
                    self._client.log_artifact(self.run_id, message["path"])
                case "end":
                    self._client.set_terminated(self.run_id, message["status"])
                    return

    def _found(self, run_id: str | None) -> Run | None:
        """Return the run that an earlier process has begun, if it is there: it may be of another server."""
        if run_id is None:
            return None
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        if run.info.lifecycle_stage != "active":
            raise RefusedError(
                f"somebody has deleted its run {run_id} there: mlflow runs restore --run-id {run_id} brings it back, "
                "and without mlflow/run_id in the run's directory another one is begun"
            )
        self._client.update_run(run_id, status="RUNNING")
        return run

    def _made(self, opening: dict[str, Any]) -> Run:
        experiment = self._experiment(opening["experiment"])
        if experiment.lifecycle_stage != "active":
            number = experiment.experiment_id
            raise RefusedError(
                f'somebody has deleted the experiment "{experiment.name}" there: mlflow experiments restore '
                f"--experiment-id {number} brings it back, and the option experiment names another one"
            )
        return self._client.create_run(experiment.experiment_id, run_name=opening["run_name"])

    def _experiment(self, wanted: str | None) -> Experiment:
        number = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if wanted is None and number:
            return self._client.get_experiment(number)
        name = wanted or os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None:
            return experiment
        try:
            return self._client.get_experiment(self._client.create_experiment(name, tags=TRAINING))
        except MlflowException:
            experiment = self._client.get_experiment_by_name(name)
            if experiment is None:
                raise
            return experiment  # another run has just made it

    def _describe(self, opening: dict[str, Any], run: Run) -> None:
        """Say what the run is: what it was begun with stays, and what it goes on with stands beside it."""
        known, options = run.data.params, opening["parameters"]
        changed = {CONTINUED + name: value for name, value in options.items() if known.get(name, value) != value}
        new = [Param(name, value) for name, value in options.items() if name not in known]
        for first in range(0, len(new), PARAMETERS):
            self._client.log_batch(self.run_id, params=new[first : first + PARAMETERS])
        tags = [RunTag(name, value) for name, value in (changed | opening["tags"]).items()]
        for first in range(0, len(tags), PARAMETERS):
            self._client.log_batch(self.run_id, tags=tags[first : first + PARAMETERS])
        for name in run.data.tags:
            if name.startswith(CONTINUED) and name not in changed:
                self._client.delete_tag(self.run_id, name)

    def _metrics(self, points: list[tuple[str, float, int, int]]) -> None:
        for first in range(0, len(points), METRICS):
            part = [Metric(name, value, time, step) for name, value, time, step in points[first : first + METRICS]]
            self._client.log_batch(self.run_id, metrics=part)

    def _picture(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        with Image.open(io.BytesIO(base64.b64decode(message["png"]))) as picture:
            picture.load()
            self._client.log_image(self.run_id, picture, key=message["name"], step=message["step"])


def _joined(inbox: SimpleQueue[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield messages in their order, metrics that have piled up meanwhile as one."""
    points: list[Any] = []
    while True:
        message = inbox.get()
        if message["about"] == "metrics":
            points += message["points"]
            if not inbox.empty():
                continue
        if points:
            yield {"about": "metrics", "points": points}
            points = []
        if message["about"] != "metrics":
            yield message
