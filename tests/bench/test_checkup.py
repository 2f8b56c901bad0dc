"""A recipe is looked at without a trace, and what is wrong with it is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from toys import tiny

from ganlab.bench.checkup import _duration, check_up
from ganlab.errors import DataError
from ganlab.recipe.recipe import parse_recipe


def test_a_recipe_is_looked_at_and_nothing_is_written_but_the_cache(tmp_path: Path) -> None:
    found = check_up(parse_recipe(tiny()), 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]
    labels = [line.split()[0] for line in found.figures]
    assert labels == ["pictures", "network", "network", "device", "epoch", "training", "on", "in", "time"]
    assert re.fullmatch(
        r"time        about \d+ s here: 12 iterations of [\d.]+ ms, 4 snapshots of [\d.e-]+ s", found.figures[-1]
    )
    assert any("12 iterations are few" in doubt for doubt in found.doubts)
    assert any("40 pictures are few" in doubt for doubt in found.doubts)
    assert len(set(found.doubts)) == len(found.doubts)


def test_what_is_judged_takes_its_time_too() -> None:
    evaluate = {"metrics": ["neighbours"], "count": 20}
    found = check_up(parse_recipe(tiny(evaluate=evaluate)), 1.0)
    assert re.search(r", 3 evaluations of [\d.e-]+ s$", found.figures[-1])


def test_a_wrong_rate_is_doubted() -> None:
    found = check_up(parse_recipe(tiny(optimizer={"lr": 0.05})), 1.0)
    assert any("is high" in doubt for doubt in found.doubts)


def test_what_a_run_refuses_is_refused(tmp_path: Path) -> None:
    dataset = {"name": "image_folder", "root": str(tmp_path / "nowhere"), "resolution": 8}
    with pytest.raises(DataError):
        check_up(parse_recipe(tiny(dataset=dataset)), 1.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59, "59 s"), (96, "2 min"), (7200, "2.0 h"), (200_000, "2.3 days")]
)
def test_times_are_as_people_say_them(seconds: float, text: str) -> None:
    assert _duration(seconds) == text
