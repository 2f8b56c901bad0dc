"""Latents for sampling: a seed is the same latent for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from ganlab_dcgan import DCGAN

from ganlab.data.latents import Latent
from ganlab.interfaces import Distribution


def test_a_seed_is_the_published_stream_of_randomstate() -> None:
    # The first numbers of the Mersenne Twister with seed 0, as in numpy's documentation since 1.0.
    assert Latent(3, "normal").of_seeds([0])[0].tolist() == pytest.approx(
        [1.76405235, 0.40015721, 0.97873798], abs=1e-7
    )
    assert Latent(2, "uniform").of_seeds([0])[0].tolist() == pytest.approx([0.09762701, 0.43037873], abs=1e-7)


def test_each_seed_is_what_a_new_randomstate_gives() -> None:
    seeds = [7, 0, 2**32 - 1, 7, 3]
    drawn = Latent(5, "normal").of_seeds(seeds)
    expected = [np.random.RandomState(seed).standard_normal(5) for seed in seeds]
    assert drawn.dtype == np.float32
    assert np.array_equal(drawn, np.array(expected, np.float32))
    assert np.array_equal(Latent(5, "normal").of_seeds([3])[0], drawn[4])


def test_an_odd_number_of_normals_leaves_nothing_for_the_next_seed() -> None:
    # RandomState draws normals in pairs and keeps the second.
    assert np.array_equal(Latent(1, "normal").of_seeds([1, 2])[1:], Latent(1, "normal").of_seeds([2]))


def test_threads_do_not_disturb_each_other() -> None:
    expected = Latent(7, "normal").of_seeds(range(300))
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda _: Latent(7, "normal").of_seeds(range(300)), range(8)))
    assert all(np.array_equal(part, expected) for part in drawn)


def test_uniform_latents_fill_minus_one_to_one() -> None:
    drawn = Latent(10, "uniform").of_seeds(range(2000))
    assert drawn.min() == pytest.approx(-1, abs=1e-3)
    assert drawn.max() == pytest.approx(1, abs=1e-3)
    assert abs(drawn.mean()) < 0.02


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_training_draws_from_the_same_distribution(distribution: Distribution) -> None:
    latent = Latent.of(DCGAN(latent_dim=5, latent=distribution))
    assert latent == (5, distribution)
    z, again = (latent.draw(4000, torch.Generator().manual_seed(1)) for _ in range(2))
    assert (z.shape, z.dtype, z.device.type) == ((4000, 5), torch.float32, "cpu")
    assert torch.equal(z, again)
    assert np.quantile(z, [0.1, 0.5, 0.9]) == pytest.approx(
        np.quantile(latent.of_seeds(range(4000)), [0.1, 0.5, 0.9]), abs=0.05
    )


def test_no_seeds_are_no_latents() -> None:
    assert Latent(4, "normal").of_seeds([]).shape == (0, 4)


def test_numpy_integers_are_seeds() -> None:
    assert np.array_equal(Latent(4, "normal").of_seeds(np.arange(2)), Latent(4, "normal").of_seeds([0, 1]))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "7", None, True])
def test_what_is_no_seed_is_refused(seed: object) -> None:
    with pytest.raises(ValueError, match="is not a seed: seeds are whole numbers from 0 to 4294967295"):
        Latent(4, "normal").of_seeds([seed])  # type: ignore[list-item]
