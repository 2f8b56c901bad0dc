from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ganlab.data.latents import latents


def test_a_seed_is_the_published_stream_of_randomstate() -> None:
    # The first numbers of the Mersenne Twister with seed 0, as in numpy's documentation since 1.0.
    assert latents([0], 3, "normal")[0].tolist() == pytest.approx([1.76405235, 0.40015721, 0.97873798], abs=1e-7)
    assert latents([0], 2, "uniform")[0].tolist() == pytest.approx([0.09762701, 0.43037873], abs=1e-7)


def test_each_seed_is_what_a_new_randomstate_gives() -> None:
    seeds = [7, 0, 2**32 - 1, 7, 3]
    drawn = latents(seeds, 5, "normal")
    expected = [np.random.RandomState(seed).standard_normal(5) for seed in seeds]
    assert drawn.dtype == np.float32
    assert np.array_equal(drawn, np.array(expected, np.float32))
    assert np.array_equal(latents([3], 5, "normal")[0], drawn[4])


def test_an_odd_number_of_normals_leaves_nothing_for_the_next_seed() -> None:
    # RandomState draws normals in pairs and keeps the second.
    assert np.array_equal(latents([1, 2], 1, "normal")[1:], latents([2], 1, "normal"))


def test_threads_do_not_disturb_each_other() -> None:
    expected = latents(range(300), 7, "normal")
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda _: latents(range(300), 7, "normal"), range(8)))
    assert all(np.array_equal(part, expected) for part in drawn)


def test_uniform_latents_fill_minus_one_to_one() -> None:
    drawn = latents(range(2000), 10, "uniform")
    assert drawn.min() == pytest.approx(-1, abs=1e-3)
    assert drawn.max() == pytest.approx(1, abs=1e-3)
    assert abs(drawn.mean()) < 0.02


def test_no_seeds_are_no_latents() -> None:
    assert latents([], 4, "normal").shape == (0, 4)


def test_numpy_integers_are_seeds() -> None:
    assert np.array_equal(latents(np.arange(2), 4, "normal"), latents([0, 1], 4, "normal"))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "7", None, True])
def test_what_is_no_seed_is_refused(seed: object) -> None:
    with pytest.raises(ValueError, match="is not a seed: seeds are whole numbers from 0 to 4294967295"):
        latents([seed], 4, "normal")  # type: ignore[list-item]
