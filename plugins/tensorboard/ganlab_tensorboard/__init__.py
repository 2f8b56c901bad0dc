"""An observer that writes a run for TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlab import Observer, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter

    from ganlab import RunInfo, Snapshot, Tick

    Pictures = np.ndarray[Any, np.dtype[np.uint8]]

FOLDER = "tensorboard"
"""Where the events lie, below the run's directory."""


class TensorBoard(Observer):
    """Writes scalars, sample grids and the recipe into `tensorboard/` of the run, for `tensorboard --logdir runs`.

    A run reads as one, however often it was continued.
    """

    api = 1

    samples: bool = True
    """Whether to write pictures: some of the data once, and the sample grid of each snapshot."""

    _writer: SummaryWriter | None = None
    _there: frozenset[tuple[str, int]] = frozenset()
    """Tag and iteration of the pictures and texts that an earlier process has written and this one keeps."""

    @hookimpl
    def run_start(self, run: RunInfo, reals: Pictures) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._close()  # a run that was rolled back starts again
        folder, first = run.directory / FOLDER, run.first_iteration
        self._there = frozenset(item for item in _shown(folder) if item[1] <= first)
        # What a killed process did after its last checkpoint comes again: TensorBoard drops all from this step on.
        # Stated by the first process too: TensorBoard takes the first statement for the beginning, whatever it says.
        self._writer = SummaryWriter(str(folder), purge_step=first + 1)
        if ("recipe/text_summary", first) not in self._there:
            # Indented, which is a block of code in the Markdown that TensorBoard takes texts for.
            self._writer.add_text("recipe", "\n".join(f"    {line}" for line in toml_lines(run.recipe)), first)
        if all(tag != "reals" for tag, _ in self._there):
            self._add_grid("reals", reals, math.ceil(math.sqrt(len(reals))), first)
        self._writer.flush()

    @hookimpl
    def tick(self, tick: Tick) -> None:
        if self._writer is None:
            return
        values = {"images_per_second": tick.images_per_second, "epoch": tick.epoch}
        # A statistic may have the name of a counter: neither must hide the other.
        values |= {f"stat_{name}" if name in values else name: value for name, value in tick.stats.items()}
        for name, value in values.items():
            self._writer.add_scalar(name, value, tick.iteration)
        self._writer.flush()  # so that a kill loses nothing, and whoever watches sees it at once

    @hookimpl
    def snapshot(self, snapshot: Snapshot) -> None:
        self._add_grid("samples", snapshot.samples, snapshot.columns, snapshot.iteration)

    @hookimpl
    def run_end(self) -> None:
        self._close()

    def _add_grid(self, tag: str, pictures: Pictures, columns: int, iteration: int) -> None:
        from ganlab import grid

        if self._writer is None or not self.samples or (tag, iteration) in self._there:
            return
        picture = grid(pictures, columns)
        visible = picture if picture.shape[2] in (3, 4) else picture[:, :, :1]
        self._writer.add_image(tag, visible, iteration, dataformats="HWC")
        self._writer.flush()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def toml_lines(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the lines of a recipe's nested tables as TOML."""
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from ("", f"[{path}{key}]")
            yield from toml_lines(value, f"{path}{key}.")


def _shown(folder: Path) -> set[tuple[str, int]]:
    """Return tag and iteration of the pictures and texts that TensorBoard shows of the event files in a folder."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.compat.proto.event_pb2 import SessionLog

    found: set[tuple[str, int]] = set()
    for path in sorted(folder.glob("events.*")):
        for event in LegacyEventFileLoader(str(path)).Load():
            if event.session_log.status == SessionLog.START:  # its step is the writer's purge_step
                found = {item for item in found if item[1] < event.step}
            found |= {(value.tag, event.step) for value in event.summary.value if not value.HasField("simple_value")}
    return found
