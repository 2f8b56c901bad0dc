"""A shipped encoder: pictures back to z, from safetensors and from ONNX."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors import safe_open
from shipping import registered, ship, ship_encoding, ship_told
from torch import nn

import ganlab
from ganlab import Batch, ImageSpec, Iteration, Loss, Model, Update, load_generator
from ganlab.errors import ArtefactError, GanlabError, PluginError
from ganlab.generator.export import export
from ganlab.generator.file import read_metadata
from ganlab.generator.metadata import Metadata
from ganlab.networks.shipment import parts
from ganlab.registry import registry
from ganlab.testing.tiny import isolated, tiny_recipe


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """Return the path of a generator with an encoder."""
    ship_encoding(tmp_path / "g.safetensors")
    return tmp_path / "g.safetensors"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, _models: None) -> Path:
    """Return the path of its ONNX file."""
    folder = tmp_path_factory.mktemp("exported")
    ship_encoding(folder / "g.safetensors")
    return export(folder / "g.safetensors", "onnx").path


def by_hand(network: nn.Module, pictures: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what the toy's encoder makes: one linear layer of the pixels, from -1 to 1, in float64."""
    weight, bias = (
        parts(network)["encoder"].get_parameter(f"1.{name}").double().numpy() for name in ("weight", "bias")
    )
    pixels = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1) / 127.5 - 1
    made: np.ndarray[Any, Any] = pixels @ weight.T + bias
    return made


def test_pictures_become_the_z_that_torch_makes_of_them(tmp_path: Path) -> None:
    network = ship_encoding(tmp_path / "g")
    generator = load_generator(tmp_path / "g", device="cpu")
    pictures = generator.sample(70)  # more than a batch
    z = generator.encode(pictures)
    assert z.shape == (70, 4)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z, by_hand(network, pictures), atol=1e-5)
    assert generator({"z": z}).shape == (70, 3, 8, 8)
    assert generator.encode(pictures[:0]).shape == (0, 4)


def test_the_file_holds_the_encoder_behind_its_name_and_says_what_it_takes(shipped: Path) -> None:
    with safe_open(shipped, "np") as file:
        names = set(file.keys())
    assert {"encoder/1.weight", "encoder/1.bias", "0.weight"} <= names
    assert not any(name.startswith(("generator", "discriminator")) for name in names)
    metadata = read_metadata(shipped)
    assert metadata.networks == ("generator", "encoder")
    assert (metadata.takes("encoder"), metadata.makes("encoder")) == ({"images": (3, 8, 8)}, ("z", (4,)))


def test_an_encoder_of_a_conditional_model_is_told_the_class(tmp_path: Path) -> None:
    network = ship_told(tmp_path / "t.safetensors")
    ours = load_generator(tmp_path / "t.safetensors", device="cpu")
    onnx = load_generator(export(tmp_path / "t.safetensors", "onnx").path, device="cpu")
    pictures, labels = ours.sample(6, label=1), np.array([0, 1, 2, 3, 4, 0])
    real = torch.from_numpy(pictures.transpose(0, 3, 1, 2) / np.float32(127.5) - np.float32(1))
    expected = parts(network)["encoder"](real, torch.from_numpy(labels)).numpy()
    for generator in (ours, onnx):
        np.testing.assert_allclose(generator.encode(pictures, labels), expected, atol=1e-5)
        with pytest.raises(ArtefactError, match="its encoder needs the labels of the pictures, one each"):
            generator.encode(pictures)
        with pytest.raises(ArtefactError, match="labels must be 6 integers, one a picture"):
            generator.encode(pictures, labels[:2])
        with pytest.raises(ArtefactError, match="label 5 is none of its classes, 0 to 4"):
            generator.encode(pictures, labels + 1)


def test_weights_that_generator_and_encoder_share_are_stored_once_and_shared_again(tmp_path: Path) -> None:
    ship_told(tmp_path / "t.safetensors")
    with safe_open(tmp_path / "t.safetensors", "np") as file:
        assert "encoder/last.weight" not in file.keys()  # noqa: SIM118  # it is no mapping
    generator = load_generator(tmp_path / "t.safetensors", device="cpu")
    assert np.abs(generator.encode(generator.sample(2, label=0), np.array([0, 1]))).max() > 0


def test_onnx_has_the_encoder_beside_the_generator(exported: Path) -> None:
    import onnxruntime

    beside = exported.with_name("g.encoder.onnx")
    session = onnxruntime.InferenceSession(beside, providers=["CPUExecutionProvider"])
    assert [(value.name, value.shape[1:]) for value in session.get_inputs()] == [("images", [3, 8, 8])]
    assert [value.name for value in session.get_outputs()] == ["z"]
    generator, of_torch = (
        load_generator(path, device="cpu") for path in (exported, exported.with_suffix(".safetensors"))
    )
    pictures = of_torch.sample(9)
    np.testing.assert_allclose(generator.encode(pictures), of_torch.encode(pictures), atol=1e-5)


