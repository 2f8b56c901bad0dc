"""How long a run will be and what it writes, against runs that are looked at when they have ended."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from toys import tiny

import ganlab
from ganlab.health.balance import FEW_PICTURES
from ganlab.recipe.recipe import Recipe, parse_recipe
from ganlab.run.outlook import FEW_ITERATIONS, Outlook, warnings
from ganlab.run.preview import preview

FOUND = re.compile(r"([\d,]+) iterations? on ([\d,]+) pictures?, (?:up to )?([\d,]+) snapshots? of [\d.,]+ MB")


def numbers(text: str) -> list[int]:
    (found,) = FOUND.findall(text)
    return [int(number.replace(",", "")) for number in found]


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"train": {"iterations": 300}, "snapshot": {"every_iterations": None}},
        {"train": {"iterations": None, "epochs": 2.5}, "loss": {"discriminator_steps": 3}},
        {"train": {"iterations": None, "epochs": 3, "batch_size": 64}, "snapshot": {"every_iterations": 2}},
    ],
    ids=str,
)
def test_a_run_is_as_long_and_has_as_many_snapshots_as_a_dry_run_says(tables: dict[str, Any]) -> None:
    table = tiny(**tables, observers={"terminal": {"mode": "off"}, "gif": False, "plot": False})
    said = numbers(preview(parse_recipe(table)))
    run = ganlab.train(table)
    grids = list((run.directory / "samples").glob("*.png"))
    assert said == [run.iterations, run.images, len(grids)]
    log = (run.directory / "log.txt").read_text()
    exact = "iterations" in table["train"] and table["train"]["iterations"] is not None
    assert ("up to" in log) != exact
    assert numbers(log) == said if exact else numbers(log)[0] >= said[0]


def test_a_snapshot_writes_as_much_as_is_said() -> None:
    table = tiny(model={"base_channels": 64}, train={"iterations": 2}, snapshot={"every_iterations": 2, "samples": 64})
    run = ganlab.train(table)
    written = [*(run.directory / "checkpoints" / "00000002").iterdir(), run.generator]
    total = sum(path.stat().st_size for path in written) + 64 * 64  # the pixels of the grid
    (said,) = re.findall(r"snapshots of ([\d.]+) MB, ([\d.]+) MB written in all", preview(parse_recipe(table)))
    assert float(said[0]) == pytest.approx(total / 1e6, rel=0.01)
    assert float(said[1]) == pytest.approx(2 * total / 1e6, rel=0.01)


@pytest.mark.parametrize("snapshots", [2, 29, 1000])
def test_what_all_snapshots_write_is_so_many_times_what_one_writes(snapshots: int) -> None:
    for size in (*range(1000, 10**6, 997), 10**6, 10**7 - 1, 123_456_789):
        said = re.findall(r"([\d.,]+) MB", str(Outlook(1, True, 1, snapshots, size)))
        one, all_of_them = (float(number.replace(",", "")) for number in said)
        assert all_of_them == pytest.approx(snapshots * one, rel=0.006)


def advice(iterations: int, pictures: int, **tables: Any) -> list[str]:
    recipe: Recipe = parse_recipe(tiny(**tables))
    return list(warnings(recipe, pictures, Outlook(iterations, True, 0, 2, 1)))


def test_few_iterations_and_few_pictures_are_warned_of_with_what_helps() -> None:
    assert advice(FEW_ITERATIONS, FEW_PICTURES) == []
    few_iterations, few_pictures = advice(400, 300)
    assert few_iterations.startswith("400 iterations are few: ")
    assert few_iterations.endswith('train longer with overrides={"train.iterations": 25000}')
    assert few_pictures == (
        "300 pictures are few: a discriminator soon knows them by heart, unless it sees each of them changed; write "
        '[augmentation] with name = "diffaugment" into the recipe'
    )
    assert advice(FEW_ITERATIONS, 300, augmentation={"name": "diffaugment"}) == []


def test_a_learning_rate_that_is_nothing_before_the_end_is_warned_of() -> None:
    def told(lr: Any, **train: Any) -> list[str]:
        length = {"iterations": FEW_ITERATIONS} | train
        return advice(FEW_ITERATIONS, FEW_PICTURES, optimizer={"discriminator": {"lr": lr}}, train=length)

    begun = {"from": 1e-3, "to": 0.0, "after": 500}
    (warning,) = told(begun | {"iterations": 1000})
    assert warning == (
        "the learning rate of the discriminator is 0 from 1500 iterations on, and the training lasts 2000: it learns "
        "nothing from there; let the schedule optimizer.lr last as long"
    )
    (warning,) = told({"from": 1e-3, "to": 0.0, "epochs": 3}, iterations=None, epochs=4)
    assert "is 0 from 3 epochs on, and the training lasts 4:" in warning
    assert told(begun | {"iterations": 1500}) == told(begun | {"to": 1e-5, "iterations": 3}) == []
    assert told({"from": 1e-3, "to": 0.0, "epochs": 3}) == [], "how long that is, the data says"
    assert told({"from": 1e-3, "to": 0.0, "progress": 1.0}) == []


def test_a_run_warns_at_its_beginning_and_not_again_when_it_goes_on() -> None:
    short, long = ({"iterations": count} for count in (4, 8))
    for train in (short, long):
        ganlab.train(tiny(train=train, observers={"terminal": {"mode": "off"}}), out="run")
    log = Path("run/log.txt").read_text()
    assert log.count("warning: 4 iterations are few") == 1
    assert log.count("warning: 40 pictures are few") == 1
    assert "8 iterations are few" not in log
