"""The only errors a user should see: their sentences, and the codes that they end the command line with."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import ganlab
from ganlab import errors
from ganlab.errors import (
    GanlabError,
    Interrupted,
    LostRankError,
    NonFiniteError,
    RankError,
    RecipeError,
    RunError,
    printable,
)

CODES = {
    "GanlabError": 2,
    "RecipeError": 2,
    "PluginError": 2,
    "DataError": 2,
    "ArtefactError": 2,
    "RunError": 1,
    "NonFiniteError": 1,
    "RankError": 1,
    "LostRankError": 1,
}
"""A mistake is 2, a run or export that failed by itself 1."""


def test_every_kind_has_its_exit_code() -> None:
    kinds = {name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, GanlabError)}
    assert {name: cls.exit_code for name, cls in kinds.items() if cls is not Interrupted} == CODES
    assert all(issubclass(getattr(ganlab, name), GanlabError) for name in ganlab.__all__ if name.endswith("Error"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_with_128_and_its_number(number: int, code: int) -> None:
    error = Interrupted("stopped", number, Path("run"))
    assert (str(error), error.exit_code, error.signal_number, error.directory) == ("stopped", code, number, Path("run"))
    assert Interrupted("stopped", number).directory is None


def test_the_mistakes_of_a_recipe_are_lines_that_cannot_steer_a_terminal() -> None:
    error = RecipeError(["r.toml:1: seed = 'ä'", "r.toml:2: \x1b[2J\nr.toml:3: \u202e"])
    assert error.problems == ["r.toml:1: seed = 'ä'", "r.toml:2: \\x1b[2J\\nr.toml:3: \\u202e"]
    assert str(error) == "\n".join(error.problems)


def test_what_cannot_be_printed_is_escaped() -> None:
    assert printable("plain é ▶") == "plain é ▶"
    assert printable("a\x00\x9b\n\t\u202e\ud800") == r"a\x00\x9b\n\t\u202e\ud800"


def test_numbers_that_are_none_come_with_what_to_try() -> None:
    error = NonFiniteError("loss_generator", 12)
    assert isinstance(error, RunError)
    assert (error.what, error.iteration) == ("loss_generator", 12)
    assert str(error).startswith(
        "loss_generator became NaN or infinite at iteration 12; nothing was saved after that. Continue the run with "
    )
    for remedy in ('train.on_nonfinite = "rollback"', "optimizer.lr", 'train.precision = "fp32"'):
        assert remedy in str(error)


def test_a_lost_rank_says_where_and_what_to_do() -> None:
    error = LostRankError("rank 1 does not answer", "run it again", ended=False, iteration=3)
    assert isinstance(error, RankError)
    assert (str(error), error.ended) == ("rank 1 does not answer at iteration 3; run it again", False)
    assert str(LostRankError("rank 1 has ended", "run it again", ended=True)) == "rank 1 has ended; run it again"
