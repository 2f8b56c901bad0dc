"""Signs of life: each is an event like others, and one that fails does not keep back the next."""

from __future__ import annotations

import itertools
import threading

import pytest

from ganlab import PluginError
from ganlab.run.heartbeat import Heartbeat


class Hasty:
    """A clock by which a second goes by whenever somebody looks."""

    def __init__(self) -> None:
        self._now = itertools.count()

    def monotonic(self) -> float:
        return float(next(self._now))


def test_a_sign_of_life_that_fails_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.run.heartbeat.time", Hasty())
    heartbeat, said, heard = Heartbeat(silence_seconds=0.01), [], threading.Semaphore(0)

    def say(text: str) -> None:
        with heartbeat.speaking():  # as every event of a run does
            said.append(text)
        heard.release()
        raise PluginError("a strict run tells of its broken observer")

    with heartbeat.beating(say):
        for _ in range(3):
            assert heard.acquire(timeout=60)
        threads = [thread.name for thread in threading.enumerate()]
    assert "ganlab-heartbeat" in threads
    assert "ganlab-heartbeat" not in [thread.name for thread in threading.enumerate()]
    begin = "still at work: preparing, for "
    assert all(text.startswith(begin) for text in said)
    seconds = [int(text.removeprefix(begin).removesuffix(" s")) for text in said]
    assert seconds == sorted(set(seconds)), "of the same work, since it began"
