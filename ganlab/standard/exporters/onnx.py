"""ONNX, for onnxruntime and everything that reads ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ganlab import Exporter, Metadata, onnx_graph, read_metadata, run_file, write_onnx

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


class ONNX(Exporter):
    """A graph with weights and metadata in one file: the generator's inputs by their names in, images out.

    The batch size is free, BatchNorm is folded, and nothing of the machine that wrote it is inside.
    """

    api = 1
    suffix: ClassVar[str] = ".onnx"
    others: ClassVar[Literal["inside", "beside", "none"]] = "beside"

    opset: Annotated[int, Field(ge=16, le=25)] = 20
    """Version of ONNX's operators. Older ones are read by older programs; torch cannot write below 16."""

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        """Write the graph. Raise `PluginError` with the remedy where the generator cannot be expressed in ONNX."""
        write_onnx(onnx_graph(generator, inputs, self.opset, output_of(metadata)), metadata, path)

    def run(self, path: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Compute with onnxruntime on the CPU."""
        return run_file(path, inputs)

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        """Read the graph's properties."""
        return {"ganlab": read_metadata(path).to_json()}


def output_of(metadata: Mapping[str, str]) -> str:
    """Return what the network that is written is to call its output: `images` of a generator."""
    about = Metadata.from_json(metadata["ganlab"], "the metadata")
    return about.makes(about.network)[0]
