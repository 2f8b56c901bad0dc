"""Safetensors: the file that a run writes, for torch and for other tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ganlab import Exporter, Metadata, read_metadata, run_file, write_generator

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


class Safetensors(Exporter):
    """The weights with everything needed to use them, as a run writes them: for torch, and for other tools."""

    api = 1
    suffix: ClassVar[str] = ".safetensors"
    others: ClassVar[Literal["inside", "beside", "none"]] = "inside"

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        """Write the file that `ganlab.load_generator` reads."""
        write_generator(path, generator, Metadata.from_json(metadata["ganlab"], str(path)))

    def run(self, path: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Load the file again and compute on the CPU."""
        return run_file(path, inputs)

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        """Read the header."""
        return {"ganlab": read_metadata(path).to_json()}
