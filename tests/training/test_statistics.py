"""What a loss reports: the means of what was added, and the first of it that was not finite."""

from __future__ import annotations

import pytest
import torch

from ganlab import Update
from ganlab.distributed.ranks import Place, Ranks
from ganlab.training.operators import Operators
from ganlab.training.statistics import NonFinite, Statistics, networks_of

CPU = torch.device("cpu")
ALONE = Ranks(Place(0, 1, 0), CPU)


def reported(statistics: Statistics) -> tuple[dict[str, float], NonFinite | None]:
    report = statistics.report()
    numbers = report.values.tolist()
    return report.means(numbers), report.non_finite(numbers, ALONE)


def add(statistics: Statistics, iteration: int, *updates: tuple[Update, float]) -> None:
    statistics.begin()
    for update, norm in updates:
        statistics.add(update, torch.tensor(norm))
    statistics.count(statistics.close(), iteration)


def test_statistics_are_means_and_remember_the_first_broken_iteration() -> None:
    statistics = Statistics(CPU)
    for index, value in enumerate([1.0, 3.0, float("nan"), float("inf"), 1.0]):
        add(statistics, index, (Update("generator", torch.tensor(value), {"extra": torch.tensor(float(index))}), 1.0))
        if index == 1:
            assert reported(statistics) == ({"loss_generator": 2.0, "extra": 0.5}, None)
    means, broken = reported(statistics)
    assert means["extra"] == 3.0
    assert broken == ("loss", "generator", 2)
    assert reported(statistics) == ({}, None), "nothing has been added since"


def test_a_statistic_that_is_called_as_a_loss_is_not_mixed_with_it() -> None:
    statistics = Statistics(CPU)
    for index in range(2):
        add(statistics, index, (Update("critic", torch.tensor(1.0), {"loss_critic": torch.tensor(100.0)}), 1.0))
    assert reported(statistics) == ({"loss_critic": 1.0, "stat_loss_critic": 100.0}, None)


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_a_broken_gradient_is_told_from_a_broken_loss(bad: float) -> None:
    statistics = Statistics(CPU)
    for index, norm in enumerate([1.0, bad, 1.0]):
        add(statistics, index, (Update("discriminator", torch.ones(())), norm))
    assert reported(statistics)[1] == ("gradient", "discriminator", 1)


def test_the_largest_finite_values_are_not_taken_for_infinite_ones() -> None:
    statistics, largest = Statistics(CPU), torch.finfo(torch.float32).max
    for index in range(100):
        add(statistics, index, (Update("generator", torch.tensor(largest)), largest))
    assert reported(statistics) == ({"loss_generator": largest}, None)


def test_iterations_of_different_kinds_are_averaged_and_watched_apart() -> None:
    """Several updates of a network in an iteration, and a penalty in every third one."""
    statistics = Statistics(CPU)
    for index in range(7):
        penalty = {"r1": torch.tensor(float(index))} if index % 3 == 0 else {}
        loss = float("nan") if index == 5 else float(index)
        add(
            statistics,
            index,
            (Update("discriminator", torch.tensor(2.0)), 1.0),
            (Update("discriminator", torch.tensor(4.0), penalty), 1.0),
            (Update(("generator", "mapping"), torch.tensor(loss)), 1.0),
        )
    means, broken = reported(statistics)
    assert means["loss_discriminator"] == 3.0
    assert means["r1"] == 3.0  # of 0, 3 and 6
    assert broken == ("loss", "generator_mapping", 5)


def test_the_sums_stay_where_they_are() -> None:
    """A captured iteration goes on adding to the same memory, whatever has been read."""
    statistics = Statistics(CPU)

    def places() -> dict[str, int]:
        return {name: tensor.data_ptr() for name, tensor in statistics.tensors()}

    for index in range(4):
        extra = {"r1": torch.ones(())} if index % 2 else {}
        add(statistics, index, (Update("generator", torch.ones(()), extra), 1.0))
    before = places()
    assert len(set(before.values())) == len(before) == 4, "two layouts, each with sums and last finite iterations"
    assert reported(statistics) == ({"loss_generator": 1.0, "r1": 1.0}, None)
    add(statistics, 4, (Update("generator", torch.ones(()), {}), 1.0))
    assert places() == before


def test_an_iteration_that_reports_nothing_adds_nothing() -> None:
    statistics = Statistics(CPU)
    add(statistics, 0)
    assert reported(statistics) == ({}, None)


def test_an_update_names_one_network_or_several() -> None:
    assert networks_of(Update("generator", torch.ones(()))) == ("generator",)
    assert networks_of(Update(("mapping", "generator"), torch.ones(()))) == ("mapping", "generator")


def test_statistics_that_are_there_are_not_made_again() -> None:
    """A captured iteration would fill what it has made in every replay."""
    statistics = Statistics(CPU)
    add(statistics, 0, (Update("generator", torch.ones(())), 1.0))
    statistics.begin()
    statistics.add(Update("generator", torch.ones(())), torch.ones(()))
    with Operators(CPU, []) as operators:
        statistics.close()
    assert not {call.operator for call in operators.work().calls} & {"aten::zeros", "aten::full_like", "aten::fill_"}
