"""The conditional DCGAN: against the reference DCGAN, in a whole run, and asked for a class."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from ganlab_conditional import ConditionalDCGAN
from ganlab_conditional.sizes import stages
from ganlab_dcgan import DCGAN
from ganlab_dcgan.sizes import plan
from PIL import Image
from torch import Tensor, nn

import ganlab
from ganlab import ArtefactError, Dataset, GanlabError, ImageSpec, Source
from ganlab.cli import ganlab as command
from ganlab.testing import contract, isolated, tiny_recipe

SHADES = (20, 128, 235)
TINY = {"base_channels": 4, "latent_dim": 5, "embedding_dim": 3}
IMAGES = ImageSpec(1, 8, 8, 3)


class Shades(Dataset):
    """Nearly even pictures, dark, grey or bright; which of them is the class."""

    api = 1
    labelled: bool = True

    def sources(self) -> Iterable[Path]:
        return []

    def open(self) -> Source:
        return _Shades(3 if self.labelled else 0)


class _Shades(Source):
    def __init__(self, classes: int) -> None:
        self.classes = classes

    def __len__(self) -> int:
        return 48

    def image(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        noise = np.random.RandomState(index).randint(-15, 16, (8, 8))
        return (SHADES[index % 3] + noise).astype(np.uint8)

    def name(self, index: int) -> str:
        return f"shade {index}"

    def label(self, index: int) -> int:
        return index % 3


def recipe(**changes: Any) -> dict[str, Any]:
    base = {
        "model": {"name": "conditional_dcgan", **TINY},
        "dataset": {"name": "shades", "resolution": 8, "channels": 1},
        "train": {"batch_size": 12, "iterations": 6},
        "snapshot": {"every_iterations": 3, "samples": 12},
    }
    return tiny_recipe(base, changes)


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"conditional_dcgan": ConditionalDCGAN, "shades": Shades}):
        yield


@pytest.fixture(scope="module")
def trained() -> Path:
    """Return a run that has learnt the three shades."""
    return ganlab.train(
        recipe(optimizer={"lr": 5e-3}, train={"iterations": 300}, snapshot={"every_iterations": 300}), out="trained"
    ).directory


def built(discriminator: str = "embedding", images: ImageSpec = IMAGES) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return ConditionalDCGAN.model_validate({**TINY, "discriminator": discriminator}).build(images)


def test_the_resolutions_are_those_of_the_reference_dcgan() -> None:
    for height, width in itertools.product(range(1, 35), repeat=2):
        try:
            expected: object = tuple(plan(height, width, None))
        except ValueError:
            expected = None
        try:
            found: object = tuple(stages(height, width))
        except ValueError:
            found = None
        assert found == expected, (height, width)


@pytest.mark.parametrize(
    ("size", "nearest"), [((100, 100), "96"), ((50, 70), "[48, 64]"), ((1, 1), "8"), ((1000, 1000), "1024")]
)
def test_other_resolutions_are_refused_with_the_nearest_that_is_possible(size: tuple[int, int], nearest: str) -> None:
    with pytest.raises(ValueError, match="cannot be built") as caught:
        ConditionalDCGAN().check(ImageSpec(3, *size))
    assert str(caught.value) == (
        f"pictures of {size[0]}x{size[1]} cannot be built: each side must be 2 to 8 times the same power of two, "
        f"4 or more; the nearest resolution is {nearest}"
    )


def test_checking_needs_no_classes_and_building_does() -> None:
    ConditionalDCGAN().check(ImageSpec(1, 28, 28, 0))
    with pytest.raises(ValueError, match="a conditional model needs class labels, and this data has none"):
        ConditionalDCGAN().build(ImageSpec(1, 28, 28, 0))


def test_the_generator_is_dcgan_s_with_the_class_s_vector_behind_z() -> None:
    mine = built()["generator"]
    reference = DCGAN(base_channels=4, latent_dim=8).build(IMAGES)["generator"]
    weights = {name.removeprefix("layers."): value for name, value in mine.state_dict().items()}
    vectors = weights.pop("classes.weight")
    reference.load_state_dict(weights)
    z, labels = torch.randn(4, 5), torch.tensor([2, 0, 1, 2])
    expected = reference(torch.cat([z, torch.stack([vectors[label] for label in labels.tolist()])], 1))
    assert vectors.shape == (3, 3)
    torch.testing.assert_close(mine(z, labels), expected)


def reference_discriminator(weights: dict[str, Tensor], head: Tensor, channels: int) -> nn.Module:
    """Return the reference DCGAN's with these weights and this head."""
    network = DCGAN(base_channels=4).build(IMAGES._replace(channels=channels))["discriminator"]
    state = network.state_dict()
    last = list(state)[-1]
    trunk = {name.removeprefix("layers."): value for name, value in weights.items() if name.startswith("layers.")}
    network.load_state_dict(trunk | {last: head})
    return network


def test_the_projection_adds_the_class_s_vector_to_the_head_at_every_place() -> None:
    mine = built("projection")["discriminator"]
    weights, pictures = mine.state_dict(), torch.randn(6, 1, 8, 8)
    for label in range(3):
        head = weights["head.0.weight"] + weights["classes.weight"][label].view(1, -1, 1, 1)
        reference = reference_discriminator(copy.deepcopy(weights), head, channels=1)
        logits = mine(pictures, torch.full((6,), label))
        assert logits.shape == (6,)
        torch.testing.assert_close(logits, reference(pictures))


