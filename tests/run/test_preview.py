"""What `ganlab run --dry-run` says of a network that is counted by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn
from toys import tiny

from ganlab import ImageSpec, Model
from ganlab.recipe.recipe import parse_recipe
from ganlab.registry import registry
from ganlab.run.preview import preview


class Linear(Model):
    """One layer each."""

    api = 1

    def check(self, images: ImageSpec) -> None: ...

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        size = images.channels * images.height * images.width
        generator = nn.Sequential(nn.Linear(self.latent_dim, size), nn.Unflatten(1, images[:3]))
        return {"generator": generator, "discriminator": nn.Sequential(nn.Flatten(), nn.Linear(size, 1))}


class Deaf(Linear):
    """A generator of pictures that are too small for the discriminator."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        small = images._replace(height=images.height // 2, width=images.width // 2)
        return super().build(images) | {"generator": super().build(small)["generator"]}


class Fixed(Linear):
    """Wide whatever its options say."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        networks = super().build(images)
        return networks | {"discriminator": nn.Sequential(nn.Flatten(), nn.Linear(8000, 8000), nn.Linear(8000, 1))}


@pytest.fixture
def _linear() -> Iterator[None]:
    models = {"linear": Linear, "deaf": Deaf, "fixed": Fixed}
    for name, cls in models.items():
        registry.add("model", name, cls)
    yield
    for name in models:
        registry.remove("model", name)


@pytest.mark.usefixtures("_linear")
def test_networks_and_sizes_are_those_counted_by_hand(tmp_path: Path) -> None:
    recipe = parse_recipe(
        {
            "model": {"name": "linear", "latent_dim": 99},
            "dataset": {"name": "stripes", "count": 5_000, "resolution": 32, "channels": 3, "classes": 10},
            "train": {"device": "cpu", "batch_size": 64},
        }
    )
    shown = preview(recipe)
    assert shown.startswith(recipe.dump())
    # Of 3 * 32 * 32 = 3,072 numbers: the generator has 99 weights and a bias for each, the discriminator a weight and
    # one bias. A checkpoint holds each as a float32 with Adam's two moments, its count of steps for 4 tensors, and the
    # averaged generator: 4 * (3 * (307,200 + 3,073) + 4 + 307,200) bytes. The layers keep what they are
    # given: 64 latents of 99 numbers, and 3,072 numbers of each real and each generated picture.
    assert shown.removeprefix(recipe.dump()).splitlines()[1:] == [
        "pictures    5,000 of 3 x 32 x 32 in 10 classes",
        "network     generator: 307,200 parameters",
        "network     discriminator: 3,073 parameters",
        "device      cpu, fp32",
        "epoch       78 batches of 64",
        # A snapshot is a checkpoint, 4,952,092 bytes, the generator, 4 * 307,200, and 64 pictures of 3,072.
        "training    25,000 iterations on 1,600,000 pictures, 29 snapshots of 6.38 MB, 185 MB written in all",
        "on disk     15.4 MB of pictures, 4.95 MB a checkpoint (2 kept)",
        "in memory   6.19 MB weights, gradients, optimizer and average, 1.60 MB activations of a batch, "
        "15.4 MB of pictures",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["cache"], "the pictures are packed, and nothing else is left"


@pytest.mark.usefixtures("_linear")
def test_large_networks_are_built_in_no_time_and_warned_of_with_what_would_do(tmp_path: Path) -> None:
    dataset = {"name": "stripes", "count": 64, "resolution": 512, "channels": 3}
    shown = preview(parse_recipe({"dataset": dataset, "train": {"device": "cpu"}}))
    assert "network     generator: 185,486,208 parameters" in shown
    assert (
        "note        the networks have 364 million parameters, and 60 million are enough for 1024x1024, as StyleGAN2 "
        "shows; this will be slow: use model.base_channels = 16, which has 24 million, or a lower dataset.resolution"
    ) in shown.splitlines()
    shown = preview(parse_recipe({"dataset": dataset, "model": {"name": "fixed"}, "train": {"device": "cpu"}}))
    assert "this will be slow: use a model with fewer, or a lower dataset.resolution" in shown


@pytest.mark.usefixtures("_linear")
def test_what_cannot_be_found_out_without_training_is_no_mistake() -> None:
    shown = preview(parse_recipe(tiny(model={"name": "deaf"})))
    assert re.search(r"the activations of a batch, 0\.\d+ MB of pictures", shown)
    assert "note        what an iteration does cannot be told without training: RuntimeError: " in shown
    assert "note        the generator makes (8, 1, 4, 4) of a batch of latents, not the (8, 1, 8, 8) of the" in shown
