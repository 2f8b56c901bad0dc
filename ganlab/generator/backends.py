"""What computes a generator: torch, or onnxruntime with its settings, on which device, and what is refused."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ganlab.errors import ArtefactError, GanlabError
from ganlab.generator.file import Artefact, OtherFormatError, Outline
from ganlab.generator.formats import Foreign
from ganlab.hardware.cores import physical_cores
from ganlab.messages import one_line

Floats = np.ndarray[Any, np.dtype[np.float32]]
Compute = Callable[[Mapping[str, np.ndarray[Any, Any]]], Floats]
"""From a network's inputs by name, in the order of its arguments, to what it makes: a generator, images."""


def check_outline(outline: Outline) -> None:
    """Refuse a file that cannot be computed, by what it says about itself. Loads torch for a safetensors file alone."""
    if outline.kind != "safetensors":
        return
    try:
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


def open_session(data: bytes, path: Path, device: str) -> Any:
    """Return the `onnxruntime.InferenceSession` of a file's bytes. Raise `GanlabError` where it is refused."""
    try:
        import onnxruntime
    except ImportError as error:
        raise GanlabError(f"{path}: needs onnxruntime: pip install onnxruntime") from error

    providers = _providers(path, device, onnxruntime.get_available_providers())
    if len(providers) > 1:
        with redirect_stdout(io.StringIO()):  # what is missing is told by the session, which then lacks CUDA
            onnxruntime.preload_dlls()
    options = session_options()
    try:
        # Where there is nothing else to fall back to, onnxruntime would print an error and try the same again.
        session = onnxruntime.InferenceSession(data, options, providers=providers, enable_fallback=len(providers) > 1)
    # onnxruntime's exceptions have no common class.
    except Exception as error:
        raise ArtefactError(f"{path}: onnxruntime refuses it: {one_line(str(error))}") from error
    if device.startswith("cuda") and session.get_providers()[0] != "CUDAExecutionProvider":
        raise GanlabError(f"{path}: onnxruntime cannot use {device} here; use cpu or auto")
    return session


def with_exporter(foreign: Foreign, device: str) -> Compute:
    """Return the function from inputs to images that a plugin's file is, computed as its exporter does."""
    if device not in ("auto", "cpu"):
        raise GanlabError(f"{foreign.path}: {foreign.provider.title} computes its files on the CPU; use cpu or auto")

    def compute(inputs: Mapping[str, np.ndarray[Any, Any]]) -> Floats:
        with foreign.asked("cannot run it") as exporter:
            return np.asarray(exporter.run(foreign.path, inputs), np.float32)

    return compute


def session_options() -> Any:
    """Return the `onnxruntime.SessionOptions` for a generator, which is a chain of layers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well, and told in one sentence
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Left to itself, onnxruntime counts the machine's cores, not the process's, and binds its threads to them.
    options.intra_op_num_threads = physical_cores()
    options.inter_op_num_threads = 1
    # Threads that spin while they wait save a tenth of a picture's time on an idle machine, and take the cores from
    # whoever shares it: on a busy one a picture then takes twice as long, and so does the others' work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A generator is one file. Weights that it claims to keep in others are sought below a file, where nothing can be;
    # not below its own, whose name may be one that onnxruntime cannot take.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", f"{os.devnull}/none")
    return options


def _providers(path: Path, device: str, available: list[str]) -> list[Any]:
    """Return onnxruntime's providers for a device, the preferred one first."""
    if device == "mps":
        raise GanlabError(f"{path}: an ONNX file is computed on cpu or cuda; use cpu or auto")
    cuda = "CUDAExecutionProvider" in available
    if device.startswith("cuda") and not cuda:
        raise GanlabError(f"{path}: this onnxruntime has no CUDA: pip install onnxruntime-gpu, or use cpu")
    if device == "cpu" or not cuda:
        return ["CPUExecutionProvider"]
    settings = {
        "device_id": int(device.partition(":")[2] or 0),
        # TF32 drops 13 of 23 bits, and a seed is the same picture on every device.
        "use_tf32": 0,
        # The default times the algorithms anew for every batch size, and picks another when the device is busy.
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    return [("CUDAExecutionProvider", settings), "CPUExecutionProvider"]


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
    if found != expected or not dynamic or outputs != {metadata.makes(metadata.network)[0]: "tensor(float)"}:
        raise OtherFormatError(
            f"{artefact.path}: its graph is not what its metadata promises: "
            f"it takes {sorted(found)} and makes {sorted(outputs)}, or their shapes differ; export it again"
        )
