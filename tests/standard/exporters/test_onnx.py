from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
import pytest
import shipping
import torch
from ganlab_dcgan import DCGAN
from pydantic import ValidationError
from shipping import about, registered, ship, ship_labelled, trained
from torch import Tensor, nn
from torch.nn import functional

from ganlab import ArtefactError, ImageSpec, PluginError, RunError, load_generator, write_generator
from ganlab.generator import onnx_graph as exporter
from ganlab.generator.export import Exported, export
from ganlab.generator.file import read_artefact
from ganlab.standard.exporters.onnx import ONNX
from ganlab.standard.exporters.safetensors import Safetensors

BATCHES = (1, 2, 7, 64)


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Exported]:
    run = tmp_path_factory.mktemp("tiny")
    network = ship(run / "generator.safetensors")
    return network, export(run, "onnx")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Exported]:
    path = tmp_path_factory.mktemp("labelled") / "generator.safetensors"
    network = ship_labelled(path)
    return network, export(path, "onnx", ["opset=18"])


# The graph


@pytest.mark.parametrize("count", BATCHES)
def test_the_graph_is_torch_at_any_batch(tiny: tuple[nn.Module, Exported], count: int) -> None:
    network, exported = tiny
    z = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    (images,) = session.run(None, {"z": z.numpy()})
    assert np.abs(images - network(z).numpy()).max() <= 1e-5
    assert 0 < exported.max_difference <= 1e-5


@pytest.mark.parametrize("count", BATCHES)
def test_a_conditional_graph_is_torch_at_any_batch(labelled: tuple[nn.Module, Exported], count: int) -> None:
    network, exported = labelled
    random = torch.Generator().manual_seed(count)
    z, labels = torch.rand(count, 6, generator=random), torch.randint(5, (count,), generator=random)
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    (images,) = session.run(None, {"z": z.numpy(), "labels": labels.numpy()})
    assert np.abs(images - network(z, labels).numpy()).max() <= 1e-5


def test_inputs_and_outputs_have_the_words_and_shapes_of_the_metadata(
    tiny: tuple[nn.Module, Exported], labelled: tuple[nn.Module, Exported]
) -> None:
    def described(exported: Exported) -> list[tuple[str, list[int | str]]]:
        graph = onnx.load(exported.path).graph
        return [
            (value.name, [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim])
            for value in (*graph.input, *graph.output)
        ]

    assert described(tiny[1]) == [("z", ["batch", 6]), ("images", ["batch", 3, 8, 8])]
    assert described(labelled[1]) == [("z", ["batch", 6]), ("labels", ["batch"]), ("images", ["batch", 1, 4, 4])]


def test_batchnorm_is_in_no_graph(tiny: tuple[nn.Module, Exported]) -> None:
    kinds = [node.op_type for node in onnx.load(tiny[1].path).graph.node]
    assert set(kinds) == {"Gemm", "Reshape", "Relu", "ConvTranspose", "Tanh"}
    assert kinds.count("ConvTranspose") == 2


@pytest.mark.parametrize("projection", ["conv", "linear"])
@pytest.mark.parametrize(
    ("exporter", "convolutions"),
    [("onnx", ("ConvTranspose", 2)), ("onnx_fp16", ("ConvTranspose", 2)), ("onnx_int8", ("Conv", 4))],
)
def test_no_graph_of_dcgan_holds_batchnorm(
    tmp_path: Path, projection: Literal["conv", "linear"], exporter: str, convolutions: tuple[str, int]
) -> None:
    model, images = DCGAN(base_channels=4, projection=projection), ImageSpec(3, 16, 16)
    network = trained(model, images)
    for layer in network.modules():  # so that pictures are not all at their limits, where nothing differs
        if isinstance(layer, nn.BatchNorm2d):
            layer.get_buffer("running_mean").zero_()
            layer.get_buffer("running_var").fill_(0.02)
            nn.init.ones_(layer.weight)
    write_generator(tmp_path / "generator.safetensors", network, about("dcgan", model, images))
    exported = export(tmp_path, exporter)
    kinds = [node.op_type for node in onnx.load(exported.path).graph.node]
    assert "BatchNormalization" not in kinds
    kind, count = convolutions
    assert kinds.count(kind) == count + (projection == "conv" and kind == "ConvTranspose")
    assert exported.max_difference > 0


def test_the_opset_asked_for_is_the_opset_written(
    tiny: tuple[nn.Module, Exported], labelled: tuple[nn.Module, Exported]
) -> None:
    for exported, opset in ((tiny[1], 20), (labelled[1], 18)):
        assert [(entry.domain, entry.version) for entry in onnx.load(exported.path).opset_import] == [("", opset)]


