"""Scores are worse where they have gone away from those of real pictures, and stay there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ganlab.health.progress import EVALUATIONS, WorseScore
from ganlab.health.signs import Sign


def told(values: Sequence[float], best: str | None = "kid", reference: float = 0.0) -> list[Sign | None]:
    rule = WorseScore(best)
    return [rule.scored(100 * at, {"kid": value}, {"kid": reference}) for at, value in enumerate(values, 1)]


def present(signs: Sequence[Sign | None]) -> list[int]:
    return [at for at, sign in enumerate(signs, 1) if sign is not None and sign.present]


def test_a_score_that_has_been_far_worse_for_long_is_told() -> None:
    signs = told([5.0, 3.0, 1.0, 1.5, 1.6, 1.7, 1.8, 1.9])
    assert present(signs) == [3 + EVALUATIONS]
    assert signs[-1] is not None
    assert signs[-1].since == 300
    assert "kid 1 then and 1.8 now" in signs[-1].evidence


@pytest.mark.parametrize(
    "values",
    [
        [5.0, 4.0, 3.0, 2.0, 1.9, 1.8, 1.7, 1.6],  # better and better
        [5.0, 3.0, 1.0, 1.1, 1.05, 1.2, 1.1, 1.15],  # as good as it gets
        [5.0, 1.0, 2.0, 2.0, 2.0],  # too early
        [5.0, 1.0, 3.0, 1.1, 3.0, 0.9, 3.0, 1.0],  # it jumps about
    ],
)
def test_others_are_not(values: list[float]) -> None:
    assert present(told(values)) == []


def test_where_higher_is_better_it_is_the_distance_from_real_pictures_as_well() -> None:
    assert present(told([0.1, 0.5, 0.9, 0.6, 0.5, 0.4, 0.4, 0.3], reference=0.95)) == [8]
    assert present(told([0.1, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.9], reference=0.95)) == []


def test_it_ends_with_scores_as_good_as_the_best() -> None:
    signs = told([5.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 0.9])
    assert present(signs) == [7]
    assert signs[-1] is not None
    assert not signs[-1].present


def test_without_a_best_one_half_of_the_scores_decide() -> None:
    for falling, expected in ((1, False), (2, True)):
        rule, sign = WorseScore(None), None
        for at in range(1, 9):
            worse = {f"s{n}": 1.0 + 0.5 * max(0, at - 2) for n in range(falling)}
            better = {f"s{n}": 2.0 / at for n in range(falling, 4)}
            sign = rule.scored(at, worse | better, dict.fromkeys(("s0", "s1", "s2", "s3"), 0.0))
        assert sign is not None
        assert sign.present == expected


def test_a_score_without_a_reference_says_nothing() -> None:
    rule = WorseScore("kid")
    assert [rule.scored(at, {"kid": float(at)}, {}) for at in range(1, 20)] == [None] * 19
