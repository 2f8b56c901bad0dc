"""Transposed convolutions as ordinary ones, with as many multiplications: onnxruntime has no other kind in int8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import onnx

Floats = np.ndarray[Any, np.dtype[np.float32]]

TAPS = ([3, 1], [2, 0])
"""The taps of a kernel of 4, stride 2 and padding 1 that meet the even pixels of its output, and the odd ones."""


class Layer(NamedTuple):
    """A `ConvTranspose` node with what it works on."""

    node: onnx.NodeProto
    weight: Floats
    """`(in, out, height, width)`"""
    bias: Floats | None
    """`(out,)`"""
    shape: list[int]
    """Of the input, `(N, in, height, width)`; 0 where it is not known."""


class Rewritten(NamedTuple):
    """Nodes and weights in a layer's place."""

    nodes: list[onnx.NodeProto]
    weights: list[onnx.TensorProto]


def in_subpixel_form(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """Return the model without the transposed convolutions that convolutions or a matrix product can stand for.

    These are the ones of kernel 4, stride 2 and padding 1, and those of an input of 1 x 1. A ReLU behind one moves
    into it. The last convolution of the graph, which makes the pixels, stays as it is. Also returns the names of the
    convolutions and of the nodes that interleave their pixels.
    """
    import onnx

    model = onnx.shape_inference.infer_shapes(model)
    graph, names = model.graph, []
    last = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")][-1:]
    for layer in list(_layers(graph)):
        if layer.node in last:
            continue
        relu = _relu_behind(graph, layer.node)
        output = (relu or layer.node).output[0]
        match layer.weight.shape[2:], layer.shape[2:], _geometry(layer.node):
            case _, [1, 1], ([0, 0, 0, 0], _):
                rewritten = _as_product(layer, output, relu is not None)
            case (4, 4), [int(height), int(width)], ([1, 1, 1, 1], [2, 2]) if height and width:
                rewritten = _as_convolutions(layer, output, relu is not None)
                names += [node.name for node in rewritten.nodes]
            case _:
                continue
        place = list(graph.node).index(layer.node)
        for node in (layer.node, relu):
            if node is not None:
                graph.node.remove(node)
        for node in reversed(rewritten.nodes):
            graph.node.insert(place, node)
        graph.initializer.extend(rewritten.weights)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    del graph.value_info[:]
    return model, names


def _layers(graph: onnx.GraphProto) -> Iterator[Layer]:
    """Yield the convolutions that are transposed, ungrouped and undilated, and have weights of their own."""
    from onnx import helper, numpy_helper

    weights = {tensor.name: tensor for tensor in graph.initializer}
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info)
    }
    for node in graph.node:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        plain = attributes.get("group", 1) == 1 and set(attributes.get("dilations", [1])) == {1}
        plain = plain and not any(attributes.get("output_padding", [0])) and "output_shape" not in attributes
        if node.op_type == "ConvTranspose" and plain and all(name in weights for name in node.input[1:]):
            weight, *bias = (numpy_helper.to_array(weights[name]) for name in node.input[1:])
            shape = shapes.get(node.input[0], [])
            if weight.ndim == 4 and len(shape) == 4:
                yield Layer(node, weight, bias[0] if bias else None, shape)


def _geometry(node: onnx.NodeProto) -> tuple[list[int], list[int]]:
    """Return pads and strides."""
    from onnx import helper

    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return list(attributes.get("pads", [0] * 4)), list(attributes.get("strides", [1] * 2))