@pytest.mark.parametrize("opset", range(16, 26))
def test_the_format_is_as_old_as_the_opset(opset: int, tmp_path: Path) -> None:
    """ONNX's own table: the version of the format of the first release that had the opset."""
    oldest = min(release[1] for release in onnx.helper.VERSION_TABLE if release[2] == opset)
    exporter.write_onnx(graph(opset), {"ganlab": about().to_json()}, tmp_path / "g.onnx")
    assert onnx.load(tmp_path / "g.onnx").ir_version == oldest


@pytest.mark.parametrize("name", ["onnx", "onnx_fp16", "onnx_int8"])
def test_every_exporter_writes_opset_16_for_programs_of_its_time(
    tiny: tuple[nn.Module, Exported], name: str, tmp_path: Path
) -> None:
    exported = export(tiny[1].path.parent, name, {"opset": 16}, tmp_path / "g.onnx")
    model = onnx.load(exported.path)
    assert (model.ir_version, [(entry.domain, entry.version) for entry in model.opset_import]) == (8, [("", 16)])
    assert [entry.key for entry in model.metadata_props] == ["ganlab"]


def test_one_file_whose_checker_finds_nothing(tiny: tuple[nn.Module, Exported]) -> None:
    path = tiny[1].path
    onnx.checker.check_model(str(path), full_check=True)
    assert sorted(file.name for file in path.parent.iterdir()) == ["generator.onnx", "generator.safetensors"]
    assert path.stat().st_size == tiny[1].bytes < 10_000


# What is inside


def test_metadata_is_inside_and_equals_that_of_the_source(tiny: tuple[nn.Module, Exported]) -> None:
    exported = read_artefact(tiny[1].path)
    source = read_artefact(tiny[1].path.parent)
    assert exported.kind == "onnx"
    assert exported.metadata.digest != source.metadata.digest
    assert exported.metadata.model_copy(update={"digest": ""}) == about().model_copy(update={"digest": ""})
    props = {entry.key: entry.value for entry in onnx.load(tiny[1].path).metadata_props}
    assert props == {"ganlab": exported.metadata.to_json()}


def test_nothing_of_the_author_is_inside(
    tiny: tuple[nn.Module, Exported], labelled: tuple[nn.Module, Exported]
) -> None:
    for _, exported in (tiny, labelled):
        data = exported.path.read_bytes()
        assert re.findall(rb"\.py\b|/[\w.-]+/|site-packages|torch\.nn|aten[.:]|pytorch|stack_trace|forward", data) == []
        model = onnx.load(exported.path)
        assert (model.producer_name, model.producer_version, model.doc_string) == ("ganlab", "", "")
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
        assert not model.graph.value_info


ELSEWHERE = """
from pathlib import Path
import torch
from shipping import registered, ship
from ganlab.generator.export import export

torch.set_num_threads(2)
with registered():
    ship(Path("runs/other/generator.safetensors"))
    export("runs/other", "onnx")
"""


def test_the_bytes_are_the_same_from_another_folder_and_process(
    tiny: tuple[nn.Module, Exported], tmp_path: Path
) -> None:
    shutil.copy(shipping.__file__, tmp_path / "shipping.py")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "PYTHONHASHSEED": "4242",
        "HOME": str(tmp_path),
    }
    command = [sys.executable, "-W", "error", "-c", ELSEWHERE]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    for name in ("generator.safetensors", "generator.onnx"):
        assert (tmp_path / "runs" / "other" / name).read_bytes() == (tiny[1].path.parent / name).read_bytes()


# Loading


def test_a_seed_is_the_same_picture_from_either_file(tiny: tuple[nn.Module, Exported]) -> None:
    pictures = [load_generator(path, device="cpu").sample(range(300)) for path in (tiny[1].path, tiny[1].path.parent)]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1
    assert pictures[0].std() > 10


def test_a_label_is_the_same_class_from_either_file(labelled: tuple[nn.Module, Exported]) -> None:
    files = labelled[1].path, labelled[1].path.parent
    for label in (None, 4):
        pictures = [load_generator(path, device="cpu").sample(range(30), label=label) for path in files]
        assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1
    with pytest.raises(ArtefactError, match="label -1 is none of its classes, 0 to 4"):
        load_generator(files[0]).sample([0], label=-1)


def test_every_flipped_bit_of_a_graph_is_found(tiny: tuple[nn.Module, Exported], tmp_path: Path) -> None:
    data = tiny[1].path.read_bytes()
    for bit in random.Random(0).sample(range(8 * len(data)), 300):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "g.onnx").write_bytes(damaged)
        with pytest.raises(ArtefactError, match=r"g\.onnx: "):
            read_artefact(tmp_path / "g.onnx")


def test_a_graph_cannot_be_exported_again(tiny: tuple[nn.Module, Exported]) -> None:
    with pytest.raises(
        ArtefactError, match=r"is an ONNX file, and its weights cannot be taken out again; name the run"
    ):
        export(tiny[1].path, "safetensors")


