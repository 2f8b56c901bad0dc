"""Ways between inputs, against geometry."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from ganlab.generator.interpolation import Way, walk
from ganlab.interfaces import Categorical, Labels, Normal, Uniform

RNG = np.random.default_rng(0)


def z(count: int, dim: int = 64) -> dict[str, np.ndarray]:
    return {"z": RNG.standard_normal((count, dim)).astype(np.float32)}


@pytest.mark.parametrize("way", ["auto", "spherical", "linear"])
@pytest.mark.parametrize("loop", [False, True])
def test_every_picture_is_on_the_way_in_its_turn(way: Way, loop: bool) -> None:
    inputs = z(4)
    made = walk(inputs, {"z": Normal((64,))}, 5, way, loop)["z"]
    assert made.shape == (20 if loop else 16, 64)
    assert made.dtype == np.float32
    assert np.allclose(made[::5], inputs["z"], atol=1e-6)


def test_an_arc_turns_at_one_speed_and_keeps_lengths_that_are_equal() -> None:
    inputs = z(2)
    inputs["z"] /= np.linalg.norm(inputs["z"], axis=1, keepdims=True)
    made = walk(inputs, {"z": Normal((64,))}, 10)["z"].astype(np.float64)
    assert np.allclose(np.linalg.norm(made, axis=1), 1.0, atol=1e-6)
    turned = [math.acos(min(1.0, float(one @ other))) for one, other in pairwise(made)]
    whole = math.acos(float(made[0] @ made[-1]))
    assert np.allclose(turned, whole / 10, atol=1e-4)


def test_uniform_inputs_go_along_lines_and_stay_in_their_range() -> None:
    inputs = {"z": RNG.uniform(-1, 1, (2, 8)).astype(np.float32)}
    made = walk(inputs, {"z": Uniform((8,))}, 4)["z"]
    assert np.allclose(made[1], 0.75 * inputs["z"][0] + 0.25 * inputs["z"][1], atol=1e-6)
    assert np.abs(made).max() <= 1.0


def test_categories_are_blended_and_a_label_is_that_of_the_nearer_end() -> None:
    inputs = {"code": np.eye(3, dtype=np.float32)[[0, 2]], "label": np.array([4, 7])}
    made = walk(inputs, {"code": Categorical(3), "label": Labels()}, 4, "spherical")
    blends = np.array([[1, 0, 0], [0.75, 0, 0.25], [0.5, 0, 0.5], [0.25, 0, 0.75], [0, 0, 1]])
    assert np.allclose(made["code"], blends)
    assert made["label"].tolist() == [4, 4, 7, 7, 7]


@pytest.mark.parametrize("other", ["the same", "opposite", "nothing"])
def test_there_is_a_way_between_any_two(other: str) -> None:
    inputs = z(2)
    inputs["z"][1] = {"the same": 1.0, "opposite": -1.0, "nothing": 0.0}[other] * inputs["z"][0]
    made = walk(inputs, {"z": Normal((64,))}, 4)["z"]
    assert np.isfinite(made).all()
    assert np.allclose(made[[0, -1]], inputs["z"], atol=1e-5)