def _relu_behind(graph: onnx.GraphProto, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """Return the ReLU that alone uses a node's output."""
    users = [user for user in graph.node if node.output[0] in user.input]
    return users[0] if len(users) == 1 and users[0].op_type == "Relu" else None


def _as_product(layer: Layer, output: str, relu: bool) -> Rewritten:
    """Return a matrix product: a picture of one pixel meets every tap of the kernel once."""
    from onnx import helper, numpy_helper

    name = layer.node.output[0]
    inputs, channels, height, width = layer.weight.shape
    flat, weight, bias, shape = (f"{name}.{part}" for part in ("flat", "weight", "bias", "shape"))
    weights = [
        numpy_helper.from_array(np.array([0, -1], np.int64), flat),
        numpy_helper.from_array(np.ascontiguousarray(layer.weight.reshape(inputs, -1)), weight),
        numpy_helper.from_array(np.array([0, channels, height, width], np.int64), shape),
    ]
    if layer.bias is not None:
        weights.append(numpy_helper.from_array(np.repeat(layer.bias, height * width), bias))
    made = f"{name}.map" if relu else output
    factors = [f"{name}.row", weight, *([bias] if layer.bias is not None else [])]
    nodes = [
        helper.make_node("Reshape", [layer.node.input[0], flat], [factors[0]], f"{name}.flatten"),
        helper.make_node("Gemm", factors, [f"{name}.product"], f"{name}.multiply"),
        helper.make_node("Reshape", [f"{name}.product", shape], [made], f"{name}.unflatten"),
    ]
    if relu:
        nodes.append(helper.make_node("Relu", [made], [output], f"{name}.relu"))
    return Rewritten(nodes, weights)


def _as_convolutions(layer: Layer, output: str, relu: bool) -> Rewritten:
    """Return four convolutions 2 x 2, one for each parity of row and column, whose pixels are then interleaved.

    They are interleaved with the channels last, which is how onnxruntime computes in int8: so whole pixels are
    copied, three times as fast as by `DepthToSpace`.
    """
    from onnx import helper, numpy_helper

    name, channels, (height, width) = layer.node.output[0], layer.weight.shape[1], layer.shape[2:]
    row, rows = f"{name}.row_shape", f"{name}.rows_shape"
    weights = [
        numpy_helper.from_array(np.array([0, height, 1, 2 * width * channels], np.int64), row),
        numpy_helper.from_array(np.array([0, 2 * height, 2 * width, channels], np.int64), rows),
    ]
    if layer.bias is not None:
        weights.append(numpy_helper.from_array(layer.bias, f"{name}.bias"))
    nodes = []
    for i in (0, 1):
        for j in (0, 1):
            part = f"{name}.{i}{j}"
            kernel = layer.weight[:, :, TAPS[i]][:, :, :, TAPS[j]].transpose(1, 0, 2, 3)
            weights.append(numpy_helper.from_array(np.ascontiguousarray(kernel), f"{part}.weight"))
            inputs = [layer.node.input[0], f"{part}.weight", *([f"{name}.bias"] if layer.bias is not None else [])]
            # Even pixels see the neighbour before them, odd ones the neighbour behind.
            pads = [1 - i, 1 - j, i, j]
            nodes.append(helper.make_node("Conv", inputs, [part], f"{part}.conv", kernel_shape=[2, 2], pads=pads))
            if relu:
                nodes.append(helper.make_node("Relu", [part], [f"{part}.relu"], f"{part}.relu"))
            made = f"{part}.relu" if relu else part
            nodes.append(helper.make_node("Transpose", [made], [f"{part}.last"], f"{part}.last", perm=[0, 2, 3, 1]))
        columns = [f"{name}.{i}0.last", f"{name}.{i}1.last"]
        nodes += [
            helper.make_node("Concat", columns, [f"{name}.{i}.pair"], f"{name}.{i}.pair", axis=3),
            helper.make_node("Reshape", [f"{name}.{i}.pair", row], [f"{name}.{i}.row"], f"{name}.{i}.row"),
        ]
    nodes += [
        helper.make_node("Concat", [f"{name}.0.row", f"{name}.1.row"], [f"{name}.all"], f"{name}.all", axis=2),
        helper.make_node("Reshape", [f"{name}.all", rows], [f"{name}.pixels"], f"{name}.pixels"),
        helper.make_node("Transpose", [f"{name}.pixels"], [output], f"{name}.first", perm=[0, 3, 1, 2]),
    ]
    return Rewritten(nodes, weights)
