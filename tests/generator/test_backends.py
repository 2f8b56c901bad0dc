"""What computes a generator: its settings, its devices, and the graphs that are refused."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from graphs import DIM, graph, shipped_graph
from onnx import TensorProto, numpy_helper
from shipping import IMAGES, registered, ship

from ganlab import GanlabError, load_generator
from ganlab.errors import ArtefactError
from ganlab.generator.export import export
from ganlab.generator.file import Artefact, read_artefact

CUDA = "CUDAExecutionProvider"
PIXELS = math.prod(IMAGES[:3])


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return read_artefact(shipped_graph(tmp_path_factory.mktemp("tiny") / "g.onnx", graph()))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' file names are text")
def test_a_file_whose_name_is_no_text_is_computed(artefact: Artefact, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.onnx")
    path.write_bytes(artefact.data)
    named, plain = (load_generator(where, device="cpu").sample([3]) for where in (path, artefact.path))
    assert np.array_equal(named, plain)


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


@pytest.mark.gpu
@pytest.mark.skipif(CUDA not in onnxruntime.get_available_providers(), reason="needs onnxruntime with CUDA")
@pytest.mark.parametrize(("exporter", "difference"), [("onnx", 1e-4), ("onnx_fp16", 2e-2), ("onnx_int8", 2e-1)])
def test_cuda_computes_the_pictures_of_the_cpu(tmp_path: Path, exporter: str, difference: float) -> None:
    ship(tmp_path / "generator.safetensors")
    path = export(tmp_path, exporter).path
    cpu, cuda = (load_generator(path, device=device) for device in ("cpu", "cuda:0"))
    z = cpu.draw(range(130))
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


# Devices that are not there


@pytest.mark.skipif(torch.cuda.is_available(), reason="has the device")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    ship(tmp_path / "g.safetensors")
    with pytest.raises(GanlabError, match="device = cuda:3: this machine has no usable CUDA device; use cpu or auto"):
        load_generator(tmp_path / "g.safetensors", device="cuda:3")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="has the device")
def test_a_device_that_onnxruntime_does_not_have_is_refused(tmp_path: Path) -> None:
    path = shipped_graph(tmp_path / "g.onnx", graph())
    with pytest.raises(GanlabError, match="this onnxruntime has no CUDA: pip install onnxruntime-gpu, or use cpu"):
        load_generator(path, device="cuda")
    with pytest.raises(GanlabError, match="an ONNX file is computed on cpu or cuda"):
        load_generator(path, device="mps")


# Graphs that are not what they claim


SIGNATURES = {
    "input": {"input": "noise"},
    "output": {"output": "rgb"},
    "latent_dim": {"dim": 5},
    "fixed batch": {"size": 4},
    "an input more": {"labels": True},
}


@pytest.mark.parametrize("changes", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_a_graph_with_other_inputs_or_outputs_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = shipped_graph(tmp_path / "g.onnx", graph(**changes))
    with pytest.raises(ArtefactError, match=r"g\.onnx: its graph is not what its metadata promises"):
        load_generator(path)


def test_a_graph_that_cannot_be_run_is_one_sentence(tmp_path: Path) -> None:
    model = graph()
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array([-1, 3, 8, 7]), "shape"))
    generator = load_generator(shipped_graph(tmp_path / "g.onnx", model))
    with pytest.raises(ArtefactError, match=r"g\.onnx: onnxruntime cannot run it: .*Reshape"):
        generator.sample([0])


@pytest.mark.parametrize("place", ["weights.bin", "../weights.bin", "/etc/hostname", "link.bin", "g.onnx"])
def test_weights_in_another_file_are_never_read(tmp_path: Path, place: str, capfd: pytest.CaptureFixture[str]) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for path in (inside / "weights.bin", tmp_path / "weights.bin"):
        path.write_bytes(np.zeros((DIM, PIXELS), np.float32).tobytes())
    (inside / "link.bin").symlink_to(tmp_path / "weights.bin")
    os.chdir(inside)  # where onnxruntime looks for them if it is let
    weights = TensorProto(name="w", dims=[DIM, PIXELS], data_type=TensorProto.FLOAT)
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=place)
    path = shipped_graph(inside / "g.onnx", graph(weights=weights))
    with pytest.raises(ArtefactError, match=r"g\.onnx: onnxruntime refuses it: "):
        load_generator(path)
    assert capfd.readouterr().err == ""


HOSTILE = {
    "claims 4 TB of weights": TensorProto(name="w", dims=[DIM, 2**40], data_type=TensorProto.FLOAT),
    "claims negative sizes": TensorProto(name="w", dims=[-1, -4], data_type=TensorProto.FLOAT, raw_data=b"1234"),
    "unknown type": TensorProto(name="w", dims=[1], data_type=99, raw_data=b"1234"),
}


@pytest.mark.parametrize("weights", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_graph_is_one_sentence(
    tmp_path: Path, weights: TensorProto, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ArtefactError, match=r"g\.onnx: onnxruntime refuses it: ") as caught:
        load_generator(shipped_graph(tmp_path / "g.onnx", graph(weights=weights)))
    assert len(str(caught.value)) < 500
    assert capfd.readouterr().err == ""


# Without torch


BLOCKED = """
import sys

BLOCKED = "torch torchvision onnx onnxscript safetensors PIL pluggy rich click".split()

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import numpy as np
from ganlab import load_generator, read_metadata
generator = load_generator("g.onnx")
np.save("pictures.npy", generator.sample(range(4)))
print(generator.metadata.model.name, read_metadata("g.safetensors").model.name)
try:
    load_generator("g.safetensors")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_onnx_needs_numpy_pydantic_and_onnxruntime_only(tmp_path: Path) -> None:
    path = shipped_graph(tmp_path / "g.onnx", graph())
    ship(tmp_path / "g.safetensors")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert np.array_equal(np.load(tmp_path / "pictures.npy"), load_generator(path).sample(range(4)))
    assert done.stdout.splitlines() == [
        "tiny tiny",
        "GanlabError g.safetensors: needs torch; an exported .onnx file does without it",
    ]
    assert done.stderr == ""
