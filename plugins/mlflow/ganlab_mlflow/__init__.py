"""An observer that shows a run in MLflow."""

from __future__ import annotations

import base64
import io
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints, field_validator

from ganlab import Observer, grid, hookimpl, replacing_file
from ganlab_mlflow.failures import password
from ganlab_mlflow.names import is_name, metric_names, parameters
from ganlab_mlflow.sender import Sender, TrackingError

if TYPE_CHECKING:
    import numpy as np

    from ganlab import Finding, RunInfo, Scores, Snapshot, Tick

    Pictures = np.ndarray[Any, np.dtype[np.uint8]]

Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]

IDENTITY = Path("mlflow", "run_id")
"""Where it is kept by what MLflow knows the run, below the run's directory."""
STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
"""How a run ended, in MLflow's words."""
GROUPS = ("score", "finding")
"""Above the names of metrics that are no statistics."""
TAG_LENGTH = 5000
"""The longest value of a tag that every MLflow server takes."""


class MLflow(Observer):
    """Tells MLflow scalars, sample grids, scores, findings and the recipe.

    A run is one run there, however often it was continued.
    """

    api = 1

    tracking_uri: Name | None = None
    """The server or database, such as `"http://localhost:5000"` or `"sqlite:///mlflow.db"`. Unset: as the variable
    MLFLOW_TRACKING_URI says, else MLflow's own default, `mlflow.db` in the current folder."""
    experiment: Name | None = None
    """The experiment, which is made where there is none. Unset: as MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID says,
    else `"ganlab"`."""
    run_name: Name | None = None
    """What the run is called there; unset, by its recipe and its directory."""
    tags: Mapping[str, Annotated[str, StringConstraints(max_length=TAG_LENGTH)]] = Field(default_factory=dict)
    """Tags of the run, such as `{ team = "fashion" }`."""
    samples: bool = True
    """Whether to send pictures: some of the data once, and the sample grid of each snapshot."""
    generator: bool = False
    """Whether to send `generator.safetensors` with each snapshot, in place of the one before."""

    _sender: Sender | None = None
    _identity: Path | None = None
    """Where it is still to be noted by what MLflow knows the run."""

    @field_validator("tracking_uri")
    @classmethod
    def _without_password(cls, uri: str | None) -> str | None:
        if uri is not None and password(uri) is not None:
            raise ValueError(
                "it has a password, and a recipe is kept with each run: set the variable MLFLOW_TRACKING_URI instead"
            )
        return uri

    @field_validator("tags")
    @classmethod
    def _named_well(cls, tags: Mapping[str, str]) -> Mapping[str, str]:
        for name in tags:
            if not is_name(name):
                raise ValueError(
                    f'"{name}" is no name of a tag: MLflow takes letters, digits, spaces and _ - . : / in at most 250 '
                    "bytes, and no path that leads elsewhere"
                )
        return tags

    @hookimpl
    def run_start(self, run: RunInfo, reals: Pictures) -> None:
        self._end("interrupted")  # a run that was rolled back starts again
        identity, recipe = run.directory / IDENTITY, run.directory / "recipe.toml"
        known = identity.read_text(encoding="utf-8").strip() if identity.is_file() else None
        about = {"device": run.device, "precision": run.precision}
        self._sender = Sender(
            {
                "about": "open",
                "tracking_uri": self.tracking_uri,
                "experiment": self.experiment,
                "run_id": known,
                "run_name": self.run_name or f"{run.name} {run.directory.name}",
                "tags": {"mlflow.source.name": "ganlab", "mlflow.source.type": "LOCAL", **about, **self.tags},
                "parameters": parameters(run.recipe),
                "reals": self._picture("reals", reals, math.ceil(math.sqrt(len(reals))), run.first_iteration),
            }
        )
        self._identity = identity
        with self._heard():
            self._sender.wait_for_run()
        if recipe.is_file():
            self._send({"about": "file", "path": str(recipe)})

    @hookimpl
    def tick(self, tick: Tick) -> None:
        values = {"images": tick.images, "images_per_second": tick.images_per_second, "epoch": tick.epoch}
        # A statistic may have the name of something else: neither must hide the other.
        names = metric_names(tick.stats, (*values, *GROUPS))
        self._send_metrics(values | {names[name]: value for name, value in tick.stats.items()}, tick.iteration)

    @hookimpl
    def snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        picture = self._picture("samples", snapshot.samples, snapshot.columns, snapshot.iteration)
        if picture is not None:
            self._send({"about": "picture", **picture})
        file = run.directory / "generator.safetensors"
        if self.generator and file.is_file():
            self._send({"about": "file", "path": str(file)})

    @hookimpl
    def scored(self, scores: Scores) -> None:
        names = metric_names(scores.values)
        self._send_metrics({f"score/{names[name]}": value for name, value in scores.values.items()}, scores.iteration)

    @hookimpl
    def finding(self, finding: Finding) -> None:
        text = f"iteration {finding.iteration}: {finding.sentence}"
        self._send({"about": "tag", "name": f"finding.{finding.name}", "value": text[:TAG_LENGTH]})
        self._send_metrics({f"finding/{finding.name}": float(not finding.ended)}, finding.iteration)

    @hookimpl
    def run_end(self, reason: str) -> None:
        self._end(reason)

    def _send_metrics(self, values: Mapping[str, float], iteration: int) -> None:
        now = int(time.time() * 1000)
        points = [(name, float(value), now, iteration) for name, value in values.items()]
        if points:
            self._send({"about": "metrics", "points": points})

    def _picture(self, name: str, pictures: Pictures, columns: int, iteration: int) -> dict[str, Any] | None:
        from PIL import Image

        if not self.samples:
            return None
        sheet = grid(pictures, columns)
        visible = sheet if sheet.shape[2] in (3, 4) else sheet[:, :, 0]
        with io.BytesIO() as file:
            Image.fromarray(visible).save(file, "png")
            return {"name": name, "step": iteration, "png": base64.b64encode(file.getvalue()).decode()}

    def _send(self, message: dict[str, Any]) -> None:
        if self._sender is not None:
            with self._heard():
                self._sender.send(message)

    def _end(self, reason: str) -> None:
        if self._sender is not None:
            with self._heard():
                self._sender.end(STATUS[reason])
            self._sender = None

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Note by what MLflow knows the run, once it has said so; send nothing more once it has failed."""
        sender = self._sender
        assert sender is not None
        try:
            yield
        except TrackingError:
            self._sender = None
            raise
        finally:
            if self._identity is not None and sender.run_id:
                with replacing_file(self._identity) as temporary:
                    temporary.write_text(f"{sender.run_id}\n", encoding="utf-8")
                self._identity = None
