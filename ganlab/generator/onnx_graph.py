"""A generator as an ONNX graph: how torch's is asked for, what is refused, and what is taken out of it."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from ganlab.durable import replacing_file
from ganlab.errors import PluginError, RunError
from ganlab.generator.file import seal
from ganlab.generator.folding import fold_batchnorm
from ganlab.generator.onnx_attributes import drop_newer_attributes

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn


def onnx_graph(
    generator: nn.Module, inputs: Mapping[str, Tensor], opset: int, output: str = "images"
) -> onnx.ModelProto:
    """Return the graph of `generator` in float32, BatchNorm folded, its batch size free, checked to be what was meant.

    `inputs` are example inputs by name, in the order of its arguments; `output` names what it makes, and `opset` is the
    version of ONNX's operators. Raises `PluginError` with the remedy where the network cannot be expressed in them.
    """
    model = _translate(fold_batchnorm(generator), inputs, opset, output)
    _check(model, [*inputs, output], opset)
    drop_newer_attributes(model, opset)
    return model


def write_onnx(model: onnx.ModelProto, metadata: Mapping[str, str], path: Path) -> None:
    """Write a graph to `path`, sealed, that holds `metadata` and nothing else about its origin. Changes `model`.

    `metadata` is that of `Exporter.export`, as it was given. Raises `RunError` where the file would be too large.
    """
    import onnx

    _strip(model)
    model.producer_name, model.producer_version = "ganlab", ""
    # torch writes one version of the format for every opset; a program refuses one that is newer than itself,
    # although it knows all the operators.
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    try:
        data = model.SerializeToString(deterministic=True)
    except ValueError as error:  # protobuf's limit
        raise RunError("the generator is larger than the 2 GB that one ONNX file can hold") from error
    onnx.checker.check_model(data, full_check=True)
    with replacing_file(path) as temporary:
        temporary.write_bytes(seal(data))


def _translate(generator: nn.Module, inputs: Mapping[str, Tensor], opset: int, output: str) -> onnx.ModelProto:
    """Return torch's ONNX graph of the generator."""
    import torch

    try:
        with quiet():
            program = torch.onnx.export(
                generator,
                tuple(inputs.values()),
                dynamo=True,
                verbose=False,
                external_data=False,
                opset_version=opset,
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=tuple({0: "batch"} for _ in inputs),
            )
    # torch raises its own errors, and whatever the model's forward raises while it is traced.
    except Exception as error:
        raise PluginError(f"torch cannot express the generator in ONNX: {_reason(error)}") from error
    if program is None:
        raise RunError("torch returned no ONNX graph")
    model: onnx.ModelProto = program.model_proto
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Keep a library's progress, warnings and logs to itself: what matters about the graph is checked afterwards."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


_REMEDIES = {
    r"data-dependent": "its forward decides by the values of tensors; replace `if` and `while` on them by torch.where",
    r"static shape|specialized|ConstraintViolation": "its forward fixes the batch size; take it from z.shape[0]",
    r"node %conv\w*.*sym_size": "a convolution with groups = batch size has no ONNX form; scale its input and output "
    "by the style instead of its weights",
    r"No ONNX function|No decompositions": "ONNX has no such operator; write it with operators that ONNX has",
}
"""What an error of torch's exporter says, and what to do about it."""


def _reason(error: BaseException) -> str:
    """Return the first cause of torch's page-long error in one line, with a remedy where one is known."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    cause = chain[-1]
    everything = "\n".join(str(link) for link in chain)
    remedy = next((remedy for pattern, remedy in _REMEDIES.items() if re.search(pattern, everything)), None)
    line = next((line.strip() for line in str(cause).splitlines() if line.strip()), "")
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    return f"{type(cause).__name__}: {line[:200]}" + (f". {remedy[0].upper()}{remedy[1:]}" if remedy else "")


def _check(model: onnx.ModelProto, names: list[str], opset: int) -> None:
    """Refuse a graph that is not what was asked for: torch answers some wishes with a warning only."""
    written = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if written != {"ai.onnx": opset}:
        found = ", ".join(f"{name} {number}" for name, number in written.items())
        raise RunError(f"opset {opset} was asked for, but torch wrote {found}; choose another opset")
    if model.functions:
        raise RunError(f"torch wrote functions of its own into the graph: {', '.join(f.name for f in model.functions)}")
    values = [*model.graph.input, *model.graph.output]
    if [value.name for value in values] != names:
        raise RunError(f"torch named the graph's inputs and outputs {', '.join(value.name for value in values)}")
    for value in values:
        if not value.type.tensor_type.shape.dim[0].dim_param:
            raise PluginError(
                f"the batch size of {value.name} is fixed in the graph; take it from z.shape[0] in forward"
            )


def _strip(model: onnx.ModelProto) -> None:
    """Remove what torch says about the machine and the code: stack traces with paths, names of modules, notes."""
    import onnx

    model.doc_string = ""
    del model.metadata_props[:]
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        graph.doc_string = ""
        del graph.metadata_props[:], graph.value_info[:], graph.quantization_annotation[:]
        for item in (*graph.input, *graph.output, *graph.initializer, *graph.node):
            item.doc_string = ""
            del item.metadata_props[:]
        for node in graph.node:
            for attribute in node.attribute:
                attribute.doc_string = ""
                graphs += [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else [*attribute.graphs]
