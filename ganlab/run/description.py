"""What a run says of itself: to observers, in its directory, in its checkpoints, and in its generator's metadata."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING, Any

from ganlab.durable import replacing_file
from ganlab.events import RunInfo
from ganlab.messages import setting
from ganlab.registry.entry_points import version
from ganlab.registry.lookup import registry
from ganlab.run.resume import code_of
from ganlab.training.checkpoint import Provenance

if TYPE_CHECKING:
    from torch import nn

    from ganlab.generator.metadata import Metadata
    from ganlab.run.directory import RunDirectory
    from ganlab.training.trainer import Trainer

REALS = 64
"""How many pictures of the data `reals.png` shows."""


class Description:
    """What is known of a run beside its weights."""

    def __init__(self, trainer: Trainer) -> None:
        self._recipe, self._state, self._plan = trainer.recipe, trainer.state, trainer.plan
        self._packed, self._device, self._precision = trainer.packed, trainer.device, trainer.precision
        self._ranks = trainer.ranks.world
        self._code = code_of(trainer.recipe)  # now: files that are edited while the run is on do not compute it

    def info(self, directory: RunDirectory) -> RunInfo:
        """Return what observers are told."""
        from ganlab.training.state import parameter_counts

        counts = parameter_counts(self._state.networks)
        return RunInfo(
            name=self._recipe.name,
            directory=directory.path,
            recipe=self._recipe.table,
            images=self._packed.spec,
            dataset_size=len(self._packed.images),
            # A balance or a running mean that is brought along is no network to whoever watches.
            parameters={name: count for name, count in counts.items() if count or name not in self._recipe.brought},
            device=str(self._device),
            precision=self._precision,
            first_iteration=self._state.iteration,
            class_names=self._packed.class_names,
        )

    def reals(self) -> Any:
        """Return pictures `(N, H, W, C)` of the data, uint8."""
        return self._packed.some(REALS)

    def metadata(self, generator: nn.Module) -> Metadata:
        """Return what the generator's file says about itself."""
        from ganlab.generator.metadata import DataRecord, RecipeRecord, TrainingRecord
        from ganlab.generator.network import describe

        return describe(
            self._recipe.table["model"]["name"],
            self._recipe.model,
            self._packed.spec,
            generator,
            recipe=RecipeRecord(name=self._recipe.name, sha256=self._recipe.sha256),
            training=TrainingRecord(
                iterations=self._state.iteration,
                images=self._plan.images(self._state),
                epochs=self._plan.epoch(self._state),
                init_sha256=self._recipe.train.init_sha256,
            ),
            data=DataRecord(fingerprint=self._packed.fingerprint, dataset=self._recipe.table["dataset"]["name"]),
            class_names=self._packed.class_names,
        )

    def provenance(self) -> Provenance:
        """Return what a checkpoint says of where its bits come from."""
        import torch

        return Provenance(
            self._recipe.table,
            self._packed.fingerprint,
            self._versions(),
            self._ranks,
            torch.get_num_threads(),
            self._device.type,
            self._code,
        )

    def _versions(self) -> dict[str, str]:
        """Return the versions of what computes: ganlab, torch, and whoever offers the recipe's components."""
        providers = [registry.provider(kind, name) for kind, name, _ in self._recipe.decisive()]
        offered = {provider.distribution: provider.version for provider in providers if provider.version}
        return {name: version(name) for name in ("ganlab", "torch")} | offered

    def write(self, directory: RunDirectory) -> None:
        """Write the recipe and what it is trained with into the directory."""
        with replacing_file(directory.recipe) as temporary:
            temporary.write_text(self._recipe.dump(), encoding="utf-8")
        with replacing_file(directory.environment) as temporary:
            temporary.write_text(json.dumps(self._environment(), indent=1) + "\n", encoding="utf-8")

    def _environment(self) -> dict[str, Any]:
        import torch

        from ganlab.hardware.device import processor

        providers = {provider.distribution: provider.version for provider in registry.providers()}
        train = self._recipe.train
        began = {} if train.init_from is None else {"from": str(train.init_from), "sha256": train.init_sha256}
        return {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processor": processor(self._device),
            "device": str(self._device),
            "precision": self._precision,
            "threads": torch.get_num_threads(),
            "ranks": self._ranks,
            **({"init": began} if began else {}),
            "packages": {name: version(name) for name in ("torch", "numpy", "safetensors")} | providers,
        }

    def out_of_memory(self, directory: RunDirectory) -> str:
        """Return what is said where memory runs out."""
        import torch

        from ganlab.hardware.device import lower_precision

        size, images, precision = self._recipe.train.batch_size, self._packed.spec, self._precision
        cuda = self._device.type == "cuda"
        used = f" ({torch.cuda.max_memory_allocated(self._device) / 1e9:.1f} GB were in use)" if cuda else ""
        half = lower_precision(self._device, precision) if cuda else None
        lower = f", or {setting('train.precision', half)}" if half else ""
        return (
            f"out of memory on {self._device}{used} with train.batch_size = {size}, pictures of {images.channels} x "
            f"{images.height} x {images.width} and precision {precision}. The run is kept in {directory.path}; "
            f"start a new one with {setting('train.batch_size', max(1, size // 2))}{lower}"
        )
