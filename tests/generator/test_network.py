"""Networks from files: described, built by the registry's classes alone, compared before anything is allocated."""

from __future__ import annotations

import json
import os
import struct
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch
from shipping import CLASSES, IMAGES, Labelled, Tiny, about, registered, resealed, ship, ship_labelled, trained
from torch import nn

from ganlab import load_generator
from ganlab.errors import ArtefactError, PluginError
from ganlab.generator.export import export
from ganlab.generator.file import Outline, form, read_artefact, write_generator
from ganlab.generator.network import load_network
from ganlab.interfaces import ImageSpec, Labels, Model, Uniform
from ganlab.registry import registry


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with registered():
        yield


def loaded(path: Path) -> nn.Module:
    return load_network(read_artefact(path))


def test_the_network_is_the_one_that_was_written(tmp_path: Path) -> None:
    generator = ship(tmp_path / "g")
    z = torch.randn(3, 6)
    again = loaded(tmp_path / "g")
    assert torch.equal(again(z), generator(z))
    assert not any(module.training for module in again.modules())
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_tied_weights_are_tied_again(tmp_path: Path) -> None:
    generator = ship_labelled(tmp_path / "g")
    again = loaded(tmp_path / "g")
    assert again.get_parameter("first.weight") is again.get_parameter("second.weight")
    z, labels = torch.rand(4, 6), torch.arange(4)
    assert torch.equal(again(z, labels), generator(z, labels))


def test_loading_does_not_move_the_random_state(tmp_path: Path) -> None:
    ship(tmp_path / "g")
    before = torch.get_rng_state()
    loaded(tmp_path / "g")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_description_holds_every_option_and_who_offers_the_model() -> None:
    metadata = about("labelled", Labelled(latent="uniform", latent_dim=9), CLASSES)
    assert metadata.model.options == {"latent": "uniform", "latent_dim": 9}
    assert (metadata.model.name, metadata.model.distribution) == ("labelled", "this process")
    assert metadata.kinds == {"z": Uniform((9,)), "labels": Labels()}
    assert metadata.versions.torch.startswith(torch.__version__.partition("+")[0])


def test_a_model_that_is_not_installed_is_named_and_nothing_is_imported(tmp_path: Path) -> None:
    ship(tmp_path / "g")
    (tmp_path / "g").write_bytes(
        resealed((tmp_path / "g").read_bytes(), '\\"name\\":\\"tiny\\"', '\\"name\\":\\"antigravity\\"')
    )
    with pytest.raises(PluginError, match=r'g: needs model "antigravity".*no model "antigravity" is installed'):
        loaded(tmp_path / "g")
    assert "antigravity" not in sys.modules


def test_the_distribution_is_part_of_what_is_needed(tmp_path: Path) -> None:
    ship(tmp_path / "g")
    data = resealed(
        (tmp_path / "g").read_bytes(), '\\"distribution\\":\\"this process\\"', '\\"distribution\\":\\"their-gan\\"'
    )
    (tmp_path / "g").write_bytes(data)
    with pytest.raises(PluginError, match=r'needs model "tiny" \(their-gan\)'):
        loaded(tmp_path / "g")


OPTIONS = {
    "unknown": ('\\"width\\":4', '\\"widht\\":4', "its options do not fit .*'widht'"),
    "wrong type": ('\\"width\\":4', '\\"width\\":\\"4\\"', "'width': Input should be a valid integer"),
    "size": ('\\"height\\":8', '\\"height\\":6', "refuses its pictures: 6x8 cannot be built; take multiples of 4"),
    "shape": ('\\"shape\\":[6]', '\\"shape\\":[7]', "its metadata contradicts itself"),
    "distribution": ('\\"normal\\",\\"name', '\\"uniform\\",\\"name', "its metadata contradicts itself"),
    "input's name": ('\\"name\\":\\"z\\"', '\\"name\\":\\"y\\"', "its metadata contradicts itself"),
}


