"""An exporter that writes a web page in which a generator can be played with, in one file that needs no network."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, PositiveInt

from ganlab import (
    Exporter,
    GanlabError,
    Metadata,
    directions,
    load_generator,
    onnx_graph,
    replacing_file,
    run_file,
    seal,
    write_onnx,
)
from ganlab_page.document import FIXED_BYTES, generator_of, metadata_of, written
from ganlab_page.weights import in_float16, weights_of

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from torch import Tensor, nn

OPSET = 20
SEEDS = 8
"""Pictures by which float16 is compared with float32."""
HALF_A_STEP = 4e-3
"""Of a pixel, on pictures in [-1, 1]."""
Precision = Literal["fp32", "fp16"]
Line = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class Page(Exporter):
    """A web page of one file, to play with: seeds, directions, walks, classes. It needs a browser, and no network."""

    api = 1
    suffix: ClassVar[str] = ".html"
    tolerance: ClassVar[float] = 8e-3
    """A pixel's step."""

    title: Line = ""
    """The page's title; empty: the recipe's name."""
    licence: Line = ""
    """The licence of the generator, which the page shows, such as `"CC-BY-4.0"`."""
    weights: Literal["auto", "fp16", "fp32"] = "auto"
    """How weights are stored: `"fp16"` has half the bytes; `"auto"` takes it where 8 pictures show that no pixel
    changes by more than half a step of 255."""
    directions: Annotated[int, Field(ge=0, le=20)] = 5
    """How many sliders of directions there are at most."""
    max_mb: PositiveInt = 64
    """A larger page is not written, in megabytes: browsers take long over it, and hosts refuse it."""

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        """Write the page. Raise `GanlabError` where it would be larger than `max_mb`, with its size."""
        about = Metadata.from_json(metadata["ganlab"], "the metadata")
        numbers = sum(parameter.numel() for parameter in generator.parameters())
        self._refuse_large(numbers * (4 if self.weights == "fp32" else 2), exact=False)
        graph = onnx_graph(generator, inputs, OPSET)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            stored = self._stored(graph, about, Path(folder))
        described = about.model_copy(update={"precision": stored.precision})
        shown = {
            "title": self.title or about.recipe.name,
            "licence": self.licence,
            "weights": {
                "count": weights_of(graph),
                "bytes": len(stored.data),
                "precision": stored.precision,
                "difference": stored.difference,
            },
            **self._directed(generator, about),
        }
        self._refuse_large(len(stored.data), exact=True)
        size = len(written(described.to_json(), shown | {"bytes": 0}, stored.data))
        page = written(described.to_json(), shown | {"bytes": size}, stored.data)
        with replacing_file(path) as temporary:
            temporary.write_bytes(seal(page))

    def run(self, path: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Compute with onnxruntime on the CPU what the page computes with onnxruntime in the browser."""
        with tempfile.TemporaryDirectory(prefix="ganlab-") as folder:
            temporary = Path(folder) / "generator.onnx"
            temporary.write_bytes(generator_of(path))
            return run_file(temporary, inputs)

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        """Read the page's table."""
        return {"ganlab": metadata_of(path)}

    def _refuse_large(self, weights_bytes: int, exact: bool) -> None:
        size = (FIXED_BYTES + weights_bytes * 4 / 3) / 1e6
        if size > self.max_mb:
            # What is stored in float32 after all has twice the bytes.
            enough = math.ceil(size if exact else 2 * size)
            raise GanlabError(
                f"the page would have {'' if exact else 'at least '}{size:.1f} MB, more than max_mb = {self.max_mb}: "
                f"export it with --set max_mb={enough}, or as ONNX"
            )

    def _stored(self, graph: onnx.ModelProto, about: Metadata, folder: Path) -> _Stored:
        """Return the graph as a file, its weights stored as it is wanted, or as the pictures allow it."""
        whole = _written(graph, about, "fp32", folder)
        if self.weights == "fp32":
            return _Stored(whole.read_bytes(), "fp32", 0.0)
        half = _written(in_float16(graph), about, "fp16", folder)
        difference = _difference(whole, half)
        if self.weights == "auto" and difference > HALF_A_STEP:
            return _Stored(whole.read_bytes(), "fp32", 0.0)
        return _Stored(half.read_bytes(), "fp16", difference)

    def _directed(self, generator: nn.Module, about: Metadata) -> dict[str, Any]:
        """Return the directions for the page's sliders, or the sentence why there are none."""
        if not self.directions:
            return {"directions": None, "undirected": ""}
        try:
            found = directions(generator, self.directions, about.kinds)
        except GanlabError as error:
            return {"directions": None, "undirected": f"There are no sliders: {error}."}
        vectors = [[float(f"{number:.6g}") for number in vector] for vector in found.vectors]
        shares = [round(float(share), 4) for share in found.shares]
        return {"directions": {"input": found.input, "vectors": vectors, "shares": shares}}


class _Stored(NamedTuple):
    """A graph as a file's bytes."""

    data: bytes
    precision: Precision
    difference: float
    """From float32, on pictures in [-1, 1]."""


def _written(graph: onnx.ModelProto, about: Metadata, precision: Precision, folder: Path) -> Path:
    file = folder / f"{precision}.onnx"
    write_onnx(graph, {"ganlab": about.model_copy(update={"precision": precision}).to_json()}, file)
    return file


def _difference(whole: Path, half: Path) -> float:
    """Return by how much pictures of two files differ at most."""
    first, second = (load_generator(file, device="cpu") for file in (whole, half))
    inputs = first.draw(SEEDS)
    return float(abs(first(inputs) - second(inputs)).max())
