"""Small ONNX generators written node by node, and their artefacts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from shipping import IMAGES, about

from ganlab.generator.file import KEY, seal
from ganlab.interfaces import ImageSpec

DIM = 6


def weights(images: ImageSpec = IMAGES, dim: int = DIM) -> np.ndarray:
    """Return the matrix W `(dim, C * H * W)` of a small generator."""
    return np.random.RandomState(0).standard_normal((dim, math.prod(images[:3]))).astype(np.float32)


def graph(images: ImageSpec = IMAGES, **changes: Any) -> onnx.ModelProto:
    """Return a small ONNX generator: images = tanh(z W) reshaped. `changes` makes it another than it claims to be."""
    dim, size = changes.get("dim", DIM), changes.get("size", "batch")
    shape = numpy_helper.from_array(np.array([-1, *images[:3]]), "shape")
    inputs = [
        helper.make_tensor_value_info(changes.get("input", "z"), changes.get("type", TensorProto.FLOAT), [size, dim])
    ]
    if "labels" in changes:
        inputs.append(helper.make_tensor_value_info("labels", TensorProto.INT64, ["batch"]))
    nodes = [
        helper.make_node("MatMul", [inputs[0].name, "w"], ["flat"]),
        helper.make_node("Tanh", ["flat"], ["bounded"]),
        helper.make_node("Reshape", ["bounded", "shape"], [changes.get("output", "images")]),
    ]
    outputs = [helper.make_tensor_value_info(changes.get("output", "images"), TensorProto.FLOAT, changes.get("made"))]
    initializers = [changes.get("weights", numpy_helper.from_array(weights(images, dim), "w")), shape]
    made = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def shipped_graph(path: Path, model: onnx.ModelProto, images: ImageSpec = IMAGES) -> Path:
    """Write a graph as a generator's file, whatever it is."""
    model.metadata_props.add(key=KEY, value=about(images=images).to_json())
    path.write_bytes(seal(model.SerializeToString()))
    return path
