"""How long a run trains, against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from toys import tiny

from ganlab.recipe.recipe import parse_recipe
from ganlab.training.plan import Plan
from ganlab.training.state import State


def plan(per_epoch: int, **tables: Any) -> Plan:
    recipe = tiny() | {"train": {"batch_size": 8}, "snapshot": {}} | tables
    return Plan(parse_recipe(recipe), per_epoch)


def at(iteration: int, drawn: int) -> State:
    return State({}, {}, None, {}, iteration=iteration, drawn=drawn)


def test_iterations_are_counted_whatever_each_draws() -> None:
    course = plan(5, train={"batch_size": 8, "iterations": 16})
    place = at(iteration=4, drawn=12)
    assert (course.images(place), course.epoch(place), course.progress(place)) == (96, 2.4, 0.25)
    assert [course.done(at(iteration, 999)) for iteration in (15, 16, 17)] == [False, True, True]
    assert course.progress(at(20, 0)) == 1.0, "of a run that was made shorter"


def test_epochs_are_counted_by_what_was_drawn() -> None:
    course = plan(5, train={"batch_size": 8, "epochs": 2.5})
    # Two epochs and a half are twelve batches and a half: thirteen, since none is drawn in part.
    assert [course.progress(at(0, drawn)) for drawn in (0, 12, 13, 14)] == [0.0, 12 / 13, 1.0, 1.0]
    assert plan(5, train={"batch_size": 8, "epochs": 0.01}).progress(at(1, 1)) == 1.0


@pytest.mark.parametrize("tenths", [1, 3, 7, 11, 23, 29, 57])
def test_tenths_of_an_epoch_end_where_exact_ones_do(tenths: int) -> None:
    """1.1 * 10 is more than 11 in floating point, and 0.3 / 0.1 less than 3."""
    train, snapshot = {"batch_size": 8, "epochs": tenths / 10}, {"every_epochs": tenths / 10}
    recipe = parse_recipe(tiny() | {"train": train, "snapshot": snapshot})
    for per_epoch in range(1, 101):
        course, exact = Plan(recipe, per_epoch), Fraction(tenths, 10) * per_epoch
        last = max(1, math.ceil(exact))
        assert [course.done(at(0, drawn)) for drawn in (last - 1, last)] == [False, True]
        for drawn in (last - 1, last, 3 * last, 10 * per_epoch):
            assert course.snapshots_due(at(0, drawn)) == math.floor(drawn / exact)


def test_snapshots_come_every_so_many_iterations() -> None:
    course = plan(5, snapshot={"every_iterations": 6})
    assert [course.snapshots_due(at(iteration, 100)) for iteration in (0, 5, 6, 11, 12)] == [0, 0, 1, 1, 2]


def test_by_default_snapshots_come_early_and_then_every_thousand_iterations_whatever_the_data() -> None:
    for per_epoch in (1, 4, 10_000):
        course = plan(per_epoch)
        due = [course.snapshots_due(at(iteration, 3 * iteration)) for iteration in range(5_001)]
        assert [i for i in range(1, 5_001) if due[i] > due[i - 1]] == [125, 250, 500, 1000, 2000, 3000, 4000, 5000]


@pytest.mark.parametrize("train", [{"iterations": 40}, {"iterations": 1}, {"epochs": 7.3}, {"epochs": 0.1}])
@pytest.mark.parametrize(
    "snapshot",
    [{}, {"every_iterations": 6, "generators": 2}, {"every_iterations": 1, "generators": 1},
     {"every_epochs": 1, "generators": 3}, {"every_epochs": 0.1, "generators": 4}, {"every_epochs": 2.5}],
)  # fmt: skip
def test_the_whole_course_is_that_of_the_loop(train: dict[str, Any], snapshot: dict[str, Any]) -> None:
    """Gone through iteration by iteration, as the trainer does."""
    for per_epoch in (1, 5, 12):
        for batches in (1, 3):
            planned = plan(per_epoch, train={"batch_size": 8} | train, snapshot=snapshot)
            place, snapshots, generators = at(0, 0), 1, 0
            while not planned.done(place):
                before = planned.snapshots_due(place)
                place.iteration, place.drawn = place.iteration + 1, place.drawn + batches
                taken = planned.snapshots_due(place) > before or planned.done(place)
                snapshots += taken
                generators += taken and planned.keeps_generator(place)
            assert planned.course(batches) == (place.iteration, place.drawn, snapshots, generators)


def test_generators_are_kept_at_every_so_many_snapshots_and_at_the_last() -> None:
    course = plan(5, train={"iterations": 20}, snapshot={"every_iterations": 3, "generators": 2})
    assert [i for i in range(0, 21, 3) if course.keeps_generator(at(i, i))] == [6, 12, 18]
    assert course.keeps_generator(at(20, 20))
    assert course.course(1).generators == 4
    assert not plan(5, snapshot={"every_iterations": 3}).keeps_generator(at(6, 6))


@pytest.mark.parametrize(
    "tables",
    [
        {"train": {"batch_size": 8, "iterations": 40}, "snapshot": {"every_iterations": 6}},
        {"train": {"batch_size": 8, "epochs": 7.3}, "snapshot": {"every_epochs": 0.7}},
        {"train": {"batch_size": 8, "epochs": 300}, "snapshot": {}},
    ],
)
@pytest.mark.parametrize("batches", [1, 3])
def test_what_is_ahead_is_what_comes(tables: dict[str, Any], batches: int) -> None:
    """Against a run that is gone through, iteration by iteration."""
    course = plan(5, **tables)
    places = [at(0, 0)]
    while not course.done(places[-1]):
        places.append(at(len(places), len(places) * batches))
    last = places[-1].iteration
    taken = [
        later.iteration
        for before, later in pairwise(places)
        if course.snapshots_due(later) > course.snapshots_due(before) or course.done(later)
    ]
    for place in places[1:]:
        ahead = course.ahead(place)
        assert ahead.iterations == last
        assert ahead.next_snapshot == next((snapshot for snapshot in taken if snapshot > place.iteration), None)
