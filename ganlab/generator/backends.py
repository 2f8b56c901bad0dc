"""What computes a generator: torch, onnxruntime or a plugin's exporter, on which device, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ganlab.errors import ArtefactError, GanlabError
from ganlab.generator.file import Artefact, OtherFormatError, Outline
from ganlab.generator.formats import Foreign
from ganlab.hardware.load import yielding_threads
from ganlab.hardware.onnx_session import open_session
from ganlab.messages import one_line

Floats = np.ndarray[Any, np.dtype[np.float32]]
"""What a network makes: pictures `(N, C, H, W)` in [-1, 1], where it is the generator."""
Compute = Callable[[Mapping[str, np.ndarray[Any, Any]]], Floats]
"""From a network's inputs by name, in the order of its arguments, to what it makes: a generator, images."""


def check_outline(outline: Outline) -> None:
    """Refuse a file that cannot be computed, by what it says about itself. Loads torch for a safetensors file alone."""
    if outline.kind != "safetensors":
        return
    try:
        with yielding_threads():
            import torch  # noqa: F401  # without it, nothing of the file is worth reading
    except ImportError as error:
        raise GanlabError(f"{outline.path}: needs torch; an exported .onnx file does without it") from error
    from ganlab.generator.network import refuse_unlike

    refuse_unlike(outline)


def with_torch(artefact: Artefact, device: str) -> dict[str, Compute]:
    """Return the functions that the built networks are, by their names."""
    import torch

    from ganlab.generator.network import load_network
    from ganlab.hardware.device import choose_device, tf32, usual_modes
    from ganlab.networks.shipment import parts

    current = torch.cuda.current_device() if torch.cuda.is_available() else 0
    target = choose_device(device, "device", current)
    loaded = load_network(artefact).to(target)
    # In fp32, CUDA's convolutions are slower in this layout, and the CPU's faster.
    networks = parts(loaded.to(memory_format=torch.channels_last) if target.type == "cpu" else loaded)

    def compute(name: str, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Floats:
        # Without TF32 a seed is the same picture on every device.
        with usual_modes(), torch.inference_mode(), tf32(allowed=False):
            made = networks[name](*(torch.from_numpy(array).to(target) for array in inputs.values()))
            return np.asarray(made.float().cpu().numpy())

    return {name: partial(compute, name) for name in networks}


def with_onnxruntime(artefact: Artefact, device: str) -> dict[str, Compute]:
    """Return the function that the graph is, by the name of its network. Loads neither torch nor onnx."""
    session = open_session(artefact.data, artefact.path, device)
    _check_signature(artefact, session)
    network = artefact.metadata.network
    output, _ = artefact.metadata.makes(network)
    path = artefact.path  # not the artefact, which would keep the file's bytes in memory

    def compute(inputs: Mapping[str, np.ndarray[Any, Any]]) -> Floats:
        try:
            return np.asarray(session.run([output], dict(inputs))[0])
        except Exception as error:
            raise ArtefactError(f"{path}: onnxruntime cannot run it: {one_line(str(error))}") from error

    return {network: compute}


def with_exporter(foreign: Foreign, device: str) -> Compute:
    """Return the function from inputs to images that a plugin's file is, computed as its exporter does."""
    if device not in ("auto", "cpu"):
        raise GanlabError(f"{foreign.path}: {foreign.provider.title} computes its files on the CPU; use cpu or auto")

    def compute(inputs: Mapping[str, np.ndarray[Any, Any]]) -> Floats:
        with foreign.asked("cannot run it") as exporter:
            return np.asarray(exporter.run(foreign.path, inputs), np.float32)

    return compute


def _check_signature(artefact: Artefact, session: Any) -> None:
    """Refuse a graph whose inputs and outputs are not those that its metadata promises."""
    metadata = artefact.metadata
    expected = {
        name: ("tensor(float)" if shape else "tensor(int64)", list(shape))
        for name, shape in metadata.takes(metadata.network).items()
    }
    found = {value.name: (value.type, value.shape[1:]) for value in session.get_inputs()}
    dynamic = all(value.shape and not isinstance(value.shape[0], int) for value in session.get_inputs())
    outputs = {value.name: value.type for value in session.get_outputs()}
    if outputs and all(kind == "tensor(uint8)" for kind in outputs.values()):
        raise OtherFormatError(  # which a plugin's exporter may know
            f"{artefact.path}: makes bytes, for a program such as torch-fidelity; name the run, its "
            "generator.safetensors or a file of the exporter onnx"
        )
    if found != expected or not dynamic or outputs != {metadata.makes(metadata.network)[0]: "tensor(float)"}:
        raise OtherFormatError(
            f"{artefact.path}: its graph is not what its metadata promises: "
            f"it takes {sorted(found)} and makes {sorted(outputs)}, or their shapes differ; export it again"
        )