def test_the_embedding_is_one_more_channel_of_the_picture() -> None:
    mine = built("embedding")["discriminator"]
    weights, pictures = mine.state_dict(), torch.randn(6, 1, 8, 8)
    reference = reference_discriminator(copy.deepcopy(weights), weights["head.0.weight"], channels=2)
    for label in range(3):
        plane = weights["classes.weight"][label].view(8, 8).expand(6, 1, 8, 8)
        logits = mine(pictures, torch.full((6,), label))
        torch.testing.assert_close(logits, reference(torch.cat([pictures, plane], 1)))


@pytest.mark.parametrize("discriminator", ["projection", "embedding"])
@pytest.mark.parametrize("images", [ImageSpec(3, 8, 12, 2), ImageSpec(1, 28, 28, 10), ImageSpec(2, 32, 16, 1)])
def test_every_weight_and_every_class_gets_a_gradient(discriminator: str, images: ImageSpec) -> None:
    networks = built(discriminator, images)
    labels = torch.arange(images.classes).repeat(2)
    pictures = networks["generator"](torch.randn(len(labels), 5), labels)
    assert pictures.shape == (len(labels), *images[:3])
    assert pictures.abs().max() <= 1.0
    networks["discriminator"](pictures, labels).square().sum().backward()
    for network in networks.values():
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
        rows = [parameter for name, parameter in network.named_parameters() if name == "classes.weight"]
        assert all((row.grad.abs().sum(1) > 0).all() for row in rows if row.grad is not None)


def test_data_without_labels_is_refused_before_training() -> None:
    with pytest.raises(GanlabError, match="needs class labels, but this data has none; use a dataset with labels"):
        ganlab.train(recipe(dataset={"labelled": False}), out="unlabelled")
    assert not Path("unlabelled").exists()


@pytest.mark.parametrize("discriminator", ["projection", "embedding"])
def test_a_continued_run_ends_with_the_same_bits(discriminator: str) -> None:
    model = {"discriminator": discriminator}
    whole = ganlab.train(recipe(model=model), out=f"{discriminator}-whole").directory
    ganlab.train(recipe(model=model, train={"iterations": 3}), out=f"{discriminator}-parts")
    parts = ganlab.train(recipe(model=model), out=f"{discriminator}-parts").directory
    assert (parts / "generator.safetensors").read_bytes() == (whole / "generator.safetensors").read_bytes()


def test_it_learns_what_the_classes_look_like(trained: Path) -> None:
    generator = ganlab.load_generator(trained, device="cpu")
    for label, shade in enumerate(SHADES):
        assert abs(float(generator.sample(range(16), label=label).mean()) - shade) < 40


def test_the_grid_has_a_row_a_class(trained: Path) -> None:
    sheet = np.asarray(Image.open(trained / "samples/00000300.png"))
    assert sheet.shape == (2 + 3 * 10, 2 + 4 * 10)  # 12 samples of 8x8 in three rows, two pixels apart
    rows = [sheet[2 + 10 * row : 10 + 10 * row] for row in range(3)]
    means = [float(np.mean([row[:, 2 + 10 * i : 10 + 10 * i] for i in range(4)])) for row in rows]
    assert means == pytest.approx(SHADES, abs=40)


def test_sample_draws_the_class_that_is_asked_for_and_refuses_one_that_is_not_there(trained: Path) -> None:
    asked = CliRunner().invoke(command, ["sample", str(trained), "--label", "2", "--seeds", "5", "--out", "two.png"])
    assert asked.exit_code == 0, asked.output
    expected = ganlab.load_generator(trained, device="cpu").sample([5], label=2)[0, :, :, 0]
    assert np.array_equal(np.asarray(Image.open("two.png")), expected)
    for label in ("3", "-1"):
        refused = CliRunner().invoke(command, ["sample", str(trained), "--label", label])
        assert isinstance(refused.exception, ArtefactError)
        assert str(refused.exception).endswith(f"label {label} is none of its classes, 0 to 2")


def test_the_onnx_file_takes_labels_and_makes_torch_s_pictures(trained: Path) -> None:
    done = CliRunner().invoke(command, ["export", str(trained), "--onnx"])
    assert done.exit_code == 0, done.output
    path = trained / "generator.onnx"
    inputs = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()
    assert [(value.name, value.type, value.shape) for value in inputs] == [
        ("z", "tensor(float)", ["batch", 5]),
        ("labels", "tensor(int64)", ["batch"]),
    ]
    from_torch, from_onnx = ganlab.load_generator(trained, device="cpu"), ganlab.load_generator(path, device="cpu")
    inputs = from_onnx.draw(range(9))
    assert inputs["labels"].tolist() == [0, 1, 2] * 3
    np.testing.assert_allclose(from_onnx(inputs), from_torch(inputs), atol=1e-5)
    others = {**inputs, "labels": (inputs["labels"] + 1) % 3}
    assert not np.allclose(from_onnx(inputs), from_onnx(others), atol=0.1)
    with pytest.raises(ArtefactError, match="label 3 is none of its classes, 0 to 2"):
        from_onnx({**inputs, "labels": inputs["labels"] + 1})


test_contract = contract(
    ConditionalDCGAN,
    options=[{**TINY, "discriminator": "embedding"}, {**TINY, "discriminator": "projection"}],
    images=[IMAGES],
)
