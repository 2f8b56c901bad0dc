from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from shipping import registered, ship

from ganlab import GanlabError, load_generator
from ganlab.generator.backends import _providers, session_options
from ganlab.generator.export import export
from ganlab.generator.file import Artefact, read_artefact
from ganlab.hardware.cores import physical_cores

CUDA = "CUDAExecutionProvider"


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    run = tmp_path_factory.mktemp("tiny")
    ship(run / "generator.safetensors")
    return read_artefact(export(run, "onnx").path)


def test_the_session_suits_the_process(artefact: Artefact) -> None:
    options = session_options(artefact)
    assert options.intra_op_num_threads == physical_cores()
    assert options.inter_op_num_threads == 1
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.model_external_initializers_file_folder_path").endswith("/none")


AFFINITY = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import onnxruntime
from ganlab import load_generator
def threads(): return len(os.listdir("/proc/self/task"))
load_generator(sys.argv[1], device="cpu").sample([0])  # what is started once, whatever the cores
before = threads()
generators = [load_generator(sys.argv[1], device="cpu") for _ in range(5)]
for generator in generators: generator.sample([0])
print(threads() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sets the affinity")
def test_a_process_of_one_core_gets_no_thread_more(artefact: Artefact) -> None:
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", AFFINITY, str(artefact.path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


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
def test_the_device_decides_the_provider(
    artefact: Artefact, device: str, available: list[str], expected: int | None
) -> None:
    providers = _providers(artefact, device, available)
    if expected is None:
        assert providers == ["CPUExecutionProvider"]
    else:
        settings = {"device_id": expected, "use_tf32": 0, "cudnn_conv_algo_search": "HEURISTIC"}
        assert providers == [(CUDA, settings), "CPUExecutionProvider"]


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_without_its_provider_is_one_sentence(artefact: Artefact, device: str) -> None:
    with pytest.raises(
        GanlabError, match=r"\.onnx: this onnxruntime has no CUDA: pip install onnxruntime-gpu, or use cpu"
    ):
        _providers(artefact, device, ["AzureExecutionProvider", "CPUExecutionProvider"])


@pytest.mark.gpu
@pytest.mark.skipif(CUDA not in onnxruntime.get_available_providers(), reason="needs onnxruntime with CUDA")
@pytest.mark.parametrize(("exporter", "difference"), [("onnx", 1e-4), ("onnx_fp16", 2e-2), ("onnx_int8", 2e-1)])
def test_cuda_computes_the_pictures_of_the_cpu(tmp_path: Path, exporter: str, difference: float) -> None:
    ship(tmp_path / "generator.safetensors")
    path = export(tmp_path, exporter).path
    cpu, cuda = (load_generator(path, device=device) for device in ("cpu", "cuda:0"))
    z = cpu.latents(range(130))
    np.testing.assert_allclose(cuda(z), cpu(z), rtol=0, atol=difference)
    assert np.array_equal(cuda(z), load_generator(path, device="auto")(z))
    assert np.array_equal(cuda(z), cuda(z))
    if exporter == "onnx":
        assert np.abs(cuda.sample(range(64)).astype(int) - cpu.sample(range(64))).max() <= 1


@pytest.mark.gpu
@pytest.mark.skipif(CUDA not in onnxruntime.get_available_providers(), reason="needs onnxruntime with CUDA")
def test_a_cuda_device_that_is_not_there_is_refused(artefact: Artefact) -> None:
    with pytest.raises(GanlabError, match=r"\.onnx: (onnxruntime cannot use cuda:99 here|onnxruntime refuses it)"):
        load_generator(artefact.path, device="cuda:99")
