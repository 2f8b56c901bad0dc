"""What `ganlab run --dry-run` says of a network that is counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

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


@pytest.fixture
def _linear() -> Iterator[None]:
    registry.add("model", "linear", Linear)
    yield
    registry.remove("model", "linear")


@pytest.mark.usefixtures("_linear")
def test_networks_and_sizes_are_those_counted_by_hand(tmp_path: Path) -> None:
    recipe = parse_recipe(
        {
            "model": {"name": "linear", "latent_dim": 99},
            "dataset": {"name": "stripes", "count": 50_000, "resolution": 32, "channels": 3, "classes": 10},
            "train": {"device": "cpu", "batch_size": 64},
        }
    )
    shown = preview(recipe)
    assert shown.startswith(recipe.dump())
    # Of 3 * 32 * 32 = 3,072 numbers: the generator has 99 weights and a bias for each, the discriminator a weight and
    # one bias. A checkpoint holds each as a float32 with Adam's two moments, its count of steps for 4 tensors, and the
    # averaged generator: 4 * (3 * (307,200 + 3,073) + 4 + 307,200) bytes.
    assert shown.removeprefix(recipe.dump()).splitlines()[1:] == [
        "pictures    50,000 of 3 x 32 x 32 in 10 classes",
        "network     generator: 307,200 parameters",
        "network     discriminator: 3,073 parameters",
        "device      cpu, fp32",
        "epoch       781 batches of 64",
        "on disk     154 MB packed pictures, 5 MB a checkpoint (2 kept)",
        "in memory   7 MB weights, gradients, optimizer and average, "
        "beside the activations of a batch and 154 MB of pictures",
    ]
    assert list(tmp_path.iterdir()) == [], "nothing is packed, and nothing left"
