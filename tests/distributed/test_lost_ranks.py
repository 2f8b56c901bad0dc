"""Who is missing when an exchange fails: told from who answers, in a store within this process."""

from __future__ import annotations

import pytest
from torch.distributed import HashStore  # type: ignore[attr-defined]  # so in torch

from ganlab.distributed.lost_ranks import RollCall, named

BROKEN = "Connection closed by peer [10.0.0.1]:4711\nException raised from here"
LATE = "Timed out waiting 4000ms for recv operation to complete"
SILENT = "did not answer within 4 s (train.rank_timeout_seconds)"
GOES_ON = "the same call with out=... goes on from the last checkpoint"


def test_ranks_are_named_in_words() -> None:
    assert named([3]) == "rank 3"
    assert named([0, 1, 5]) == "ranks 0, 1 and 5"
    assert named(range(1024)) == "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 1016 more"


@pytest.mark.parametrize(
    ("answers", "reason", "sentence", "ended"),
    [
        ({1: "lost"}, BROKEN, "rank 2 ended before the others; what it said, or what killed it, is the cause", True),
        ({}, LATE, f"ranks 1 and 2 {SILENT}", False),
        ({1: "late"}, BROKEN, f"rank 2 {SILENT}", False),
        ({1: "lost", 2: "late"}, BROKEN, f"a rank {SILENT}", False),
        (
            {1: "lost", 2: "lost"},
            BROKEN,
            "the ranks lost each other (Connection closed by peer [10.0.0.1]:4711)",
            False,
        ),
    ],
)
def test_who_does_not_answer_is_the_one(
    monkeypatch: pytest.MonkeyPatch, answers: dict[int, str], reason: str, sentence: str, ended: bool
) -> None:
    """As rank 0 of three sees it."""
    monkeypatch.setattr("ganlab.distributed.lost_ranks.ANSWER_SECONDS", 0.5)
    store = HashStore()
    for rank, word in answers.items():
        store.set(f"lost/{rank}", word)
    error = RollCall(store, 0, 3, 4.0).verdict(reason)
    assert (str(error), error.ended) == (f"{sentence}; {GOES_ON}", ended)


class Dying(HashStore):
    """A store whose machine loses its power after so many looks at it."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def check(self, keys: list[str]) -> bool:
        self.looks -= 1
        if self.looks < 0:
            raise RuntimeError("Broken pipe")
        return super().check(keys)


@pytest.mark.parametrize("looks", [0, 4])
def test_a_store_that_does_not_answer_was_with_rank_0(looks: int) -> None:
    error = RollCall(Dying(looks), 1, 3, 4.0).verdict(BROKEN)
    assert str(error).startswith("rank 0 ended before the others; ")
