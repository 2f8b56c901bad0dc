"""A GPU with too little memory: every run ends, or says what it lacks."""

from __future__ import annotations

import re

import pytest

from fake_cuda.child import FakeGPUs
from fake_cuda.programs import scarcity
from fake_cuda.programs.scarcity import Outcome

ENDS = ("refused", "eager", "captured")


@pytest.fixture(scope="module")
def outcomes(fake_gpus: FakeGPUs) -> list[Outcome]:
    return fake_gpus.ask(scarcity.sweep, "1.18")


def test_what_fits_into_less_fits_into_more(outcomes: list[Outcome]) -> None:
    ends = [outcome.end for outcome in outcomes]
    assert set(ends) == set(ENDS)
    assert ends == sorted(ends, key=ENDS.index), outcomes


def test_a_run_that_does_not_fit_says_so_and_how_it_might(outcomes: list[Outcome]) -> None:
    refused = [outcome.said for outcome in outcomes if outcome.end == "refused"]
    early = "out of memory at this work: building the networks; smaller networks, pictures or batches need less"
    for said in refused:
        assert said == early or (
            re.match(
                r"out of memory on cuda:0 \(0\.\d GB were in use\) with train\.batch_size = 64, pictures of 3 ", said
            )
            and said.endswith('start a new one with overrides={"train.batch_size": 32}')
        ), said
    assert len(set(refused)) > 2, "both, before the first iteration and in it"


def test_a_run_whose_graph_does_not_fit_says_why_it_is_slower(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.end == "eager":
            assert outcome.said.endswith(
                "iterations are computed eagerly, not as CUDA graphs: "
                "there is not enough memory for a captured iteration beside an eager one"
            )


def test_no_memory_stays_taken_after_a_run(outcomes: list[Outcome]) -> None:
    """Nor after one that has failed."""
    assert [outcome.left for outcome in outcomes] == [0] * len(outcomes)