@pytest.mark.parametrize(("old", "new", "sentence"), OPTIONS.values(), ids=OPTIONS.keys())
def test_options_that_do_not_fit_are_refused(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    ship(tmp_path / "g")
    (tmp_path / "g").write_bytes(resealed((tmp_path / "g").read_bytes(), old, new))
    with pytest.raises(ArtefactError, match=sentence):
        loaded(tmp_path / "g")


def test_tensors_that_are_missing_unknown_or_misshaped_are_listed_at_most_five_of_each(tmp_path: Path) -> None:
    generator = trained(Tiny(width=8), IMAGES)
    assert isinstance(generator, nn.Sequential)
    generator.append(nn.Linear(2, 2))
    del generator[7]
    write_generator(tmp_path / "g", generator, about())
    with pytest.raises(ArtefactError) as caught:
        loaded(tmp_path / "g")
    sentence = str(caught.value)
    assert "missing: '7.weight'; '7.bias'. " in sentence
    assert "not known: '8.bias'; '8.weight'. " in sentence
    assert "'0.weight' is float32 (32, 6) instead of float32 (16, 6)" in sentence
    assert "and 6 more" in sentence
    assert "Install the version of the plugin" in sentence


def test_another_type_is_another_form(tmp_path: Path) -> None:
    write_generator(tmp_path / "g", trained(Tiny(), IMAGES).half(), about())
    with pytest.raises(ArtefactError, match=r"'0\.weight' is float16 \(16, 6\) instead of float32 \(16, 6\)"):
        loaded(tmp_path / "g")


class Sized(Model):
    """Notes where its layers are made."""

    api = 1
    width: int = 1
    made: ClassVar[list[tuple[str, int]]] = []

    def check(self, images: ImageSpec) -> None:
        pass

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        layer = nn.Linear(self.latent_dim, self.width)
        self.made.append((layer.weight.device.type, self.width))
        return {"generator": layer}


def test_a_claimed_size_is_compared_before_it_is_allocated(tmp_path: Path) -> None:
    registry.add("model", "sized", Sized)
    try:
        write_generator(tmp_path / "g", nn.Linear(100, 1), about("sized", Sized()))
        assert loaded(tmp_path / "g").weight.shape == (1, 100)
        (tmp_path / "g").write_bytes(
            resealed((tmp_path / "g").read_bytes(), '\\"width\\":1', '\\"width\\":3000000000')  # 1.2 TB of weights
        )
        with pytest.raises(ArtefactError, match=r"\(1, 100\) instead of float32 \(3000000000, 100\)"):
            loaded(tmp_path / "g")
    finally:
        registry.remove("model", "sized")
    assert Sized.made == [("meta", 1), ("cpu", 1), ("meta", 3_000_000_000)]


GB = 10**9


@pytest.mark.parametrize("command", [load_generator, lambda path: export(path, "onnx")], ids=["load", "export"])
def test_what_a_huge_file_promises_is_compared_with_the_model_before_it_is_read(
    tmp_path: Path, command: Callable[[Path], object]
) -> None:
    """A file of 10 GB that takes no space, and whose header is consistent: more than there is memory for."""
    entry = {"dtype": "F32", "shape": [2500, 1000, 1000], "data_offsets": [0, 10 * GB]}
    text = json.dumps({"__metadata__": {"ganlab": about().to_json()}, "0.weight": entry}).encode()
    path = tmp_path / "generator.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, path.stat().st_size + 10 * GB)
    tracemalloc.start()
    try:
        with pytest.raises(ArtefactError) as caught:
            command(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert "'0.weight' is float32 (2500, 1000, 1000) instead of float32 (16, 6)" in str(caught.value)
    assert str(caught.value).endswith("that it was trained with, or copy the file again: it may be damaged")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.bool])
def test_the_header_calls_types_and_shapes_what_torch_does(tmp_path: Path, dtype: torch.dtype) -> None:
    values = {"a": torch.zeros(3, dtype=dtype), "b": torch.zeros((), dtype=dtype), "c": torch.zeros(2, 0, dtype=dtype)}
    holder = nn.Module()
    for name, value in values.items():
        holder.register_buffer(name, value)
    write_generator(tmp_path / "g", holder, about())
    found: list[Outline] = []
    read_artefact(tmp_path / "g", found.append)
    assert found[0].forms == {name: form(value) for name, value in values.items()}
    assert form(values["a"]) == f"{str(dtype)[6:]} (3,)"


class Particular(Model):
    """A model with ways of its own."""

    api = 1
    way: Literal["reads", "breaks", "forgets"] = "reads"

    def check(self, images: ImageSpec) -> None:
        pass

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        layer = nn.Linear(self.latent_dim, 2)
        if self.way == "reads" and layer.weight.sum().item() == 0:
            raise AssertionError
        if self.way == "breaks":
            raise ZeroDivisionError("by their leave")
        return {"faker" if self.way == "forgets" else "generator": layer}


@pytest.fixture
def _particular() -> Iterator[None]:
    registry.add("model", "particular", Particular)
    yield
    registry.remove("model", "particular")


@pytest.mark.usefixtures("_particular")
def test_a_model_that_reads_its_weights_while_it_is_built_can_be_loaded(tmp_path: Path) -> None:
    layer = nn.Linear(100, 2)
    write_generator(tmp_path / "g", layer, about("particular", Particular()))
    assert torch.equal(loaded(tmp_path / "g").get_parameter("weight"), layer.weight)


@pytest.mark.usefixtures("_particular")
@pytest.mark.parametrize(
    ("way", "sentence"),
    [
        (
            "breaks",
            r'model "particular" \(this process\) cannot build its generator: ZeroDivisionError: by their leave',
        ),
        ("forgets", r"""build\(\) of Particular returns no "generator" but \['faker'\]"""),
    ],
)
def test_a_model_that_breaks_is_named(tmp_path: Path, way: Literal["breaks", "forgets"], sentence: str) -> None:
    write_generator(tmp_path / "g", nn.Linear(100, 2), about("particular", Particular(way=way)))
    with pytest.raises(PluginError, match=sentence):
        loaded(tmp_path / "g")
