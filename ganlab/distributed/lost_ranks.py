"""When an exchange between ranks fails: who is missing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING, Literal

from ganlab.errors import LostRankError
from ganlab.messages import same_again

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

ANSWER_SECONDS = 2.0
"""How long the others have to answer: each notices within moments that an exchange has failed."""

Word = Literal["late", "lost"]
"""What an exchange failed of, as one rank sees it: another was silent for too long, or its connection broke."""


class RollCall:
    """Ranks that lost each other sign in the store that they found each other by; who does not is the one."""

    def __init__(self, store: Store, rank: int, world: int, timeout_seconds: float) -> None:
        self._store, self._rank, self._timeout_seconds = store, rank, timeout_seconds
        self._keys = [f"lost/{other}" for other in range(world)]

    def verdict(self, reason: str) -> LostRankError:
        """Return the error that says who is missing; `reason` is what torch has said."""
        own: Word = "late" if "timed out" in reason.lower() or "timeout" in reason.lower() else "lost"
        answers: dict[int, Word] = {}
        # In a thread: where the machine that keeps the store has lost its power, nothing ever comes back.
        call = Thread(target=self._call, args=(own, answers), daemon=True)
        call.start()
        call.join(2 * ANSWER_SECONDS)
        # No answer at all: the store has gone, and it lived with rank 0.
        answers = dict(answers) or dict.fromkeys(range(1, len(self._keys)), own)
        missing = [rank for rank in range(len(self._keys)) if rank not in answers]
        goes_on = f"{same_again()} goes on from the last checkpoint"
        if "late" in answers.values():
            who = named(missing) if missing else "a rank"
            limit = f"{self._timeout_seconds:g} s (train.rank_timeout_seconds)"
            return LostRankError(f"{who} did not answer within {limit}", goes_on, ended=False)
        if not missing:
            return LostRankError(f"the ranks lost each other ({reason.splitlines()[0]})", goes_on, ended=False)
        cause = f"what it said, or what killed it, is the cause; {goes_on}"
        return LostRankError(f"{named(missing)} ended before the others", cause, ended=True)

    def _call(self, own: Word, answers: dict[int, Word]) -> None:
        until = time.monotonic() + ANSWER_SECONDS
        try:
            self._store.set(self._keys[self._rank], own)
            while len(answers) < len(self._keys) and time.monotonic() < until:
                for rank, key in enumerate(self._keys):
                    if rank not in answers and self._store.check([key]):
                        answers[rank] = "late" if self._store.get(key) == b"late" else "lost"
                time.sleep(0.05)
        except RuntimeError:
            answers.clear()


def named(ranks: Sequence[int]) -> str:
    """Return a few ranks in words."""
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    shown = [str(rank) for rank in ranks[:8]]
    last = f"{len(ranks) - 8} more" if len(ranks) > 8 else shown.pop()
    return f"ranks {', '.join(shown)} and {last}"
