from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from shipping import about, registered, ship, ship_labelled

from ganlab import load_generator
from ganlab.errors import ArtefactError, GanlabError
from ganlab.generator.file import KEY, read_metadata, seal
from ganlab.generator.generator import BATCH, Generator

DIM, PIXELS = 6, 3 * 8 * 8


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def generator(tmp_path: Path) -> Generator:
    ship(tmp_path / "g.safetensors")
    return load_generator(tmp_path / "g.safetensors")


@pytest.fixture
def labelled(tmp_path: Path) -> Generator:
    ship_labelled(tmp_path / "l.safetensors")
    return load_generator(tmp_path / "l.safetensors", device="cpu")


def graph(**changes: object) -> onnx.ModelProto:
    """Return a small ONNX generator: images = tanh(z W) reshaped. `changes` makes it another than it claims to be."""
    dim, size = changes.get("dim", DIM), changes.get("size", "batch")
    weights = numpy_helper.from_array(np.random.RandomState(0).standard_normal((dim, PIXELS)).astype(np.float32), "w")
    shape = numpy_helper.from_array(np.array([-1, 3, 8, 8]), "shape")
    inputs = [
        helper.make_tensor_value_info(changes.get("input", "z"), changes.get("type", TensorProto.FLOAT), [size, dim])
    ]
    if "labels" in changes:
        inputs.append(helper.make_tensor_value_info("labels", TensorProto.INT64, ["batch"]))
    nodes = [
        helper.make_node("MatMul", [inputs[0].name, "w"], ["flat"]),
        helper.make_node("Tanh", ["flat"], ["bounded"]),
        helper.make_node("Reshape", ["bounded", "shape"], [changes.get("output", "images")]),
    ]
    outputs = [helper.make_tensor_value_info(changes.get("output", "images"), TensorProto.FLOAT, changes.get("made"))]
    initializers = [changes.get("weights", weights), shape]
    made = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def shipped_graph(path: Path, model: onnx.ModelProto) -> Path:
    model.metadata_props.add(key=KEY, value=about().to_json())
    path.write_bytes(seal(model.SerializeToString()))
    return path


# Calling


def test_images_are_those_of_torch(tmp_path: Path) -> None:
    network = ship(tmp_path / "g")
    z = np.random.RandomState(0).standard_normal((5, DIM)).astype(np.float32)
    images = load_generator(tmp_path / "g", device="cpu")(z)
    assert images.dtype == np.float32
    assert images.shape == (5, 3, 8, 8)
    assert np.array_equal(images, network(torch.from_numpy(z)).numpy())


def test_images_are_those_of_onnxruntime(tmp_path: Path) -> None:
    path = shipped_graph(tmp_path / "g.onnx", graph())
    generator = load_generator(str(path))
    z = generator.latents(range(3))
    weights = np.random.RandomState(0).standard_normal((DIM, PIXELS)).astype(np.float32)
    np.testing.assert_allclose(generator(z), np.tanh(z @ weights).reshape(3, 3, 8, 8), atol=1e-6)


def test_a_run_is_its_generator(tmp_path: Path) -> None:
    ship(tmp_path / "generator.safetensors")
    assert load_generator(tmp_path).metadata.recipe.name == "faces"


def test_bytes_tell_what_a_file_is_and_its_ending_does_not(tmp_path: Path) -> None:
    ship(tmp_path / "g.onnx")
    assert load_generator(tmp_path / "g.onnx").sample([1]).shape == (1, 8, 8, 3)
    path = shipped_graph(tmp_path / "g.safetensors", graph())
    assert load_generator(path).sample([1]).shape == (1, 8, 8, 3)


def test_many_latents_are_computed_in_parts(generator: Generator) -> None:
    z = generator.latents(range(2 * BATCH + 3))
    images = generator(z)
    assert len(images) == len(z)
    assert np.abs(images[-1:] - generator(z[-1:])).max() < 1e-6
    assert generator(z[:0]).shape == (0, 3, 8, 8)


def test_other_floats_and_strides_are_taken(generator: Generator) -> None:
    z = generator.latents(range(4))
    assert np.array_equal(generator(np.asfortranarray(z.astype(np.float64))), generator(z))
    assert np.array_equal(generator(z[::2]), generator(np.ascontiguousarray(z[::2])))


@pytest.mark.parametrize(
    "z", [np.zeros((2, 5)), np.zeros(6), np.zeros((1, 6, 1)), np.zeros((2, 6), int), [["a"] * 6]], ids=str
)
def test_latents_of_another_shape_or_type_are_refused(generator: Generator, z: np.ndarray) -> None:
    with pytest.raises(ArtefactError, match=r"g\.safetensors: z must be floats of shape \(N, 6\), not"):
        generator(z)


def test_latents_that_are_not_finite_are_refused(generator: Generator) -> None:
    with pytest.raises(ArtefactError, match="z holds values that are not finite"):
        generator(np.full((1, DIM), np.nan))


# Labels


