"""What looks wrong in a recipe is said with the option that changes it."""

from __future__ import annotations

from typing import Any

import pytest
from toys import falling, tiny

from ganlab.recipe.recipe import parse_recipe
from ganlab.run.doubts import doubts
from ganlab.run.outlook import Outlook

AHEAD = Outlook(1000, True, 8000, 10, 1)


def said(ahead: Outlook = AHEAD, **tables: Any) -> list[str]:
    return list(doubts(parse_recipe(tiny(**tables)), ahead))


def test_a_usual_recipe_raises_none() -> None:
    assert said() == []
    assert said(optimizer={"lr": 1e-4, "discriminator": {"lr": 4e-4}}) == [], "two rates"
    assert said(optimizer={"lr": falling(0.5)}) == []


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"optimizer": {"lr": 0.02}}, "the learning rate of the generator, 0.02, is high"),
        (
            {"optimizer": {"lr": 1e-3, "generator": {"lr": 2e-5}}},
            "the discriminator learns 50 times as fast as the generator",
        ),
        (
            {"moving_average": {"warm_up": False, "half_life_images": 44_000.0}},
            "the average of the generator's weights still is by 88% what it began with",
        ),
        (
            {"optimizer": {"lr": {"from": 1e-3, "to": 1e-4, "images": 20_000}}},
            "the schedule of optimizer.lr ends after 20000 images, and the training after 8000",
        ),
        (
            {"optimizer": {"discriminator": {"lr": {"from": 1e-3, "to": 1e-4, "iterations": 2000}}}},
            "the schedule of optimizer.discriminator.lr ends after 2000 iterations",
        ),
        (
            {"loss": {"real_label": {"from": 0.9, "to": 1.0, "images": 9000}}},
            "the schedule of loss.real_label ends after 9000",
        ),
    ],
)
def test_a_doubt_names_what_it_is_about(tables: dict[str, Any], words: str) -> None:
    (doubt,) = said(**tables)
    assert words in doubt


def test_a_run_of_which_nothing_is_seen_before_its_end_is_one() -> None:
    (doubt,) = said(AHEAD._replace(snapshots=2))
    assert "no snapshot between the first and the last iteration" in doubt
    assert said(AHEAD._replace(snapshots=2, iterations=2)) == []