def test_each_file_is_compared_with_torch(shipped: Path) -> None:
    done = export(shipped, "onnx_fp16")
    (other,) = done.others
    assert (done.path.name, other.path.name) == ("g.fp16.onnx", "g.fp16.encoder.onnx")
    assert 0 < other.max_difference <= other.tolerance
    assert read_metadata(other.path).network == "encoder"
    assert load_generator(done.path, device="cpu").encode(np.zeros((2, 8, 8, 3), np.uint8)).shape == (2, 4)


def test_a_format_without_a_place_for_it_says_so(shipped: Path) -> None:
    done = export(shipped, "onnx_int8")
    assert (done.others, done.left_out) == ((), ("encoder",))
    assert read_metadata(done.path).networks == ("generator",)
    with pytest.raises(ArtefactError, match="holds no encoder"):
        load_generator(done.path, device="cpu").encode(np.zeros((1, 8, 8, 3), np.uint8))
    assert sorted(path.name for path in shipped.parent.iterdir()) == ["g.int8.onnx", "g.safetensors"]


def test_safetensors_keep_it_inside(shipped: Path, tmp_path: Path) -> None:
    done = export(shipped, "safetensors", path=tmp_path / "copy.safetensors")
    assert done.path.read_bytes() == shipped.read_bytes()
    assert (done.others, done.left_out) == ((), ())


class Wrong(ganlab.Exporter):
    """Writes ONNX whose encoder is off."""

    api = 1
    suffix: ClassVar[str] = ".onnx"
    others: ClassVar[Any] = "beside"

    def export(self, generator: nn.Module, inputs: Any, metadata: Mapping[str, str], path: Path) -> None:
        registry.get("exporter", "onnx")().export(generator, inputs, metadata, path)

    def run(self, path: Path, inputs: Any) -> Any:
        made = ganlab.run_file(path, inputs)
        return made + np.float32(0.1) if "images" in inputs else made

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        return {"ganlab": ganlab.read_metadata(path).to_json()}


def test_where_one_file_differs_none_is_kept(shipped: Path) -> None:
    registry.add("exporter", "wrong", Wrong)
    try:
        with pytest.raises(GanlabError, match=r"differs from torch by 1\.0e-01 at batch 1.*it was not kept"):
            export(shipped, "wrong")
    finally:
        registry.remove("exporter", "wrong")
    assert [path.name for path in shipped.parent.iterdir()] == ["g.safetensors"]


# Bad input


@pytest.mark.parametrize(
    "pictures",
    [
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 3)),
        np.zeros((2, 8, 8, 1), "u1"),
    ],
    ids=str,
)
def test_what_are_no_pictures_of_it_is_refused(shipped: Path, pictures: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ArtefactError, match=r"g\.safetensors: pictures must be uint8 of shape \(N, 8, 8, 3\), not"):
        load_generator(shipped, device="cpu").encode(pictures)


def test_a_generator_without_an_encoder_says_so(tmp_path: Path) -> None:
    ship(tmp_path / "g.safetensors")
    with pytest.raises(ArtefactError, match="holds no encoder, so pictures have no z: its model ships none, or"):
        load_generator(tmp_path / "g.safetensors").encode(np.zeros((1, 8, 8, 3), np.uint8))


def test_labels_for_an_encoder_that_takes_none_are_refused(shipped: Path) -> None:
    with pytest.raises(ArtefactError, match="its encoder takes no labels: its model is not conditional"):
        load_generator(shipped).encode(np.zeros((1, 8, 8, 3), np.uint8), np.array([0]))


def test_an_encoder_s_file_is_none_of_a_generator_and_none_of_another_s(exported: Path, tmp_path: Path) -> None:
    beside = exported.with_name("g.encoder.onnx")
    with pytest.raises(ArtefactError, match=r"g\.encoder\.onnx: is the encoder of a generator; name the"):
        load_generator(beside)
    with pytest.raises(ArtefactError, match="is an ONNX file, and its weights cannot be taken out again"):
        export(beside, "onnx")
    shutil.copy(exported, tmp_path / "g.onnx")
    alone = load_generator(tmp_path / "g.onnx", device="cpu")
    pictures = alone.sample(2)
    with pytest.raises(ArtefactError, match=r"its encoder should lie beside it as g\.encoder\.onnx; copy or"):
        alone.encode(pictures)
    shutil.copy(exported, tmp_path / "g.encoder.onnx")
    with pytest.raises(ArtefactError, match=r"g\.encoder\.onnx: is not the encoder of .*g\.onnx; export both again"):
        alone.encode(pictures)
    shutil.copy(beside, tmp_path / "g.encoder.onnx")
    assert alone.encode(pictures).shape == (2, 4)


