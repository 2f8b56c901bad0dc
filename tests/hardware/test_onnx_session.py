"""What computes an ONNX graph: a session that suits the process, on the device that was asked for."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from ganlab.errors import GanlabError
from ganlab.hardware.cores import physical_cores
from ganlab.hardware.onnx_session import _providers, session_options

CUDA = "CUDAExecutionProvider"


def test_the_session_suits_the_process() -> None:
    options = session_options()
    assert options.intra_op_num_threads == physical_cores()
    assert options.inter_op_num_threads == 1
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.model_external_initializers_file_folder_path").endswith("/none")


@pytest.mark.parametrize(
    ("device", "available", "expected"),
    [
        ("auto", ["CPUExecutionProvider"], None),
        ("cpu", [CUDA, "CPUExecutionProvider"], None),
        ("auto", [CUDA, "CPUExecutionProvider"], 0),
        ("cuda", [CUDA, "CPUExecutionProvider"], 0),
        ("cuda:3", [CUDA, "CPUExecutionProvider"], 3),
    ],
)
def test_the_device_decides_the_provider(device: str, available: list[str], expected: int | None) -> None:
    providers = _providers(Path("g.onnx"), device, available)
    if expected is None:
        assert providers == ["CPUExecutionProvider"]
    else:
        settings = {"device_id": expected, "use_tf32": 0, "cudnn_conv_algo_search": "HEURISTIC"}
        assert providers == [(CUDA, settings), "CPUExecutionProvider"]


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_without_its_provider_is_one_sentence(device: str) -> None:
    with pytest.raises(
        GanlabError, match=r"\.onnx: this onnxruntime has no CUDA: pip install onnxruntime-gpu, or use cpu"
    ):
        _providers(Path("g.onnx"), device, ["AzureExecutionProvider", "CPUExecutionProvider"])
