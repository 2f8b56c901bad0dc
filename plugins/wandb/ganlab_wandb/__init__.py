"""An observer that shows a run in Weights & Biases."""

from __future__ import annotations

import math
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ganlab import Observer, grid, hookimpl, replacing_file

if TYPE_CHECKING:
    import numpy as np
    import wandb

    from ganlab import RunInfo, Scores, Snapshot, Tick

    Pictures = np.ndarray[Any, np.dtype[np.uint8]]

FOLDER = "wandb"
"""Where W&B keeps what it sends, below the run's directory."""
PLACE = "iteration"
"""What everything stands over: W&B's own step may not go back, which a run does that was killed."""


class WandB(Observer):
    """Sends scalars, sample grids, scores and the recipe to Weights & Biases, or keeps them for `wandb sync`.

    A run is one run there, however often it was continued.
    """

    api = 1

    project: str = "ganlab"
    """The project of W&B."""
    entity: str | None = None
    """The team or user it belongs to; unset, W&B's own default."""
    mode: Literal["online", "offline"] | None = None
    """Whether to send it or to keep it for `wandb sync`. Unset: as the variable WANDB_MODE says, else `"online"`."""
    samples: bool = True
    """Whether to send pictures: some of the data once, and the sample grid of each snapshot."""

    _run: wandb.Run | None = None

    @hookimpl
    def run_start(self, run: RunInfo, reals: Pictures) -> None:
        import wandb

        self._close("interrupted")  # a run that was rolled back starts again
        folder = run.directory / FOLDER
        known = (folder / "id").is_file()
        folder.mkdir(exist_ok=True)
        self._run = wandb.init(
            project=self.project,
            entity=self.entity,
            name=f"{run.name} {run.directory.name}",
            id=_identity(folder / "id"),
            resume="allow",
            mode=self.mode,
            dir=str(run.directory),
            config=dict(run.recipe),
            # Nothing but the run's own numbers: no terminal, no code, no machine.
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, disable_code=True, save_code=False, x_disable_stats=True
            ),
        )
        self._run.define_metric(PLACE, hidden=True)
        self._run.define_metric("*", step_metric=PLACE)
        if not known:
            self._log_grid("reals", reals, math.ceil(math.sqrt(len(reals))), run.first_iteration)

    @hookimpl
    def tick(self, tick: Tick) -> None:
        values = {"images": tick.images, "images_per_second": tick.images_per_second, "epoch": tick.epoch}
        # A statistic may have the name of a counter: neither must hide the other.
        taken = {*values, PLACE}
        values |= {f"stat_{name}" if name in taken else name: value for name, value in tick.stats.items()}
        self._log(values, tick.iteration)

    @hookimpl
    def snapshot(self, snapshot: Snapshot) -> None:
        self._log_grid("samples", snapshot.samples, snapshot.columns, snapshot.iteration)

    @hookimpl
    def scored(self, scores: Scores) -> None:
        self._log({f"score/{name}": value for name, value in scores.values.items()}, scores.iteration)

    @hookimpl
    def run_end(self, reason: str) -> None:
        self._close(reason)

    def _log(self, values: dict[str, Any], iteration: int) -> None:
        if self._run is not None and values:
            self._run.log({**values, PLACE: iteration})

    def _log_grid(self, name: str, pictures: Pictures, columns: int, iteration: int) -> None:
        import wandb

        if self._run is None or not self.samples:
            return
        sheet = grid(pictures, columns)
        visible = sheet if sheet.shape[2] in (3, 4) else sheet[:, :, 0]
        self._log({name: wandb.Image(visible, caption=f"iteration {iteration}")}, iteration)

    def _close(self, reason: str) -> None:
        if self._run is not None:
            self._run.finish(exit_code=int(reason == "failed"))
            self._run = None


def _identity(path: Path) -> str:
    """Return by what W&B knows the run: what an earlier process has chosen, or something new."""
    if path.is_file():
        return path.read_text(encoding="utf-8").strip()
    chosen = secrets.token_hex(8)
    with replacing_file(path) as temporary:
        temporary.write_text(f"{chosen}\n", encoding="utf-8")
    return chosen
