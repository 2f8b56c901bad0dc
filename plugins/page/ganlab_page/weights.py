"""Weights of an ONNX graph in half the bytes: stored in float16, and computed with in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

FEW = 256
"""Numbers of a tensor that is not worth the operator that turns it back."""


def in_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose large weights are stored in float16, with an operator each that makes float32 of them.

    What float16 cannot hold stays as it is. onnxruntime computes these operators once, when it loads the graph.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    casts = []
    for tensor in copy.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < FEW or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.float16"))
        casts.append(helper.make_node("Cast", [f"{name}.float16"], [name], f"{name}.float32", to=TensorProto.FLOAT))
    nodes = [*casts, *copy.graph.node]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def weights_of(model: onnx.ModelProto) -> int:
    """Return how many numbers the weights of a graph have."""
    return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
