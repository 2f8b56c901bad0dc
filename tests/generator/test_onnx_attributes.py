"""Attributes that are newer than a graph's opset, judged by ONNX's own checker, and computed by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from ganlab import PluginError
from ganlab.generator.onnx_attributes import drop_newer_attributes
from ganlab.generator.onnx_graph import onnx_graph

FORWARDS: dict[str, Callable[[Tensor], Tensor]] = {
    "halves": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "variance": lambda x: x / x.var((1, 2, 3), keepdim=True),
    "product": lambda x: x.prod(1, keepdim=True),
    "logsumexp": lambda x: x.logsumexp(1, keepdim=True),
}


class Made(nn.Module):
    def __init__(self, forward: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._forward = forward
        self.layer = nn.Linear(6, 16)

    def forward(self, z: Tensor) -> Tensor:
        return self._forward(self.layer(z).view(-1, 4, 2, 2))


@pytest.mark.parametrize("name", FORWARDS)
def test_a_graph_of_an_old_opset_is_valid_and_computes_the_same(name: str) -> None:
    network, z = Made(FORWARDS[name]).eval(), torch.randn(5, 6)
    model = onnx_graph(network, {"z": z[:2]}, 16)
    onnx.checker.check_model(model, full_check=True)
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"z": z.numpy()})[0], network(z).detach(), rtol=1e-5, atol=1e-6)


def graph(node: onnx.NodeProto, opset: int) -> onnx.ModelProto:
    """Return a graph in which the node lies inside the branch of another."""
    x, y, images = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in ("x", "y", "images")
    )
    branch = helper.make_graph([node], "branch", [], [y])
    condition = helper.make_tensor_value_info("condition", TensorProto.BOOL, [])
    outer = helper.make_node("If", ["condition"], ["images"], then_branch=branch, else_branch=branch)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(helper.make_graph([outer], "g", [condition, x], [images]), opset_imports=opsets)


@pytest.mark.parametrize("opset", [16, 17, 18, 20])
def test_what_a_newer_operator_says_by_default_is_left_out_and_anything_else_is_refused(opset: int) -> None:
    def shrunk(antialias: int) -> onnx.ModelProto:
        inputs = ["x", "", "x"]
        return graph(helper.make_node("Resize", inputs, ["y"], antialias=antialias, mode="linear"), opset)

    for antialias in (0, 1):
        model = shrunk(antialias)
        if opset < 18 and antialias:
            sentence = (
                "operator Resize has antialias from opset 18 on, and the generator needs it: set opset=18 or more"
            )
            with pytest.raises(PluginError, match=sentence):
                drop_newer_attributes(model, opset)
            continue
        drop_newer_attributes(model, opset)
        onnx.checker.check_model(model)
        for branch in model.graph.node[0].attribute:
            names = [attribute.name for attribute in branch.g.node[0].attribute]
            assert names == (["antialias", "mode"] if opset >= 18 else ["mode"])


def test_what_no_opset_has_is_left_to_the_checker() -> None:
    for operator, attributes in (
        ("Relu", {"x": 1}),
        ("Nonsense", {"num_outputs": 2}),
        ("Gelu", {"approximate": "tanh"}),
    ):
        model = graph(helper.make_node(operator, ["x"], ["y"], **attributes), 16)
        before = model.SerializeToString(deterministic=True)
        drop_newer_attributes(model, 16)
        assert model.SerializeToString(deterministic=True) == before
        with pytest.raises(onnx.checker.ValidationError, match=operator):
            onnx.checker.check_model(model)