def test_safetensors_is_what_a_run_writes(tmp_path: Path) -> None:
    ship(tmp_path / "generator.safetensors")
    exported = export(tmp_path, "safetensors", path=tmp_path / "copy.safetensors")
    assert exported.max_difference == 0
    assert exported.path.read_bytes() == (tmp_path / "generator.safetensors").read_bytes()
    assert export(tmp_path, "safetensors").path == tmp_path / "generator.safetensors"
    assert Safetensors.suffix == ".safetensors"


# Generators that have no ONNX form


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 48)


class Undecided(Linear):
    def forward(self, z: Tensor) -> Tensor:
        if z.sum() > 0:
            z = z * 2
        return self.layer(z).reshape(-1, 3, 4, 4).tanh()


class Modulated(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 3, 3, 3))
        self.style = nn.Linear(6, 3)

    def forward(self, z: Tensor) -> Tensor:
        count = len(z)
        weight = (self.weight * self.style(z)[:, None, :, None, None]).reshape(count * 3, 3, 3, 3)
        x = self.layer(z).reshape(1, count * 3, 4, 4)
        return functional.conv2d(x, weight, padding=1, groups=count).reshape(count, 3, 4, 4)


class Decomposed(Linear):
    def forward(self, z: Tensor) -> Tensor:
        return torch.linalg.svd(self.layer(z).reshape(-1, 3, 4, 4)).U


class Fixed(Linear):
    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z).reshape(2, 3, 4, 4)


class Broken(Linear):
    def forward(self, z: Tensor) -> Tensor:
        raise ZeroDivisionError("by their leave")


UNTRANSLATABLE = {
    Undecided: "Its forward decides by the values of tensors; replace `if` and `while` on them by torch.where",
    Modulated: "A convolution with groups = batch size has no ONNX form; scale its input and output",
    Decomposed: "_linalg_svd.*. ONNX has no such operator",
    Fixed: r"Its forward fixes the batch size; take it from z\.shape\[0\]",
    Broken: "by their leave",
}


@pytest.mark.parametrize("network", UNTRANSLATABLE)
def test_a_generator_without_an_onnx_form_is_one_sentence_with_the_remedy(
    network: type[Linear], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PluginError, match=r"^torch cannot express the generator in ONNX: ") as caught:
        ONNX().export(network().eval(), {"z": torch.randn(2, 6)}, {"ganlab": about().to_json()}, tmp_path / "g.onnx")
    assert re.search(UNTRANSLATABLE[network], str(caught.value))
    assert len(str(caught.value)) < 450
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


# What torch writes is checked


def graph(opset: int = 20, size: int | str = "batch", name: str = "images") -> onnx.ModelProto:
    value = onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [size, 6])
    made = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [size, 6])
    nodes = [onnx.helper.make_node("Tanh", ["z"], [name])]
    return onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "g", [value], [made]), opset_imports=[onnx.helper.make_opsetid("", opset)]
    )


@pytest.mark.parametrize(
    ("model", "kind", "sentence"),
    [
        (graph(opset=18), RunError, "opset 20 was asked for, but torch wrote ai.onnx 18; choose another opset"),
        (graph(size=2), PluginError, r"the batch size of z is fixed in the graph; take it from z\.shape\[0\]"),
        (graph(name="output"), RunError, "torch named the graph's inputs and outputs z, output"),
    ],
)
def test_a_graph_that_is_not_as_asked_is_refused(model: onnx.ModelProto, kind: type[Exception], sentence: str) -> None:
    exporter._check(graph(), ["z", "images"], 20)
    with pytest.raises(kind, match=sentence):
        exporter._check(model, ["z", "images"], 20)


@pytest.mark.parametrize("opset", [15, 26])
def test_an_opset_that_torch_cannot_write_is_refused(opset: int) -> None:
    with pytest.raises(ValidationError, match=r"opset\n.* equal to"):
        ONNX(opset=opset)


def test_notes_in_nested_graphs_are_removed() -> None:
    inner = graph().graph
    inner.node[0].doc_string = "/home/author/model.py"
    inner.value_info.add(name="secret")
    outer = graph()
    outer.graph.node.append(onnx.helper.make_node("If", ["z"], ["x"], then_branch=inner, else_branch=graph().graph))
    outer.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/author/model.py")
    exporter._strip(outer)
    assert b"author" not in outer.SerializeToString()
    assert b"secret" not in outer.SerializeToString()


def test_warnings_and_logs_are_on_again_after_an_export(caplog: pytest.LogCaptureFixture) -> None:
    import logging

    with exporter.quiet():
        logging.getLogger("torch.somewhere").warning("unseen")
        warnings.warn("unseen", stacklevel=1)
    logging.getLogger("torch.somewhere").warning("seen")
    assert [record.message for record in caplog.records] == ["seen"]
    with pytest.warns(UserWarning, match="seen"):
        warnings.warn("seen", stacklevel=1)
