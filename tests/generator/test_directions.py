"""Directions: the singular vectors of the first weight, however the network comes to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ganlab_dcgan import DCGAN
from shipping import CLASSES, IMAGES, Labelled, Tiny, about, registered, ship, ship_labelled, ship_varied, trained
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import ganlab
from ganlab import Categorical, GanlabError, ImageSpec, Input, Labels, Normal, Uniform, directions, write_generator
from ganlab.generator.export import export
from ganlab.registry import registry
from ganlab.testing.toys import TinyVaried

Z: dict[str, Input] = {"z": Normal((6,))}


@pytest.fixture(autouse=True)
def _models() -> Any:
    with registered():
        yield


def assert_singular(found: ganlab.Directions, weight: Tensor, count: int = 5) -> None:
    """Compare with the left singular vectors of a weight `(latent_dim, outputs)`, which are unique but for the sign."""
    U, S, _ = np.linalg.svd(weight.double().numpy(), full_matrices=False)
    assert found.shares == pytest.approx((S**2 / (S**2).sum())[:count], rel=1e-4)
    assert np.abs(np.diag(found.vectors @ U[:, :count])) == pytest.approx(1.0, abs=1e-4)
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(1.0)
    assert (found.vectors[np.arange(count), np.abs(found.vectors).argmax(1)] > 0).all()


@pytest.mark.parametrize("projection", ["conv", "linear"])
@pytest.mark.parametrize("batchnorm", [True, False])
def test_they_are_the_singular_vectors_of_the_first_weight_with_batchnorm_folded(
    projection: Any, batchnorm: bool
) -> None:
    model = DCGAN(base_channels=4, latent_dim=12, projection=projection, projection_batchnorm=batchnorm)
    generator = trained(model, ImageSpec(1, 16, 16))
    layers = list(generator.children())
    (weight,) = [layer.weight for layer in layers if isinstance(layer, nn.ConvTranspose2d | nn.Linear)][:1]
    A = weight.T if projection == "linear" else weight
    A = A.reshape(12, 8, 16)
    if batchnorm:
        norm = next(layer for layer in layers if isinstance(layer, nn.BatchNorm2d))
        assert norm.running_var is not None
        A = A * (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None]
    assert_singular(directions(generator, 5, {"z": Uniform((12,))}), A.reshape(12, -1))


class Joined(nn.Module):
    """What conditional generators do: z, the vector of a class and a category become one."""

    def __init__(self, scaled: bool = False) -> None:
        super().__init__()
        self.classes, self.first, self.scaled = nn.Embedding(3, 4), nn.Linear(4 + 6 + 2, 20), scaled

    def forward(self, labels: Tensor, z: Tensor, category: Tensor) -> Tensor:
        if self.scaled:
            z = z / z.norm(dim=1, keepdim=True).clamp_min(1e-6)
        return self.first(torch.cat([self.classes(labels), z, category], 1)).relu()


JOINED: dict[str, Input] = {"labels": Labels(), "z": Normal((6,)), "category": Categorical(2)}


def test_of_a_weight_that_others_meet_as_well_they_take_the_part_of_z() -> None:
    network = Joined().requires_grad_(False)
    assert_singular(directions(network, 5, JOINED), network.first.weight.T[4:10])


def test_a_weight_that_is_no_layer_s_and_one_that_is_computed_count_too() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 10), requires_grad=False)

        def forward(self, z: Tensor) -> Tensor:
            return (z @ (self.weight / 7)).tanh()

    network = Own()
    assert_singular(directions(network, 5, Z), network.weight)
    normed = spectral_norm(nn.Linear(6, 9)).eval()
    weight = normed.weight
    assert isinstance(weight, Tensor)
    assert_singular(directions(normed, 5, Z), weight.detach().T)


def test_a_file_has_the_directions_of_its_network(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    network = ship(path)
    expected = directions(network, 3, Z)
    assert expected.input == "z"
    export(path, "onnx")
    export(path, "onnx_fp16")
    assert np.array_equal(directions(ganlab.load_generator(path), 3).vectors, expected.vectors)
    for name, accuracy in (("generator.onnx", 1e-5), ("generator.fp16.onnx", 2e-2)):
        found = directions(ganlab.load_generator(tmp_path / name), 3)
        assert found.vectors == pytest.approx(expected.vectors, abs=accuracy)
        assert found.shares == pytest.approx(expected.shares, abs=accuracy)


def test_conditional_and_varied_files_have_them_too(tmp_path: Path) -> None:
    labelled = ship_labelled(tmp_path / "labelled.safetensors")
    first = labelled.get_parameter("first.weight")
    assert_singular(directions(ganlab.load_generator(tmp_path / "labelled.safetensors")), first.T)
    varied = ship_varied(tmp_path / "varied.safetensors")
    for name in ("varied.safetensors", "varied.onnx"):
        export(tmp_path / "varied.safetensors", "onnx", path=tmp_path / "varied.onnx")
        found = directions(ganlab.load_generator(tmp_path / name), 4)
        same = directions(varied, 4, TinyVaried().inputs(IMAGES))
        assert found.vectors == pytest.approx(same.vectors, abs=1e-4)


def test_nothing_behind_the_first_map_is_computed() -> None:
    class Costly(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError("computed")

    assert directions(nn.Sequential(nn.Linear(6, 4), Costly()), 9, Z).vectors.shape == (4, 6)


def test_the_network_and_torch_s_random_state_stay_as_they_were() -> None:
    network = trained(Tiny(), IMAGES)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    directions(network, 2, Z)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


class Squared(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z.square()


NONE = "the generator has no directions: z goes through no linear map before anything else"
REFUSED = [
    (Joined(scaled=True), JOINED, NONE),
    (nn.Sequential(Squared(), nn.Linear(6, 4)), Z, NONE),
    (Squared(), Z, NONE),
    (
        nn.Identity(),
        {"noise": Normal((1, 4, 4)), "category": Categorical(2)},
        "the generator takes no vector of numbers but noise and category, so it has no directions",
    ),
    (nn.Identity(), {"z": Normal((5000,))}, "the generator takes z of 5000 numbers; directions are sought of at most"),
    (nn.Identity(), None, "a torch module does not say what it takes: give inputs, as Model.inputs returns them"),
]


@pytest.mark.parametrize(("network", "inputs", "sentence"), REFUSED)
def test_a_network_without_them_is_refused_with_the_reason(network: nn.Module, inputs: Any, sentence: str) -> None:
    with pytest.raises(GanlabError) as caught:
        directions(network, 5, inputs)
    assert str(caught.value).startswith(sentence)


def test_files_without_them_are_named(tmp_path: Path) -> None:
    class Bent(Labelled):
        api = 1

        def build(self, images: ImageSpec) -> dict[str, nn.Module]:
            generator = super().build(images)["generator"]
            return {"generator": BentNetwork(generator), "discriminator": nn.Flatten()}

    class BentNetwork(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, z: Tensor, labels: Tensor) -> Tensor:
            pictures: Tensor = self.inner(z.sin(), labels)
            return pictures

    registry.add("model", "labelled", Bent)
    path = tmp_path / "bent.safetensors"
    write_generator(path, trained(Bent(), CLASSES), about("labelled", Bent(), CLASSES))
    export(path, "onnx")
    for file in (path, path.with_suffix(".onnx")):
        with pytest.raises(GanlabError, match=rf"^{file}: {NONE}$"):
            directions(ganlab.load_generator(file))
    with pytest.raises(GanlabError, match=r"^count must be 1 or more, not 0$"):
        directions(nn.Linear(6, 4), 0, Z)
