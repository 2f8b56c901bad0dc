"""Pictures that a generator can make are found again; others come as near as arithmetic allows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganlab.data.pictures import to_uint8
from ganlab.errors import GanlabError
from ganlab.generator.projection import project
from ganlab.interfaces import Categorical, Input, Labels, Normal, Uniform

KINDS: dict[str, Input] = {"z": Normal((6,))}


class Curved(nn.Module):
    """z `(N, 6)` to pictures `(N, 1, 4, 4)`, one to one but for the sign of what tanh makes small."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.randn(6, 16, generator=torch.Generator().manual_seed(0)) / 3

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        made = torch.tanh(z @ self.weight).reshape(-1, 1, 4, 4)
        return made if labels is None else made * (1 - 2 * (labels % 2)).reshape(-1, 1, 1, 1)


def drawn(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 6)).astype(np.float32)


def on_sphere(z: np.ndarray) -> np.ndarray:
    return z * math.sqrt(z.shape[1]) / np.linalg.norm(z, axis=1, keepdims=True)


def picture_of(network: nn.Module, **inputs: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return to_uint8(network(*(torch.from_numpy(values) for values in inputs.values())).numpy())[0]


def test_a_picture_of_the_generator_is_found_with_its_latent_vector() -> None:
    z = on_sphere(drawn(1, seed=5))
    reported: list[int] = []
    picture = picture_of(Curved(), z=z)
    found = project(Curved(), KINDS, picture, {"z": drawn(8)}, 200, reported.append)
    assert found.error < 1.0
    assert np.allclose(found.inputs["z"], z, atol=0.02)
    assert (picture_of(Curved(), **found.inputs) == found.picture).all()
    assert found.errors == tuple(sorted(found.errors))
    assert len(found.errors) == 8
    assert reported == list(range(1, 201))


def test_the_error_is_the_root_of_the_mean_square_in_levels() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (4, 4, 1), np.uint8)
    found = project(Curved(), KINDS, picture, {"z": drawn(4)}, 50, lambda _: None)
    by_hand = math.sqrt(np.mean((found.picture.astype(float) - picture.astype(float)) ** 2))
    assert found.error == pytest.approx(by_hand)
    assert by_hand > 5, "no such picture can be made"


def test_the_nearest_moment_counts_and_more_steps_never_make_it_worse() -> None:
    picture = picture_of(Curved(), z=on_sphere(drawn(1, seed=9)))
    start = {"z": on_sphere(drawn(1, seed=9))}
    assert project(Curved(), KINDS, picture, start, 3, lambda _: None).error < 0.5, "it began there"


def test_uniform_inputs_stay_in_their_range_and_labels_as_they_are() -> None:
    z, labels = np.random.default_rng(2).uniform(-1, 1, (1, 6)).astype(np.float32), np.array([1])
    picture = picture_of(Curved(), z=z, labels=labels)
    starts: dict[str, np.ndarray] = {
        "z": np.random.default_rng(4).uniform(-1, 1, (6, 6)).astype(np.float32),
        "labels": np.arange(6) % 2,
    }
    kinds: dict[str, Input] = {"z": Uniform((6,)), "labels": Labels()}
    found = project(Curved(), kinds, picture, starts, 300, lambda _: None)
    assert found.error < 2.0
    assert np.abs(found.inputs["z"]).max() <= 1.0
    assert found.inputs["labels"].shape == (1,)


def test_a_generator_without_numbers_to_move_is_refused() -> None:
    picture, starts = np.zeros((4, 4, 1), np.uint8), {"code": np.eye(3, dtype=np.float32)}
    with pytest.raises(GanlabError, match="takes no numbers that could be moved"):
        project(Curved(), {"code": Categorical(3)}, picture, starts, 3, lambda _: None)
