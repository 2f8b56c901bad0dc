"""What an iteration asks of the device, and in which ways two iterations can differ."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from ganlab import ImageSpec
from ganlab.data.batches import Batches
from ganlab.data.packing import Packed
from ganlab.interfaces import Normal
from ganlab.training.operators import Operators, Work, difference
from ganlab.training.statistics import Scalar

CPU = torch.device("cpu")
WEIGHTS = {"first": torch.zeros(3), "second": torch.zeros(3)}


def work(does: Callable[[], object], draws: int = 0) -> Work:
    with Operators(CPU, WEIGHTS.items()) as operators:
        does()
    return operators.work()._replace(draws=draws)


@pytest.mark.parametrize(
    ("does", "uses"),
    [
        (lambda first: first + 1, True),
        (lambda first: first.detach().reshape(3, 1), True),
        (lambda first: torch.stack([torch.ones(3), first]), True),
        (lambda first: torch.ones(3) + 1, False),
        (lambda first: first.shape, False),
    ],
)
def test_what_an_iteration_works_on_is_known(does: Callable[[Tensor], object], uses: bool) -> None:
    made = work(lambda: does(WEIGHTS["first"]))
    assert (made.uses("first"), made.uses("second")) == (uses, False)


def test_other_numbers_of_the_device_are_the_same_work() -> None:
    def iterate(values: Tensor) -> None:
        loss = (values * 2.0).square().sum()
        (WEIGHTS["first"] + values).add_(loss)

    works = [work(partial(iterate, values)) for values in (torch.zeros(3), torch.ones(3))]
    assert difference(works) is None
    assert [call.operator for call in works[0].calls] == [
        "aten::mul.Tensor", "aten::pow.Tensor_Scalar", "aten::sum", "aten::add.Tensor", "aten::add_.Tensor",
    ]  # fmt: skip


def test_the_backward_pass_is_recorded_too() -> None:
    weight = torch.ones(3, requires_grad=True)
    calls = work(lambda: torch.autograd.backward(weight.sigmoid().sum(), inputs=[weight])).calls
    assert "aten::sigmoid_backward" in [call.operator for call in calls]


ONES, ROW = torch.ones(3), torch.ones(1, 3)
DIFFERENT: list[tuple[Callable[[], object], Callable[[], object], str]] = [
    (lambda: ONES * 2.0, lambda: ONES * 3.0, "iterations give aten::mul.Tensor different arguments (2.0 and then 3.0)"),
    (lambda: ONES + ONES, lambda: ONES + ROW, "aten::add.Tensor different arguments (('', "),
    (lambda: ONES.sum(0), lambda: ONES.sum(-1), "aten::sum.dim_IntList different arguments (0 and then -1)"),
    (lambda: ONES.exp(), lambda: ONES.abs(), "is aten::exp, then aten::abs)"),
    (lambda: ONES.exp(), lambda: ONES.exp().exp(), "iterations run different numbers of operators (1, 2)"),
    (lambda: ONES.sum().item(), lambda: ONES.sum().item(), "the host reads the device within an iteration (_local_sca"),
    (lambda: ONES.nonzero(), lambda: ONES.nonzero(), "the host reads the device within an iteration (nonzero)"),
    (
        lambda: WEIGHTS["first"].add_(1),
        lambda: WEIGHTS["second"].add_(1),
        "aten::add_.Tensor different arguments (('first', device(type='cpu'), torch.float32, (3,), (1,)) and then",
    ),
]


@pytest.mark.parametrize(("one", "other", "sentence"), DIFFERENT, ids=[row[2][-25:] for row in DIFFERENT])
def test_what_differs_is_named(one: Callable[[], object], other: Callable[[], object], sentence: str) -> None:
    found = difference([work(one), work(one), work(other)])
    assert found is not None
    assert sentence in found
    if not found.startswith("the host reads"):
        assert difference([work(one), work(one)]) is None


def test_iterations_that_draw_or_report_otherwise_differ() -> None:
    same = work(lambda: None, draws=1)
    assert difference([same, same._replace(draws=2)]) == "iterations draw different numbers of batches (1, 2)"
    assert difference([same, same._replace(layout=(Scalar("statistic", "r1"),))]) == (
        "iterations report different statistics"
    )


def test_of_a_batch_only_what_the_device_makes_of_it_is_recorded() -> None:
    """The order of an epoch is a choice of the host, and the first batch of one takes more to choose."""
    packed = Packed(np.zeros((8, 1, 2, 2), np.uint8), None, ImageSpec(1, 2, 2), (), "fingerprint")
    source = Batches(packed, {"z": Normal((3,))}, batch_size=4, conditional=False, flip=True, seed=0, device=CPU)
    works = []
    for _ in range(3):  # the third is the first of another epoch
        with Operators(CPU, ()) as operators:
            batch = next(operators.batches(source))
        works.append(operators.work())
        assert batch.real.shape == (4, 1, 2, 2)
    assert difference(works) is None
    assert works[0].draws == 1
    operators_of_a_batch = [call.operator for call in works[0].calls]
    assert "aten::flip" in operators_of_a_batch
    assert "aten::normal_" not in operators_of_a_batch
