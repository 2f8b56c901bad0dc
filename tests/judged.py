"""What judging is tried with: a data set of spots, a feature network, and generators known to be good or bad."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from graphs import shipped_graph
from onnx import TensorProto, helper, numpy_helper
from shipping import registered

from ganlab import Dataset, ImageSpec, Source

SIDE = 16
SPOTS = ImageSpec(1, SIDE, SIDE)


def spots(numbers: Iterable[int]) -> np.ndarray:
    """Return soft spots of light `(N, 16, 16, 1)`, one a number: always the same ones."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    made = []
    for number in numbers:
        drawn = np.random.RandomState(number)
        (y, x), (tall, wide) = drawn.uniform(4, 12, 2), drawn.uniform(1.5, 4, 2)
        light = np.exp(-((rows - y) ** 2) / (2 * tall**2) - (columns - x) ** 2 / (2 * wide**2))
        made.append(np.rint(drawn.uniform(120, 250) * light))
    return np.array(made, np.uint8)[..., None]


class Spots(Dataset):
    """Spots of light."""

    api = 1
    resolution: int = SIDE
    """Height and width."""
    channels: int = 1
    """1 for greyscale."""
    count: int = 400
    """Number of pictures."""
    first: int = 0
    """Number of the first."""

    def sources(self) -> Iterable[Path]:
        return []

    def open(self) -> Source:
        return _Spots(self)


class _Spots(Source):
    def __init__(self, options: Spots) -> None:
        self.options = options

    def __len__(self) -> int:
        return self.options.count

    def image(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return spots([self.options.first + index])[0]

    def name(self, index: int) -> str:
        return f"spot {index}"


DIMENSIONS = 12
POOL = 24


def matrix(rows: int) -> np.ndarray:
    """Return the weights of the feature networks' one layer."""
    return np.random.RandomState(1).standard_normal((rows, DIMENSIONS)).astype(np.float32)


def feature_graph(side: int | str = "side", **changes: Any) -> onnx.ModelProto:
    """Return a feature network: means of patches, mixed. Of any size, or of one; `changes` makes it none.

    Of any size it is fed 96 x 96 pixels for small pictures, which are 4 x 4 patches.
    """
    pool = POOL if isinstance(side, str) else side // 4
    numbers = 16 * changes.get("channels", 3)
    weights = changes.get("weights", matrix(numbers))
    given = helper.make_tensor_value_info(
        "pixels",
        changes.get("type", TensorProto.UINT8),
        [changes.get("batch", "n"), changes.get("channels", 3), side, side],
    )
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["floats"], ["pooled"], kernel_shape=[pool, pool], strides=[pool, pool]),
        helper.make_node("Reshape", ["pooled", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["features"]),
    ]
    initializers = [
        numpy_helper.from_array(np.array([-1, numbers]), "flat"),
        numpy_helper.from_array(weights, "weights"),
    ]
    made = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", weights.shape[1]])
    graph = helper.make_graph(nodes, "g", [given], [made, *changes.get("others", [])], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_features(path: Path, side: int | str = "side", **changes: Any) -> Path:
    path.write_bytes(feature_graph(side, **changes).SerializeToString())
    return path


def generator_of(path: Path, pictures: np.ndarray) -> Path:
    """Write a generator that draws one of the given pictures `(N, H, W, C)`: that of the largest number in z."""
    count, height, width, channels = pictures.shape
    images = ImageSpec(channels, height, width)
    table = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32) / 127.5 - 1
    dim = 6
    weights = np.random.RandomState(2).standard_normal((dim, count)).astype(np.float32)
    weights /= np.linalg.norm(weights, axis=0)  # so that each is the largest as often
    nodes = [
        helper.make_node("MatMul", ["z", "weights"], ["likes"]),
        helper.make_node("ArgMax", ["likes"], ["chosen"], axis=1, keepdims=0),
        helper.make_node("Gather", ["table", "chosen"], ["images"], axis=0),
    ]
    initializers = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(table, "table")]
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", dim])
    out = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *images[:3]])
    graph = helper.make_graph(nodes, "g", [z], [out], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    assert math.prod(table.shape) < 1_000_000
    with registered():
        return shipped_graph(path, model, images)
