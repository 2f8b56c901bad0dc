"""A generator's inputs: what a model may declare, and that a seed draws the same for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from ganlab_conditional import ConditionalDCGAN
from ganlab_dcgan import DCGAN

from ganlab.data.inputs import Grid, declared_inputs, drawn, needs_labels, of_seeds
from ganlab.errors import PluginError
from ganlab.interfaces import Categorical, Distribution, ImageSpec, Input, Labels, Normal, Uniform

IMAGES = ImageSpec(1, 28, 28, 10)
VARIED: dict[str, Input] = {
    "z": Normal((5,)),
    "labels": Labels(),
    "code": Categorical(4),
    "angle": Uniform((2,)),
    "noise": Normal((1, 2, 3)),
}


def z_of(shape: tuple[int, ...], seeds: Any, distribution: Distribution = "normal") -> np.ndarray[Any, Any]:
    kind = Normal(shape) if distribution == "normal" else Uniform(shape)
    return of_seeds({"z": kind}, seeds, 0)["z"]


# Seeds


def test_a_seed_is_the_published_stream_of_randomstate() -> None:
    # The first numbers of the Mersenne Twister with seed 0, as in numpy's documentation since 1.0.
    assert z_of((3,), [0])[0].tolist() == pytest.approx([1.76405235, 0.40015721, 0.97873798], abs=1e-7)
    assert z_of((2,), [0], "uniform")[0].tolist() == pytest.approx([0.09762701, 0.43037873], abs=1e-7)


def test_each_seed_is_what_a_new_randomstate_gives() -> None:
    seeds = [7, 0, 2**32 - 1, 7, 3]
    made = z_of((5,), seeds)
    expected = [np.random.RandomState(seed).standard_normal(5) for seed in seeds]
    assert made.dtype == np.float32
    assert np.array_equal(made, np.array(expected, np.float32))
    assert np.array_equal(z_of((5,), [3])[0], made[4])


def test_inputs_are_drawn_in_the_order_in_which_they_are_declared() -> None:
    made = of_seeds(VARIED, [23, 8], 10)
    assert list(made) == list(VARIED)
    for place, seed in enumerate([23, 8]):
        stream = np.random.RandomState(seed)
        expected = {
            "z": stream.standard_normal(5),
            "labels": seed % 10,
            "code": np.eye(4)[stream.randint(4)],
            "angle": stream.uniform(-1, 1, 2),
            "noise": stream.standard_normal((1, 2, 3)),
        }
        for name, values in expected.items():
            assert np.array_equal(made[name][place], np.asarray(values, made[name].dtype)), name
    assert {name: array.dtype.name for name, array in made.items()} == {
        "z": "float32", "labels": "int64", "code": "float32", "angle": "float32", "noise": "float32",
    }  # fmt: skip


def test_a_choice_takes_the_place_of_what_is_drawn_and_moves_nothing_else() -> None:
    before = of_seeds(VARIED, range(3), 10)
    after = of_seeds(VARIED, range(3), 10, {"code": [3, 0, 3], "labels": [9, 9, 1]})
    assert after["code"].argmax(1).tolist() == [3, 0, 3]
    assert after["code"].sum(1).tolist() == [1, 1, 1]
    assert after["labels"].tolist() == [9, 9, 1]
    for name in ("z", "angle", "noise"):
        assert np.array_equal(before[name], after[name])


def test_an_odd_number_of_normals_leaves_nothing_for_the_next_seed() -> None:
    # RandomState draws normals in pairs and keeps the second.
    assert np.array_equal(z_of((1,), [1, 2])[1:], z_of((1,), [2]))


def test_threads_do_not_disturb_each_other() -> None:
    expected = z_of((7,), range(300))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: z_of((7,), range(300)), range(8)))
    assert all(np.array_equal(part, expected) for part in made)


def test_uniform_latents_fill_minus_one_to_one() -> None:
    made = z_of((10,), range(2000), "uniform")
    assert made.min() == pytest.approx(-1, abs=1e-3)
    assert made.max() == pytest.approx(1, abs=1e-3)
    assert abs(made.mean()) < 0.02


def test_no_seeds_are_no_inputs() -> None:
    made = of_seeds(VARIED, [], 10)
    assert {name: array.shape for name, array in made.items()} == {
        "z": (0, 5), "labels": (0,), "code": (0, 4), "angle": (0, 2), "noise": (0, 1, 2, 3),
    }  # fmt: skip


def test_numpy_integers_are_seeds() -> None:
    assert np.array_equal(z_of((4,), np.arange(2)), z_of((4,), [0, 1]))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "7", None, True])
def test_what_is_no_seed_is_refused(seed: object) -> None:
    with pytest.raises(ValueError, match="is not a seed: seeds are whole numbers from 0 to 4294967295"):
        z_of((4,), [seed])


# Training


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_training_draws_from_the_same_distribution(distribution: Distribution) -> None:
    inputs = DCGAN(latent_dim=5, latent=distribution).inputs(IMAGES)
    assert inputs == {"z": Normal((5,)) if distribution == "normal" else Uniform((5,))}
    z, again = (drawn(inputs, 4000, torch.Generator().manual_seed(1))["z"] for _ in range(2))
    assert (z.shape, z.dtype, z.device.type) == ((4000, 5), torch.float32, "cpu")
    assert torch.equal(z, again)
    assert np.quantile(z, [0.1, 0.5, 0.9]) == pytest.approx(
        np.quantile(z_of((5,), range(4000), distribution), [0.1, 0.5, 0.9]), abs=0.05
    )


def test_the_shape_of_numbers_does_not_change_them() -> None:
    flat, maps = (drawn({"z": Normal(shape)}, 6, torch.Generator().manual_seed(2))["z"] for shape in ((12,), (3, 2, 2)))
    assert torch.equal(flat, maps.reshape(6, 12))
    assert np.array_equal(z_of((12,), range(3)), z_of((3, 2, 2), range(3)).reshape(3, 12))


# What a model declares


def test_a_conditional_model_takes_labels_behind_z() -> None:
    assert list(ConditionalDCGAN(latent_dim=7).inputs(IMAGES).items()) == [("z", Normal((7,))), ("labels", Labels())]
    assert needs_labels(ConditionalDCGAN(), IMAGES)
    assert not needs_labels(DCGAN(), IMAGES)


DECLARED: list[tuple[Any, str]] = [
    ([Normal((3,))], r"must return a dict of 1 to 64 inputs by name, such as {\"z\": Normal\(\(100,\)\)}, and returns"),
    ({}, "must return a dict of 1 to 64 inputs by name"),
    ({"Z": Normal((3,))}, "calls an input 'Z': take small letters, digits and _"),
    ({"images": Normal((3,))}, "calls an input 'images': take .* and not images, which is what the generator makes"),
    ({"z": (3,)}, r"z must be Normal, Uniform, Categorical or Labels, not \(3,\)"),
    ({"z": Normal((0,))}, r"z must have a shape of whole numbers from 1, not \(0,\)"),
    ({"z": Normal(())}, r"z must have a shape of whole numbers from 1, not \(\)"),
    ({"z": Normal([3])}, r"z must have a shape of whole numbers from 1, not \[3\]"),  # type: ignore[arg-type]
    ({"code": Categorical(0)}, "code must have a shape of whole numbers from 1"),
    ({"a": Labels(), "b": Labels()}, "declares Labels more than once: a picture has one class"),
]


@pytest.mark.parametrize(("returned", "sentence"), DECLARED, ids=[str(index) for index in range(len(DECLARED))])
def test_what_is_no_declaration_is_refused(returned: Any, sentence: str) -> None:
    class Odd(DCGAN):
        api = 1

        def inputs(self, images: ImageSpec) -> Any:
            return returned

    with pytest.raises(PluginError, match=rf"^inputs\(\) of Odd:? {sentence}"):
        declared_inputs(Odd(), IMAGES)


# Grids


def test_a_grid_of_classes_has_a_latent_a_picture() -> None:
    grid = Grid.of(VARIED, 3, 7)
    assert grid == (3, list(range(7)), {"labels": [0, 0, 0, 1, 1, 1, 2]})


def test_a_grid_sweeps_the_first_category_by_rows_and_shares_the_rest_by_columns() -> None:
    grid = Grid.of({"z": Normal((5,)), "code": Categorical(4), "other": Categorical(2)}, 0, 8)
    assert grid == (2, [0, 1] * 4, {"code": [0, 0, 1, 1, 2, 2, 3, 3]})


def test_other_grids_are_squares() -> None:
    assert Grid.of({"z": Normal((5,))}, 10, 7) == (3, list(range(7)), {})
