"""ONNX for torch-fidelity: its latents in, RGB bytes out, and its own command line judges the file."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from judged import write_features
from shipping import Tiny, about, registered, ship, ship_labelled, ship_varied, trained
from their_features import NAME
from torch import nn
from torch_fidelity.noise import random_normal, random_uniform_0_1

import ganlab
from ganlab import ArtefactError, GanlabError, ImageSpec, RunError, to_uint8, write_generator
from ganlab.generator.export import Exported, export
from ganlab.judging.features import load_network
from ganlab.judging.moments import moments_of
from ganlab.registry import registry
from ganlab.standard.exporters.fidelity import Fidelity
from ganlab.standard.metrics.frechet import frechet_distance


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with registered():
        yield


def rgb(exported: Exported, z: torch.Tensor) -> np.ndarray:
    """Return what the graph makes of z."""
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    (given,), (output,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape[1:]) == ("z", "tensor(float)", [z.shape[1]])
    assert (output.name, output.type) == ("rgb", "tensor(uint8)")
    return np.asarray(session.run(None, {"z": z.numpy()})[0])


def levels(ours: np.ndarray, theirs: np.ndarray) -> tuple[int, float]:
    """Return by how many levels bytes differ at most, and which part of them differs: rounding may fall either way."""
    apart = np.abs(ours.astype(int) - theirs.astype(int))
    return int(apart.max()), float((apart > 0).mean())


def test_normal_latents_are_those_of_torch_fidelity() -> None:
    network = ship(Path("generator.safetensors"))
    exported = export("generator.safetensors", "fidelity")
    assert exported.path == Path("generator.fidelity.onnx")
    z = random_normal(np.random.RandomState(3), (9, 6))
    with torch.inference_mode():
        pixels = to_uint8(network(z).numpy()).transpose(0, 3, 1, 2)
    most, part = levels(rgb(exported, z), pixels)
    assert most <= 1
    assert part < 0.01
    assert 0.5 / 255 < exported.max_difference <= exported.tolerance < 1.1 / 255


def test_uniform_latents_are_turned_into_ours_and_a_number_more_is_the_class() -> None:
    network = ship_labelled(Path("generator.safetensors"))
    exported = export("generator.safetensors", "fidelity")
    z = random_uniform_0_1(np.random.RandomState(3), (50, 7))
    with torch.inference_mode():
        labels = (z[:, 6].double() * 5).floor().long()
        made = network(2 * z[:, :6] - 1, labels)
    assert set(labels.tolist()) == set(range(5))
    grey = to_uint8(made.numpy()).transpose(0, 3, 1, 2)
    found = rgb(exported, z)
    assert found.shape == (50, 3, 4, 4)
    for channel in range(3):
        most, part = levels(found[:, channel : channel + 1], grey)
        assert most <= 1
        assert part < 0.01
    # The ends, too, are classes.
    ends = torch.tensor([[0.5] * 6 + [0.0], [0.5] * 6 + [1.0]])
    with torch.inference_mode():
        expected = to_uint8(network(torch.zeros(2, 6), torch.tensor([0, 4])).numpy()).transpose(0, 3, 1, 2)
    assert levels(rgb(exported, ends)[:, :1], expected)[0] <= 1


def test_what_else_a_generator_takes_is_drawn_as_ganlab_draws_it() -> None:
    """Numbers of both kinds, a category and a map of noise become one z, whose parts have their distributions."""
    network = ship_varied(Path("generator.safetensors"))
    exported = export("generator.safetensors", "fidelity")
    kinds = ganlab.read_metadata("generator.safetensors").kinds
    size = int(re.findall(r"z-size (\d+)", exported.usage)[0])
    z = random_normal(np.random.RandomState(0), (400, size))
    parts, start = {}, 0
    for name, kind in kinds.items():
        width = 1 if kind.distribution == "categorical" else int(np.prod(kind.shape))
        parts[name], start = z[:, start : start + width], start + width
    assert start == size
    inputs = {}
    normal = torch.distributions.Normal(0.0, 1.0)
    for name, kind in kinds.items():
        match kind.distribution:
            case "normal":
                inputs[name] = parts[name].reshape(-1, *kind.shape)
            case "uniform":
                inputs[name] = (2 * normal.cdf(parts[name]) - 1).reshape(-1, *kind.shape)
                assert inputs[name].std() == pytest.approx(3**-0.5, rel=0.1)
            case "categorical":
                place = (normal.cdf(parts[name][:, 0]) * kind.shape[0]).long()
                inputs[name] = nn.functional.one_hot(place, kind.shape[0]).float()
                assert inputs[name].mean(0).tolist() == pytest.approx([1 / kind.shape[0]] * kind.shape[0], abs=0.1)
    with torch.inference_mode():
        pixels = to_uint8(network(*inputs.values()).numpy()).transpose(0, 3, 1, 2)
    most, part = levels(rgb(exported, z)[:, : pixels.shape[1]], pixels)
    assert most <= 1
    assert part < 0.01


def test_its_own_command_line_takes_the_file() -> None:
    """The command is the one that the export names; its features are those of an ONNX file instead of Inception."""
    ship(Path("generator.safetensors"))
    exported = export("generator.safetensors", "fidelity", path="it.fidelity.onnx")
    write_features(Path("net.onnx"))
    Path("real").mkdir()
    real = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    for number, picture in enumerate(real):
        ganlab.save_png(Path(f"real/{number:03d}.png"), picture)
    command = exported.usage.replace("FOLDER_OF_REAL_PICTURES", "real").replace("50000", "60")
    words = shlex.split(command)
    assert words[0] == "fidelity"
    options = ["--feature-extractor", NAME, "--feature-extractor-weights-path", "net.onnx", "--json"]
    place = Path(__file__).parents[2]
    program = f"import sys; sys.path.insert(0, {str(place)!r}); import their_features; "
    program += "from torch_fidelity.fidelity import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, *words[1:], *options, "--cpu", "--save-cpu-ram", "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)["frechet_inception_distance"]

    # The same by ganlab: its generator, the latents that torch-fidelity draws, its metric.
    z = random_normal(np.random.RandomState(2020), (60, 6)).numpy()
    fake = to_uint8(ganlab.load_generator("generator.safetensors")({"z": z}))
    network = load_network(Path("net.onnx"), "cpu")
    features = [network.features(pictures, lambda done: None).astype(np.float64) for pictures in (real, fake)]
    assert found == pytest.approx(frechet_distance(moments_of(features[0]), moments_of(features[1])), rel=1e-3)


def test_pictures_that_are_neither_grey_nor_rgb_are_refused() -> None:
    images = ImageSpec(4, 8, 8)
    write_generator(Path("generator.safetensors"), trained(Tiny(), images), about(images=images))
    with pytest.raises(GanlabError) as caught:
        export("generator.safetensors", "fidelity")
    assert str(caught.value) == (
        "torch-fidelity takes RGB, and pictures of 4 channels are neither that nor grey; export them with onnx"
    )
    assert not list(Path().glob("*.onnx"))


def test_ganlab_itself_says_that_it_draws_from_other_files() -> None:
    ship(Path("generator.safetensors"))
    exported = export("generator.safetensors", "fidelity")
    with pytest.raises(
        ArtefactError, match=r"makes bytes, for a program such as torch-fidelity; name the run, its gen"
    ):
        ganlab.load_generator(exported.path)
    assert ganlab.read_metadata(exported.path).model.name == "tiny"


class Bright(Fidelity):
    """Writes pictures that are one level too bright."""

    api = 1

    def export(self, generator: nn.Module, inputs: object, metadata: object, path: Path) -> None:
        super().export(nn.Sequential(generator, Brighter()), inputs, metadata, path)  # type: ignore[arg-type]


class Brighter(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + 2 / 255


def test_a_level_too_much_is_not_kept() -> None:
    """The tolerance is what rounding costs, and not a level."""
    ship(Path("generator.safetensors"))
    registry.add("exporter", "bright", Bright)
    try:
        with pytest.raises(RunError, match=r"differs from torch by 1\.\de-02 at batch 1, more than the 4e-03 allowed"):
            export("generator.safetensors", "bright")
    finally:
        registry.remove("exporter", "bright")
    assert not list(Path().glob("*.onnx"))
