"""Smaller ONNX files, in half precision or in 8 bits: each starts from the ONNX export and states what it may cost."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ganlab import (
    Exporter,
    Metadata,
    PluginError,
    load_generator,
    onnx_graph,
    quiet,
    read_metadata,
    run_file,
    write_onnx,
)
from ganlab.standard.exporters.onnx import output_of
from ganlab.standard.exporters.subpixel import in_subpixel_form

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

CALIBRATION_BATCHES, CALIBRATION_BATCH = 4, 64
"""Pictures whose activations say what range 8 bits must cover; they are those of seeds 0 to 255."""


class HalfONNX(Exporter):
    """ONNX of half the size: weights and arithmetic in float16, inputs and pictures in float32.

    Where onnxruntime has no float16 kernel, as for convolutions on a CPU, it computes in float32, as fast as before.
    """

    api = 1
    suffix: ClassVar[str] = ".fp16.onnx"
    others: ClassVar[Literal["inside", "beside", "none"]] = "beside"
    tolerance: ClassVar[float] = 8e-3
    """A pixel's step."""

    opset: Annotated[int, Field(ge=16, le=25)] = 20
    """Version of ONNX's operators, as for `onnx`."""

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        """Write the graph. Raise `PluginError` where the generator cannot be expressed in ONNX."""
        with _search_path():
            from onnxruntime.transformers.float16 import convert_float_to_float16
            from onnxruntime.transformers.onnx_model import OnnxModel

        model = onnx_graph(generator, inputs, self.opset, output_of(metadata))
        with quiet():
            model = convert_float_to_float16(model, keep_io_types=True)
            OnnxModel.graph_topological_sort(model.graph)
        write_onnx(model, _with_precision(metadata, "fp16"), path)

    def run(self, path: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Compute with onnxruntime on the CPU."""
        return run_file(path, inputs)

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        """Read the graph's properties."""
        return {"ganlab": read_metadata(path).to_json()}


class Int8ONNX(Exporter):
    """ONNX of a quarter of the size, faster on CPUs: 8-bit weights, and activations of convolutions in 8 bits.

    Transposed convolutions of kernel 4, stride 2 and padding 1 become convolutions; other ones, and the layer that
    makes the pixels, stay in float32. Linear layers keep their inputs in float32.
    """

    api = 1
    suffix: ClassVar[str] = ".int8.onnx"
    tolerance: ClassVar[float] = 0.2
    """For the worst pixel of all; on the whole, pictures of a trained DCGAN differ by 1 or 2 %."""

    opset: Annotated[int, Field(ge=16, le=25)] = 20
    """Version of ONNX's operators, as for `onnx`."""

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        """Write the graph. Raise `PluginError` where it has nothing that can be computed in 8 bits."""
        plain = onnx_graph(generator, inputs, self.opset)
        model, interleaving = in_subpixel_form(plain)
        names = list(dict.fromkeys([*_convolutions(model.graph), *interleaving]))
        if names:
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                write_onnx(plain, metadata, Path(folder) / "fp32.onnx")
                model = _quantised(model, names, Path(folder) / "fp32.onnx")
        if not _quantise_products(model.graph) and not names:
            raise PluginError(
                "the generator has nothing to compute in 8 bits: neither a linear layer nor, before the layer that "
                "makes the pixels, a convolution with weights of its own; export it with onnx or onnx_fp16"
            )
        write_onnx(model, _with_precision(metadata, "int8"), path)

    def run(self, path: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Compute with onnxruntime on the CPU."""
        return run_file(path, inputs)

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        """Read the graph's properties."""
        return {"ganlab": read_metadata(path).to_json()}


def _with_precision(metadata: Mapping[str, str], precision: Literal["fp16", "int8"]) -> dict[str, str]:
    about = Metadata.from_json(metadata["ganlab"], "the metadata").model_copy(update={"precision": precision})
    return {**metadata, "ganlab": about.to_json()}


@contextmanager
def _search_path() -> Iterator[None]:
    """Let onnxruntime's tools find each other as they expect, in a folder on `sys.path`, and put `sys.path` back."""
    import onnxruntime

    before = list(sys.path)
    try:
        sys.path.append(str(Path(onnxruntime.__file__).parent / "transformers"))
        yield
    finally:
        sys.path[:] = before


def _calibration(path: Path) -> list[dict[str, np.ndarray[Any, Any]]]:
    """Return the inputs whose activations are measured."""
    generator = load_generator(path, device="cpu")
    starts = range(0, CALIBRATION_BATCHES * CALIBRATION_BATCH, CALIBRATION_BATCH)
    return [generator.draw(range(start, start + CALIBRATION_BATCH)) for start in starts]


def _convolutions(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the convolutions with weights of their own, but for the last, which makes the pixels."""
    weights = {tensor.name for tensor in graph.initializer}
    layers = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    return [node.name for node in layers[:-1] if node.op_type == "Conv" and node.input[1] in weights]


def _quantised(model: onnx.ModelProto, names: list[str], plain: Path) -> onnx.ModelProto:
    """Return the model with the named nodes in 8 bits, their ranges measured on the pictures of the file `plain`."""
    import onnx

    with _search_path():
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    batches = iter(_calibration(plain))

    class Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no annotations
        def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
            return next(batches, None)

    path = plain.with_name("int8.onnx")
    with quiet():
        quantize_static(
            model,
            path,
            Calibration(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu", "Transpose", "Concat", "Reshape"],
            nodes_to_quantize=names,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # Weights of 7 bits: without VNNI, processors let the sum of two products of 8 bits overflow, and a seed
            # would be another picture there. It costs up to half as much error again; unsigned weights cost the speed.
            reduce_range=True,
        )
    return onnx.load(path)


def _quantise_products(graph: onnx.GraphProto) -> int:
    """Store the weights of linear layers in 8 bits, one scale an output; return how many there are."""
    from onnx import TensorProto, helper, numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    users = Counter(name for node in graph.node for name in node.input)
    products = [node for node in graph.node if node.op_type in ("Gemm", "MatMul") and node.input[1] in tensors]
    found = 0
    for node in products:
        name = node.input[1]
        tensor = tensors[name]
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != 2 or users[name] > 1:
            continue
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        weight, axis = numpy_helper.to_array(tensor), 0 if transposed else 1
        scale = np.maximum(np.abs(weight).max(1 - axis), np.finfo(np.float32).tiny) / np.float32(127)
        levels = np.rint(weight / np.expand_dims(scale, 1 - axis)).astype(np.int8)
        graph.initializer.remove(tensor)
        zeros = np.zeros(len(scale), np.int8)
        factors = {f"{name}.levels": levels, f"{name}.scale": scale, f"{name}.zero": zeros}
        graph.initializer.extend(numpy_helper.from_array(array, key) for key, array in factors.items())
        restored = helper.make_node("DequantizeLinear", list(factors), [name], f"{name}.restored", axis=axis)
        graph.node.insert(list(graph.node).index(node), restored)
        found += 1
    return found
