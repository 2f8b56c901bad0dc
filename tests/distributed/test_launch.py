"""How processes that were started together end: with one exit code."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from ganlab import RunError
from ganlab.distributed.launch import exit_code


class Failure(NamedTuple):
    """As much of torch's report on a process as is read."""

    exitcode: int


@pytest.mark.parametrize(
    ("codes", "spoken", "code"), [((2, -15), True, 2), ((1, 1), True, 1), ((-9, 1), True, 1), ((-15, -15), False, 143)]
)
def test_the_exit_code_is_that_of_the_first_to_end(codes: tuple[int, int], spoken: bool, code: int) -> None:
    failures = {number: Failure(exitcode) for number, exitcode in enumerate(codes)}
    assert exit_code(failures, spoken) == code


def test_a_rank_that_ends_without_a_word_is_named() -> None:
    with pytest.raises(RunError, match="rank 1 was ended by SIGSEGV; the same command"):
        exit_code({1: Failure(-11), 0: Failure(1)}, spoken=False)
    with pytest.raises(RunError, match="rank 3 ended with exit code 7 and without a word; the same command"):
        exit_code({3: Failure(7)}, spoken=False)