def test_labels_reach_the_network(labelled: Generator) -> None:
    z = labelled.latents([3, 3])
    images = labelled(z, np.array([0, 4]))
    assert images.shape == (2, 1, 4, 4)
    assert np.abs(images[0] - images[1]).max() > 0.01


@pytest.mark.parametrize("label", [-1, 5, 2**40])
def test_a_label_that_is_no_class_is_refused(labelled: Generator, label: int) -> None:
    with pytest.raises(ArtefactError, match=rf"label {label} is none of its classes, 0 to 4"):
        labelled(labelled.latents([0, 1]), np.array([2, label]))
    with pytest.raises(ArtefactError, match=rf"label {label} is none of its classes, 0 to 4"):
        labelled.sample([0], label=label)


@pytest.mark.parametrize("labels", [np.zeros(3, int), np.zeros((2, 1), int), np.zeros(2), np.zeros(2, bool)], ids=str)
def test_labels_of_another_shape_or_type_are_refused(labelled: Generator, labels: np.ndarray) -> None:
    with pytest.raises(ArtefactError, match=r"labels must be integers of shape \(2,\), not"):
        labelled(labelled.latents([0, 1]), labels)


def test_labels_are_needed_or_not_taken(generator: Generator, labelled: Generator) -> None:
    with pytest.raises(ArtefactError, match="needs labels from 0 to 4, one a latent"):
        labelled(labelled.latents([0]))
    with pytest.raises(ArtefactError, match="takes no labels: its model is not conditional"):
        generator(generator.latents([0]), np.array([0]))
    with pytest.raises(ArtefactError, match="takes no labels"):
        generator.sample([0], label=0)


def test_without_a_label_the_seed_decides_the_class(labelled: Generator) -> None:
    assert np.array_equal(labelled.sample([7, 12]), labelled.sample([7, 12], label=2))
    assert not np.array_equal(labelled.sample([8]), labelled.sample([8], label=2))


# Sampling


def test_a_seed_is_the_same_picture_in_any_batch(generator: Generator) -> None:
    pictures = generator.sample(range(20))
    assert pictures.dtype == np.uint8
    assert pictures.shape == (20, 8, 8, 3)
    others = generator.sample([7, 3], batch_size=1)
    assert np.abs(pictures[[7, 3]].astype(int) - others).max() <= 1
    assert np.array_equal(generator.sample(iter([5]))[0], generator.sample([5])[0])


def test_latents_follow_the_distribution_in_the_file(generator: Generator, labelled: Generator) -> None:
    assert np.abs(generator.latents(range(50))).max() > 1
    assert np.abs(labelled.latents(range(50))).max() < 1


def test_what_is_no_seed_or_batch_size_is_refused(generator: Generator) -> None:
    with pytest.raises(ArtefactError, match=r"g\.safetensors: '-1' is not a seed"):
        generator.sample([-1])
    with pytest.raises(ArtefactError, match="batch_size must be at least 1, not 0"):
        generator.sample([1], batch_size=0)


# Devices


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:0", "", "CPU"])
def test_an_unknown_device_is_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(GanlabError, match=f'device "{device}" is none of auto, cpu, cuda, cuda:N and mps'):
        load_generator(tmp_path, device=device)


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_seed_is_the_same_picture_on_cuda(tmp_path: Path) -> None:
    ship(tmp_path / "g")
    pictures = [load_generator(tmp_path / "g", device=device).sample(range(64)) for device in ("cpu", "cuda")]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1


# Files that are not what they claim


SIGNATURES = {
    "input": {"input": "noise"},
    "output": {"output": "rgb"},
    "latent_dim": {"dim": 5},
    "fixed batch": {"size": 4},
    "an input more": {"labels": True},
}


@pytest.mark.parametrize("changes", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_a_graph_with_other_inputs_or_outputs_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    path = shipped_graph(tmp_path / "g.onnx", graph(**changes))
    with pytest.raises(ArtefactError, match=r"g\.onnx: its graph is not what its metadata promises"):
        load_generator(path)


def test_pictures_of_another_shape_are_refused(tmp_path: Path) -> None:
    model = graph()
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array([-1, 3, 4, 16]), "shape"))
    generator = load_generator(shipped_graph(tmp_path / "g.onnx", model))
    with pytest.raises(ArtefactError, match=r"makes arrays of shape \(1, 3, 4, 16\) instead of \(1, 3, 8, 8\)"):
        generator.sample([0])


def test_pictures_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.full((DIM, PIXELS), np.nan, np.float32), "w")
    generator = load_generator(shipped_graph(tmp_path / "g.onnx", graph(weights=weights)))
    with pytest.raises(ArtefactError, match=r"g\.onnx: makes pictures that are not finite"):
        generator.sample([0])


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


def test_metadata_says_which_file_it_came_from_by_its_digest(tmp_path: Path) -> None:
    ship(tmp_path / "a")
    ship(tmp_path / "b", seed=1)
    digests = {load_generator(tmp_path / name).metadata.digest for name in "ab"}
    assert digests == {read_metadata(tmp_path / name).digest for name in "ab"}
    assert len(digests) == 2
