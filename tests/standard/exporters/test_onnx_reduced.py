from __future__ import annotations

import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from shipping import IMAGES, Tiny, about, registered, ship_labelled, trained
from torch import Tensor, nn

from ganlab import PluginError, RunError, load_generator, read_metadata, write_generator
from ganlab.generator.export import Exported, export, paces
from ganlab.generator.file import read_artefact
from ganlab.standard.exporters.onnx_reduced import HalfONNX, Int8ONNX

FORMS = {"onnx_fp16": (HalfONNX, "fp16"), "onnx_int8": (Int8ONNX, "int8")}


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run whose generator is wide enough for its weights to be most of a file."""
    folder = tmp_path_factory.mktemp("run")
    model = Tiny(width=64)
    network = trained(model, IMAGES)
    for norm in (network.get_submodule("2"), network.get_submodule("5")):
        norm.get_buffer("running_mean").zero_()
        norm.get_buffer("running_var").fill_(4.0)
        nn.init.ones_(norm.get_parameter("weight"))
    write_generator(folder / "generator.safetensors", network, about(model=model))
    export(folder, "onnx")
    return folder


@pytest.fixture(scope="module")
def exported(run: Path) -> Mapping[str, Exported]:
    return {name: export(run, name) for name in FORMS}


def kinds(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def weights(path: Path) -> Counter[int]:
    """Return how many numbers there are of each type."""
    found: Counter[int] = Counter()
    for tensor in onnx.load(path).graph.initializer:
        found[tensor.data_type] += int(np.prod(tensor.dims))
    return found


@pytest.mark.parametrize("name", FORMS)
def test_a_reduced_file_is_compared_and_kept_beside_the_others(
    run: Path, exported: Mapping[str, Exported], name: str
) -> None:
    exporter, precision = FORMS[name]
    done = exported[name]
    assert done.path == run / f"generator.{precision}.onnx"
    assert 1e-6 < done.max_difference <= done.tolerance == exporter.tolerance
    assert 1e-6 < done.relative_difference < (1e-3 if precision == "fp16" else 5e-2)
    z = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    pictures = [load_generator(path, device="cpu")({"z": z.numpy()}) for path in (run, done.path)]
    assert pictures[1].dtype == np.float32
    assert np.abs(pictures[0] - pictures[1]).max() <= exporter.tolerance


@pytest.mark.parametrize("name", FORMS)
def test_the_metadata_says_the_precision_and_is_otherwise_the_sources(
    run: Path, exported: Mapping[str, Exported], name: str
) -> None:
    metadata = read_metadata(exported[name].path)
    assert metadata.precision == FORMS[name][1]
    source = read_metadata(run)
    assert source.precision == read_metadata(run / "generator.onnx").precision == "fp32"
    same = {"digest": "", "precision": "fp32"}
    assert metadata.model_copy(update=same) == source.model_copy(update=same)
    assert [entry.key for entry in onnx.load(exported[name].path).metadata_props] == ["ganlab"]


def test_half_precision_is_inside_and_not_at_the_edges(run: Path, exported: Mapping[str, Exported]) -> None:
    path = exported["onnx_fp16"].path
    assert TensorProto.FLOAT not in weights(path)
    assert weights(path)[TensorProto.FLOAT16] == weights(run / "generator.onnx")[TensorProto.FLOAT]
    graph = onnx.load(path).graph
    assert {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)} == {TensorProto.FLOAT}
    assert (graph.node[0].op_type, graph.node[-1].op_type) == ("Cast", "Cast")
    assert exported["onnx_fp16"].bytes < 0.6 * (run / "generator.onnx").stat().st_size


def test_eight_bits_hold_all_weights_but_those_that_make_the_pixels(
    run: Path, exported: Mapping[str, Exported]
) -> None:
    path = exported["onnx_int8"].path
    found = kinds(path)
    assert (found["ConvTranspose"], found["Conv"], found["Gemm"], found["DepthToSpace"]) == (1, 4, 1, 0)
    last = 64 * 3 * 4 * 4
    assert weights(path)[TensorProto.INT8] >= weights(run / "generator.onnx")[TensorProto.FLOAT] - last - 1000
    assert last <= weights(path)[TensorProto.FLOAT] < last + 2000
    levels = [t for t in onnx.load(path).graph.initializer if t.data_type == TensorProto.INT8 and len(t.dims) == 4]
    assert len(levels) == 4
    # 7 bits: two products of 8 bits with 7 fit 16, whatever the processor adds up.
    assert max(int(np.abs(onnx.numpy_helper.to_array(tensor).astype(int)).max()) for tensor in levels) <= 64
    assert exported["onnx_int8"].bytes < 0.4 * (run / "generator.onnx").stat().st_size


@pytest.mark.parametrize("name", FORMS)
def test_batchnorm_is_in_no_reduced_graph(exported: Mapping[str, Exported], name: str) -> None:
    assert kinds(exported[name].path)["BatchNormalization"] == 0


@pytest.mark.parametrize("name", FORMS)
def test_the_bytes_are_the_same_again_and_say_nothing_of_the_author(
    run: Path, exported: Mapping[str, Exported], name: str, tmp_path: Path
) -> None:
    again = export(run, name, path=tmp_path / "again.onnx")
    data = again.path.read_bytes()
    assert data == exported[name].path.read_bytes()
    assert re.findall(rb"\.py\b|/[\w.-]{4,}/|site-packages|torch\.nn|pytorch|stack_trace", data) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.onnx"]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("opset", [16, 25])
def test_older_and_newer_opsets(run: Path, tmp_path: Path, name: str, opset: int) -> None:
    done = export(run, name, {"opset": opset}, tmp_path / "g.onnx")
    assert [entry.version for entry in onnx.load(done.path).opset_import if not entry.domain] == [opset]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' file names are text")
@pytest.mark.parametrize("name", ["onnx", *FORMS])
def test_a_folder_and_a_file_whose_names_are_no_text(run: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / os.fsdecode(b"sch\xf6n") / os.fsdecode(b"caf\xe9.onnx")
    assert export(run, name, path=path).path.read_bytes()[:1] == b"\x08"


@pytest.mark.parametrize("name", FORMS)
def test_a_conditional_generator_is_reduced_too(tmp_path: Path, name: str) -> None:
    ship_labelled(tmp_path / "l.safetensors")
    done = export(tmp_path / "l.safetensors", name)
    generator = load_generator(done.path, device="cpu")
    assert "labels" in generator.metadata.kinds
    assert generator.sample(range(8)).shape == (8, 4, 4, 1)
    assert read_artefact(done.path).metadata.precision == FORMS[name][1]


@pytest.mark.parametrize("name", FORMS)
def test_a_file_beyond_the_tolerance_is_refused(run: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = FORMS[name][0]
    before = (run / f"generator{exporter.suffix}").read_bytes()
    monkeypatch.setattr(exporter, "tolerance", 1e-6)
    with pytest.raises(RunError, match=rf'exporter "{name}" .* wrote a file that differs from torch by .*not kept'):
        export(run, name)
    assert (run / f"generator{exporter.suffix}").read_bytes() == before


class Nothing(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z.repeat(1, 32).reshape(-1, 3, 8, 8).tanh()


def test_a_generator_with_nothing_to_reduce_is_one_sentence(tmp_path: Path) -> None:
    metadata = {"ganlab": about().to_json()}
    with pytest.raises(PluginError, match=r"nothing to compute in 8 bits: neither a linear layer nor"):
        Int8ONNX().export(Nothing().eval(), {"z": torch.randn(2, 6)}, metadata, tmp_path / "g.onnx")
    assert list(tmp_path.iterdir()) == []


class Convolved(nn.Sequential):
    """Ordinary convolutions, as a ResNet has them; the last makes the pixels."""

    def __init__(self) -> None:
        upsample: Callable[[], nn.Module] = lambda: nn.Upsample(scale_factor=2)  # noqa: E731
        super().__init__(
            nn.Linear(6, 32),
            nn.Unflatten(1, (8, 2, 2)),
            upsample(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.LeakyReLU(0.2),
            upsample(),
            nn.Conv2d(8, 3, 3, padding=1),
            nn.Tanh(),
        )


def test_other_convolutions_are_quantised_where_they_stand(tmp_path: Path) -> None:
    metadata = {"ganlab": about().to_json()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Convolved().eval()
    z = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    for exporter in (Int8ONNX(), HalfONNX()):
        path = tmp_path / f"g{exporter.suffix}"
        exporter.export(network, {"z": z}, metadata, path)
        images = exporter.run(path, {"z": z.numpy()})
        assert np.abs(images - network(z).detach().numpy()).max() < exporter.tolerance
    int8 = [t for t in onnx.load(tmp_path / "g.int8.onnx").graph.initializer if t.data_type == TensorProto.INT8]
    assert sorted(tuple(tensor.dims) for tensor in int8 if len(tensor.dims) > 1) == [(8, 8, 3, 3), (32, 6)]


def test_nothing_of_the_process_changes(run: Path, tmp_path: Path) -> None:
    path, filters = list(sys.path), list(warnings.filters)
    state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]  # a tuple by default
    for name in FORMS:
        export(run, name, path=tmp_path / name)
    assert (sys.path, warnings.filters) == (path, filters)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]  # type: ignore[index]  # as above


def test_the_pace_of_files_is_measured_side_by_side(
    run: Path, exported: Mapping[str, Exported], tmp_path: Path
) -> None:
    ship_labelled(tmp_path / "l.safetensors")
    found = paces(run / "generator.onnx", exported["onnx_int8"].path, tmp_path / "l.safetensors")
    assert len(found) == 3
    assert all(pace.one_ms > 0 and pace.batch_ms > 0 for pace in found)
