"""Attributes that an operator learned after the opset of a graph: torch writes some of them into older ones, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganlab.errors import PluginError

if TYPE_CHECKING:
    import onnx

IMPLIED = {("Split", "num_outputs")}
"""Attributes that tell what an older opset takes from the node itself: how many outputs it has."""


def drop_newer_attributes(model: onnx.ModelProto, opset: int) -> None:
    """Remove, in place, attributes that `opset` does not have and that say nothing but what it does anyway.

    Raises `PluginError` where one says something else.
    """
    for node in _nodes(model.graph):
        for attribute in list(node.attribute):
            since = _since(node.op_type, attribute.name, opset)
            if since is None:
                continue
            if (node.op_type, attribute.name) not in IMPLIED and not _is_default(attribute, node.op_type, since):
                raise PluginError(
                    f"operator {node.op_type} has {attribute.name} from opset {since} on, and the generator needs it: "
                    f"set opset={since} or more"
                )
            node.attribute.remove(attribute)


def _since(operator: str, attribute: str, opset: int) -> int | None:
    """Return the first opset above `opset` whose operator has an attribute; None where it has it by then, or never."""
    from onnx import defs

    # A version of an operator that is not there says nothing: onnx's checker refuses such a graph.
    versions = range(opset, defs.onnx_opset_version() + 1)
    having = [version for version in versions if _has(operator, attribute, version)]
    return having[0] if having and having[0] > opset and _has(operator, None, opset) else None


def _has(operator: str, attribute: str | None, opset: int) -> bool:
    from onnx import defs

    if not defs.has(operator, opset, ""):
        return False
    return attribute is None or attribute in defs.get_schema(operator, opset, "").attributes


def _is_default(attribute: onnx.AttributeProto, operator: str, opset: int) -> bool:
    from onnx import defs, helper

    default = defs.get_schema(operator, opset, "").attributes[attribute.name].default_value
    if not default.name:  # it has none
        return False
    return bool(helper.get_attribute_value(attribute) == helper.get_attribute_value(default))


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of the graphs in their attributes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _nodes(inner)