CHANGES = {
    "unknown network": ({"network": "critic"}, "two networks have one name, or the file's is none of them"),
    "twice": ({"shipped": [{"name": "e", "output": "z", "shape": [4]}] * 2}, "two networks have one name"),
    "itself": ({"shipped": [{"name": "generator", "output": "z", "shape": [4]}]}, "not shipped beside itself"),
    "a path": ({"shipped": [{"name": "../e", "output": "z", "shape": [4]}]}, "String should match pattern"),
    "too large": ({"shipped": [{"name": "e", "output": "z", "shape": [10**6, 10**6]}]}, "makes too many numbers"),
    "labels": ({"shipped": [{"name": "e", "output": "z", "shape": [4], "labels": True}]}, "has at least 1 class"),
}


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES.keys())
def test_metadata_that_is_not_right_is_named(shipped: Path, change: dict[str, Any], sentence: str) -> None:
    table = json.loads(read_metadata(shipped).to_json()) | change
    with pytest.raises(ArtefactError, match=sentence):
        Metadata.from_json(json.dumps(table), "g")


def test_a_model_ships_networks_of_its_own_and_its_generator() -> None:
    class Odd(Model):
        """Odd."""

        api = 1
        shipped: ClassVar[tuple[str, ...]] = ("generator", "encoder")

        def check(self, images: ImageSpec) -> None:
            pass

        def build(self, images: ImageSpec) -> dict[str, nn.Module]:
            return {}

    with pytest.raises(PluginError, match='ships generator and encoder: that must be "generator" and others of its'):
        registry.add("model", "odd", Odd)


# A run


class Auto(Model):
    """An autoencoder in small."""

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "encoder")
    shipped: ClassVar[tuple[str, ...]] = ("generator", "encoder")
    latent_dim: int = 4

    def check(self, images: ImageSpec) -> None:
        pass

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        size = images.channels * images.height * images.width
        return {
            "generator": nn.Sequential(nn.Linear(self.latent_dim, size), nn.Tanh(), nn.Unflatten(1, images[:3])),
            "encoder": nn.Sequential(nn.Flatten(), nn.Linear(size, self.latent_dim), nn.BatchNorm1d(self.latent_dim)),
        }


class Reconstruction(Loss):
    """Squared error."""

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "encoder")

    def updates(self, networks: Any, batches: Iterator[Batch], iteration: Iteration) -> Iterator[Update]:
        real = next(batches).real
        error = networks["generator"](networks["encoder"](real)) - real
        yield Update(("generator", "encoder"), error.square().mean())


def test_a_run_ships_the_averaged_encoder_and_goes_on_with_the_same_bits() -> None:
    with isolated({"auto": Auto, "reconstruction": Reconstruction}):
        table = tiny_recipe({"model": {"name": "auto"}, "loss": {"name": "reconstruction"}})
        whole = ganlab.train(table, out="whole")
        ganlab.train(table, out="parts", overrides={"train.iterations": 6})
        again = ganlab.train(table, out="parts")
        assert again.generator.read_bytes() == whole.generator.read_bytes()
        with safe_open(max((whole.directory / "checkpoints").iterdir()) / "state.safetensors", "np") as state:
            averaged = state.get_tensor("average/encoder/1.weight")
            live = state.get_tensor("networks/encoder/1.weight")
        with safe_open(whole.generator, "np") as file:
            written = file.get_tensor("encoder/1.weight")
        assert np.array_equal(written, averaged.reshape(written.shape))
        assert not np.array_equal(written, live)
        generator = ganlab.load_generator(whole, device="cpu")
        assert generator.encode(generator.sample(3)).shape == (3, 4)
        done = export(whole.directory, "onnx")
        assert [other.path.name for other in done.others] == ["generator.encoder.onnx"]


@pytest.mark.parametrize("place", ["", "generator.safetensors"])
def test_a_run_begins_with_the_encoder_that_another_has_shown(place: str) -> None:
    with isolated({"auto": Auto, "reconstruction": Reconstruction}):
        table = tiny_recipe({"model": {"name": "auto"}, "loss": {"name": "reconstruction"}})
        shown = ganlab.train(table, out="shown")
        settings = {"train.iterations": 2, "seed": 7}
        tuned = ganlab.train(table, init=shown.directory / place, out="tuned", overrides=settings)
        begun = min((tuned.directory / "checkpoints").iterdir())
        assert begun.name == "00000000"
        with safe_open(shown.generator, "np") as file, safe_open(begun / "state.safetensors", "np") as state:
            for name in ("encoder/1.weight", "encoder/1.bias"):
                assert np.array_equal(state.get_tensor(f"networks/{name}"), file.get_tensor(name))
                assert np.array_equal(state.get_tensor(f"average/{name}"), file.get_tensor(name))
