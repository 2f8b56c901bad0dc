"""Tiny models whose generators are shipped in tests, and their artefacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ganlab.generator.file import write_generator
from ganlab.generator.metadata import DataRecord, Metadata, RecipeRecord, TrainingRecord
from ganlab.generator.network import describe
from ganlab.interfaces import ImageSpec, Model
from ganlab.networks.shipment import shipment
from ganlab.registry import registry
from ganlab.testing.toys import TinyEncoding, TinyVaried

IMAGES = ImageSpec(3, 8, 8)
CLASSES = ImageSpec(1, 4, 4, 5)
CREATURES = ("ant", "bee", "cat", "1", "T-shirt/top")
"""Names of the five classes, one of them the number of another."""


class Tiny(Model):
    """DCGAN in small: a projection, BatchNorm, and two transposed convolutions."""

    api = 1
    latent_dim: PositiveInt = 6
    width: PositiveInt = 4

    def check(self, images: ImageSpec) -> None:
        if images.height % 4 or images.width % 4:
            raise ValueError(f"{images.height}x{images.width} cannot be built; take multiples of 4")

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        start = (self.width, images.height // 4, images.width // 4)
        generator = nn.Sequential(
            nn.Linear(self.latent_dim, start[0] * start[1] * start[2]),
            nn.Unflatten(1, start),
            nn.BatchNorm2d(self.width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(self.width, self.width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(self.width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(self.width, images.channels, 4, 2, 1),
            nn.Tanh(),
        )
        nn.init.normal_(generator.get_parameter("0.weight"))
        return {"generator": generator, "discriminator": nn.Flatten()}


class LabelledNetwork(nn.Module):
    """Adds an embedded class to z; its two linear layers share one weight."""

    def __init__(self, dim: int, images: ImageSpec) -> None:
        super().__init__()
        self.images = images
        self.embedding = nn.Embedding(images.classes, dim)
        self.first = nn.Linear(dim, dim)
        self.second = nn.Linear(dim, dim)
        self.second.weight = self.first.weight
        self.last = nn.Linear(dim, images.channels * images.height * images.width)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        x = self.second(self.first(z + self.embedding(labels)).relu())
        return self.last(x).reshape(-1, *self.images[:3]).tanh()


class Labelled(Model):
    """A conditional generator with tied weights, from uniform latents."""

    api = 1
    conditional = True
    latent_dim: PositiveInt = 6

    def check(self, images: ImageSpec) -> None:
        if not images.classes:
            raise ValueError("needs class labels")

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"generator": LabelledNetwork(self.latent_dim, images), "discriminator": nn.Flatten()}


class Told(Labelled):
    """A conditional generator with an encoder that is told the class, too, and shares a weight with it."""

    api = 1
    networks = ("generator", "encoder")
    shipped = ("generator", "encoder")

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        generator = LabelledNetwork(self.latent_dim, images)
        return {"generator": generator, "encoder": TellingEncoder(generator)}


class TellingEncoder(nn.Module):
    """Projects pictures by the transposed last layer of the generator, and adds an embedding of the class."""

    def __init__(self, generator: LabelledNetwork) -> None:
        super().__init__()
        self.last = nn.Linear(generator.last.in_features, generator.last.out_features, bias=False)
        self.last.weight = generator.last.weight
        self.embedding = nn.Embedding(generator.embedding.num_embeddings, generator.embedding.embedding_dim)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return images.flatten(1) @ self.last.weight + self.embedding(labels)


@contextmanager
def registered() -> Iterator[None]:
    """Make the models components."""
    registry.add("model", "tiny", Tiny)
    registry.add("model", "labelled", Labelled)
    registry.add("model", "varied", TinyVaried)
    registry.add("model", "encoding", TinyEncoding)
    registry.add("model", "told", Told)
    yield
    registry.remove("model", "told")
    registry.remove("model", "encoding")
    registry.remove("model", "varied")
    registry.remove("model", "tiny")
    registry.remove("model", "labelled")


def trained(model: Model, images: ImageSpec, seed: int = 0) -> nn.Module:
    """Return a generator in eval mode whose BatchNorm statistics are far from their start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = model.build(images)["generator"]
        for layer in generator.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.get_buffer("running_mean").normal_()
                layer.get_buffer("running_var").uniform_(0.2, 3.0)
                nn.init.normal_(layer.weight)
                nn.init.normal_(layer.bias)
    return generator.eval().requires_grad_(False)


def about(
    name: str = "tiny",
    model: Model | None = None,
    images: ImageSpec = IMAGES,
    recipe_name: str = "faces",
    class_names: Sequence[str] = (),
    generator: nn.Module | None = None,
) -> Metadata:
    """Return metadata of a run that was short."""
    return describe(
        name,
        model or Tiny(),
        images,
        generator or nn.Identity(),
        recipe=RecipeRecord(name=recipe_name, sha256="ab" * 32),
        training=TrainingRecord(iterations=10, images=640, epochs=2.5),
        data=DataRecord(fingerprint="pictures"),
        class_names=class_names,
    )


def ship(path: Path, seed: int = 0) -> nn.Module:
    """Write a tiny generator; return what was written."""
    generator = trained(Tiny(), IMAGES, seed)
    write_generator(path, generator, about())
    return generator


def ship_labelled(path: Path, class_names: Sequence[str] = ()) -> nn.Module:
    """Write a conditional generator; return what was written."""
    model = Labelled(latent="uniform")
    generator = trained(model, CLASSES)
    write_generator(path, generator, about("labelled", model, CLASSES, class_names=class_names))
    return generator


def ship_varied(path: Path) -> nn.Module:
    """Write a generator with inputs of four kinds; return what was written."""
    generator = trained(TinyVaried(), IMAGES)
    write_generator(path, generator, about("varied", TinyVaried()))
    return generator


def ship_encoding(path: Path, seed: int = 0) -> nn.Module:
    """Write a generator and its encoder; return what was written."""
    return _ship_bundle(path, "encoding", TinyEncoding(), IMAGES, seed)


def ship_told(path: Path) -> nn.Module:
    """Write a conditional generator and its encoder, which share a weight; return what was written."""
    return _ship_bundle(path, "told", Told(), CLASSES, 0)


def _ship_bundle(path: Path, name: str, model: Model, images: ImageSpec, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = shipment(model, model.build(images)).eval().requires_grad_(False)
    write_generator(path, networks, about(name, model, images, generator=networks))
    return networks


def resealed(data: bytes, old: str, new: str) -> bytes:
    """Return a safetensors file with text of its header exchanged, and a checksum that fits again."""
    from ganlab.generator.file import seal
    from ganlab.generator.metadata import UNSEALED

    length = int.from_bytes(data[:8], "little")
    header, tensors = data[8 : 8 + length].decode(), data[8 + length :]
    digest = header[header.index("sha256:") :][: len(UNSEALED)]
    changed = header.replace(digest, UNSEALED).replace(old, new)
    assert changed != header.replace(digest, UNSEALED), f"{old} is not in the header"
    return seal(len(changed.encode()).to_bytes(8, "little") + changed.encode() + tensors)
