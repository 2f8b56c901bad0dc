"""What computes an ONNX graph: onnxruntime with its settings, on which device, and what is refused."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from ganlab.errors import ArtefactError, GanlabError, printable
from ganlab.hardware.cores import physical_cores


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
        said = printable(" ".join(str(error)[:200].split()))
        raise ArtefactError(f"{path}: onnxruntime refuses it: {said}") from error
    if device.startswith("cuda") and session.get_providers()[0] != "CUDAExecutionProvider":
        raise GanlabError(f"{path}: onnxruntime cannot use {device} here; use cpu or auto")
    return session


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
