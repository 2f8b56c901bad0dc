"""Whether the discriminator has won, in the numbers of every loss that ships."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from ganlab.health.balance import DiscriminatorWins, FewPictures, Statistics
from ganlab.health.signs import BLOCK, LONG, Sign

Stats = Mapping[str, float]


def bce(real: float, fake: float, smooth: float = 1.0) -> Stats:
    """What binary cross-entropy reports where all logits of a kind are alike."""
    real_loss = -smooth * math.log(real) - (1 - smooth) * math.log(1 - real)
    discriminator = real_loss - math.log(1 - fake)
    return {"loss_discriminator": discriminator, "loss_generator": -math.log(fake), "D(x)": real, "D(G(z))": fake}


def logits(loss: float, generator: float, real: float, fake: float) -> Stats:
    return {"loss_discriminator": loss, "loss_generator": generator, "D(x)": real, "D(G(z))": fake}


def last(*phases: Stats, iterations: int = LONG + 100) -> Sign | None:
    """Return what is said at the end of phases of so many iterations each."""
    rule, sign = DiscriminatorWins(), None
    for number, stats in enumerate(phases):
        for iteration in range(number * iterations, (number + 1) * iterations, 50):
            sign = rule.tick(iteration, stats) or sign
    return sign


FAIR = bce(0.6, 0.4)
MILD = bce(0.9, 0.1)
WON = bce(0.99, 0.01)
SOFTPLUS_FAIR, SOFTPLUS_WON = logits(1.386, 0.693, 0.0, 0.0), logits(0.03, 4.2, 5.0, -4.2)


@pytest.mark.parametrize(
    "won",
    [
        WON,
        bce(0.9, 0.01, smooth=0.9),  # smoothed labels: D(x) does not near 1
        {**bce(0.99, 0.01), "loss_discriminator": 5.0},  # with a penalty in its loss
    ],
)
def test_a_discriminator_that_gives_fakes_no_chance_has_won(won: Stats) -> None:
    sign = last(FAIR, won)
    assert sign is not None
    assert sign.present
    assert sign.numbers["D(G(z))"] == pytest.approx(won["D(G(z))"])
    assert "D(G(z)) is 0.01, below 0.02" in sign.evidence


@pytest.mark.parametrize("stats", [FAIR, MILD, bce(0.95, 0.03)])
def test_a_mild_win_is_none(stats: Stats) -> None:
    sign = last(stats)
    assert sign is not None
    assert not sign.present


def test_a_win_that_does_not_last_is_none() -> None:
    assert last(WON, iterations=LONG - 50) is None
    sign = last(WON, FAIR, iterations=LONG - 50)
    assert sign is None or not sign.present


def test_a_generator_that_catches_up_is_not_beaten() -> None:
    rule = DiscriminatorWins()
    falling = {iteration: 12.0 * 0.5 ** (iteration / LONG) for iteration in range(0, 3 * LONG, 50)}
    signs = [rule.tick(iteration, {**WON, "loss_generator": loss}) for iteration, loss in falling.items()]
    assert not any(sign.present for sign in signs if sign is not None)


@pytest.mark.parametrize(
    ("fair", "won"),
    [
        (SOFTPLUS_FAIR, SOFTPLUS_WON),  # logistic, and the relativistic loss
        (logits(2.0, 0.0, 0.0, 0.0), logits(0.02, 3.0, 3.0, -3.0)),  # hinge
        (
            logits(0.5, 0.5, 0.5, 0.5),
            logits(0.004, 0.49, 0.99, 0.01),
        ),  # least squares: no probabilities, though they look so
    ],
)
def test_of_other_losses_it_is_what_is_left_of_the_discriminators(fair: Stats, won: Stats) -> None:
    sign = last(fair, won)
    assert sign is not None
    assert sign.present
    assert "of its largest" in sign.evidence


@pytest.mark.parametrize(
    "stats",
    [
        logits(-4.0, -1.0, 5.0, 1.0),  # Wasserstein: how far below 0 says nothing
        logits(0.3, 0.98, 1.06, -1.0),  # hinge, healthy
        logits(0.045, 0.37, 0.87, 0.16),  # least squares, healthy
        {"loss_autoencoder": 0.0, "loss_generator": 0.1},  # BEGAN
        {"loss_generator_encoder": 100.0, "KL": 3.0},  # a VAE
        {"loss_velocity": 0.2},
    ],
)
def test_where_nothing_can_be_known_nothing_is_said(stats: Stats) -> None:
    sign = last(stats)
    assert sign is None or not sign.present


def test_a_win_ends_where_the_discriminator_errs_for_as_long() -> None:
    sign = last(WON, FAIR)
    assert sign is not None
    assert not sign.present
    assert abs(sign.since - (LONG + 100)) <= BLOCK
    assert f"errs again since iteration {sign.since:,}" in sign.evidence


def test_probabilities_are_told_from_logits_by_the_generators_loss() -> None:
    assert Statistics(WON).likelihood
    assert Statistics(bce(0.9, 0.1)).likelihood
    for loss in (-0.1, 0.4):  # of a hinge or Wasserstein loss, of least squares
        assert not Statistics({**bce(0.9, 0.1), "loss_generator": loss}).likelihood
    assert not Statistics({**bce(0.9, 0.1), "D(x)": 1.5}).likelihood


KNOWN = {**bce(0.9, 0.1), "sign(D(x))": 1.0}


def few(pictures: int, stats: Stats, epochs: float = 100.0) -> bool:
    rule, found = FewPictures(pictures), False
    for iteration in range(0, 2 * LONG + 200, 50):
        sign = rule.tick(iteration, epochs, stats)
        found |= sign is not None and sign.present
    return found


def test_few_pictures_are_those_that_are_known_by_heart() -> None:
    assert few(500, KNOWN)
    assert few(500, {**logits(0.4, 1.0, 2.0, -2.0), "sign(D(x))": 1.0})
    assert not few(10_000, KNOWN), "there are enough"
    assert not few(500, KNOWN, epochs=5.0), "they have not been seen often enough"
    assert not few(500, {**KNOWN, "sign(D(x))": 0.8})
    assert not few(500, bce(0.9, 0.1)), "the loss does not report it"
    assert not few(500, {**logits(-4.0, -1.0, 5.0, 1.0), "sign(D(x))": 1.0}), "a critic's zero is anywhere"
    assert not few(500, {**logits(0.05, 0.4, 0.9, 0.2), "sign(D(x))": 1.0}), "least squares: its labels are above 0"
