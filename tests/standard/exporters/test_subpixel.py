from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ganlab.standard.exporters.subpixel import in_subpixel_form

Floats = np.ndarray[Any, Any]


def transposed_convolution(x: Floats, w: Floats, b: Floats, stride: int, pad: int) -> Floats:
    """Scatter every input pixel times the kernel, float64: what a transposed convolution is defined as."""
    count, _, height, width = x.shape
    _, channels, rows, columns = w.shape
    full = np.zeros((count, channels, (height - 1) * stride + rows, (width - 1) * stride + columns))
    for i in range(height):
        for j in range(width):
            part = np.einsum("nc,cohw->nohw", x[:, :, i, j], w)
            full[:, :, i * stride : i * stride + rows, j * stride : j * stride + columns] += part
    return full[:, :, pad : full.shape[2] - pad, pad : full.shape[3] - pad] + b[:, None, None]


class Layer:
    """Random weights of one `ConvTranspose`."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], stride: int, pad: int, seed: int) -> None:
        random = np.random.RandomState(seed)
        self.stride, self.pad = stride, pad
        self.weight = random.standard_normal((inputs, outputs, *kernel)).astype(np.float32)
        self.bias = random.standard_normal(outputs).astype(np.float32)


def graph(shape: tuple[int, ...], layers: list[Layer], relu: bool, **attributes: Any) -> onnx.ModelProto:
    """Return a graph of transposed convolutions on `x (batch, *shape)`, ReLU between them, and one 1 x 1 at the end."""
    nodes, weights, last = [], [], "x"
    for index, layer in enumerate(layers):
        weights += [
            numpy_helper.from_array(layer.weight, f"w{index}"),
            numpy_helper.from_array(layer.bias, f"b{index}"),
        ]
        nodes.append(
            helper.make_node(
                "ConvTranspose", [last, f"w{index}", f"b{index}"], [f"c{index}"], f"c{index}",
                strides=[layer.stride] * 2, pads=[layer.pad] * 4, **attributes,
            )
        )  # fmt: skip
        last = f"c{index}"
        if relu:
            nodes.append(helper.make_node("Relu", [last], [f"r{index}"], f"r{index}"))
            last = f"r{index}"
    channels = layers[-1].weight.shape[1]
    weights.append(numpy_helper.from_array(np.eye(channels, dtype=np.float32)[:, :, None, None], "identity"))
    nodes.append(helper.make_node("Conv", [last, "identity"], ["images"], "pixels"))
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, list("nchw"))],
        weights,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def run(model: onnx.ModelProto, x: Floats) -> Floats:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (4, 4), (3, 5)])
@pytest.mark.parametrize("count", [1, 3])
def test_four_convolutions_are_the_transposed_one(size: tuple[int, int], count: int, relu: bool) -> None:
    layer = Layer(5, 3, (4, 4), 2, 1, seed=0)
    x = np.random.RandomState(1).standard_normal((count, 5, *size)).astype(np.float32)
    model, names = in_subpixel_form(graph((5, *size), [layer], relu))
    expected = transposed_convolution(x.astype(float), layer.weight.astype(float), layer.bias, 2, 1)
    made = run(model, x)
    assert made.shape == (count, 3, 2 * size[0], 2 * size[1])
    np.testing.assert_allclose(made, np.maximum(expected, 0) if relu else expected, atol=1e-5)
    assert kinds(model)["ConvTranspose"] == 0
    assert kinds(model)["Conv"] == 5
    assert kinds(model)["Relu"] == 4 * relu
    assert len(names) == 4 + 4 * relu + 4 + 3 + 3 + 1
    assert {node.name for node in model.graph.node} - set(names) == {"pixels"}


def test_the_rewritten_arithmetic_is_exact() -> None:
    # Whole numbers, of which float32 loses none: not one bit may differ.
    layer = Layer(3, 2, (4, 4), 2, 1, seed=0)
    layer.weight, layer.bias = np.rint(layer.weight * 5), np.rint(layer.bias * 5)
    x = np.rint(np.random.RandomState(1).standard_normal((2, 3, 4, 4)) * 5).astype(np.float32)
    model, _ = in_subpixel_form(graph((3, 4, 4), [layer], relu=False))
    expected = transposed_convolution(x.astype(float), layer.weight.astype(float), layer.bias, 2, 1)
    assert np.array_equal(run(model, x), expected)


def test_as_many_multiplications_as_before() -> None:
    layer = Layer(5, 3, (4, 4), 2, 1, seed=0)
    model, _ = in_subpixel_form(graph((5, 4, 4), [layer], relu=False))
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    convolutions = [weights[node.input[1]] for node in model.graph.node if node.op_type == "Conv"][:4]
    assert convolutions == [(3, 5, 2, 2)] * 4
    assert layer.weight.size == 4 * 3 * 5 * 2 * 2
    assert "w0" not in weights


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("kernel", [(4, 4), (2, 3), (1, 1)])
def test_a_projection_of_one_pixel_is_a_matrix_product(kernel: tuple[int, int], relu: bool) -> None:
    layer = Layer(6, 4, kernel, 1, 0, seed=0)
    x = np.random.RandomState(1).standard_normal((3, 6, 1, 1)).astype(np.float32)
    model, names = in_subpixel_form(graph((6, 1, 1), [layer], relu))
    expected = transposed_convolution(x.astype(float), layer.weight.astype(float), layer.bias, 1, 0)
    np.testing.assert_allclose(run(model, x), np.maximum(expected, 0) if relu else expected, atol=1e-5)
    assert kinds(model) == Counter({"Reshape": 2, "Gemm": 1, "Conv": 1, **({"Relu": 1} if relu else {})})
    assert names == []


def test_a_chain_is_rewritten_but_for_its_last_layer() -> None:
    layers = [Layer(6, 5, (4, 4), 1, 0, 0), Layer(5, 4, (4, 4), 2, 1, 1), Layer(4, 3, (4, 4), 2, 1, 2)]
    model = graph((6, 1, 1), layers, relu=True)
    x = np.random.RandomState(3).standard_normal((2, 6, 1, 1)).astype(np.float32)
    expected = run(model, x)
    del model.graph.node[-2:]  # so that a transposed convolution makes the pixels
    model.graph.node[-1].output[0] = "images"
    before = run(model, x)
    rewritten, _ = in_subpixel_form(model)
    assert kinds(rewritten)["ConvTranspose"] == 1
    assert (kinds(rewritten)["Gemm"], kinds(rewritten)["Conv"]) == (1, 4)
    np.testing.assert_allclose(run(rewritten, x), before, atol=1e-4)
    np.testing.assert_allclose(np.maximum(before, 0), expected, atol=1e-4)


OTHERS: dict[str, tuple[Layer, dict[str, Any]]] = {
    "kernel 3": (Layer(4, 4, (3, 3), 2, 1, 0), {}),
    "kernel 2": (Layer(4, 4, (2, 2), 2, 0, 0), {}),
    "stride 1": (Layer(4, 4, (4, 4), 1, 1, 0), {}),
    "grouped": (Layer(4, 2, (4, 4), 2, 1, 0), {"group": 2}),
    "dilated": (Layer(4, 4, (4, 4), 2, 1, 0), {"dilations": [2, 2]}),
    "output padded": (Layer(4, 4, (4, 4), 2, 1, 0), {"output_padding": [1, 1]}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_layers_stay(name: str) -> None:
    layer, attributes = OTHERS[name]
    if name == "grouped":
        layer.bias = np.zeros(4, np.float32)
    model = graph((4, 4, 4), [layer], relu=True, **attributes)
    if name == "grouped":
        model.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.ones((4, 4, 1, 1), np.float32), "identity"))
    x = np.random.RandomState(1).standard_normal((2, 4, 4, 4)).astype(np.float32)
    rewritten, names = in_subpixel_form(model)
    assert kinds(rewritten) == kinds(model)
    assert names == []
    assert np.array_equal(run(rewritten, x), run(model, x))


def test_a_size_that_is_not_known_stays() -> None:
    model = graph((5, 4, 4), [Layer(5, 3, (4, 4), 2, 1, seed=0)], relu=False)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    assert kinds(in_subpixel_form(model)[0])["ConvTranspose"] == 1


def test_an_output_that_others_use_keeps_its_relu_apart() -> None:
    model = graph((5, 4, 4), [Layer(5, 3, (4, 4), 2, 1, seed=0)], relu=True)
    model.graph.node[1].op_type = "Neg"
    assert kinds(in_subpixel_form(model)[0])["Neg"] == 1
