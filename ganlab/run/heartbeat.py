"""Signs of life: what a run says of itself when a piece of work takes so long that one would think it stuck."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ganlab.errors import GanlabError

SILENCE_SECONDS = 30.0
"""After so long without an event, and again each time, the run says what it is at."""


class Heartbeat:
    """A thread that speaks when nobody else has for a while. It and the run's own events never speak at once."""

    def __init__(self, silence_seconds: float = SILENCE_SECONDS) -> None:
        self.work: Callable[[], str] = lambda: "preparing"
        """Returns what the run is at. It is called from the thread."""
        self._silence_seconds = silence_seconds
        self._turn = threading.RLock()
        self._heard = time.monotonic()

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Enter around every event: it is heard, and no sign of life comes in between."""
        with self._turn:
            yield
            self._heard = time.monotonic()

    @contextmanager
    def beating(self, say: Callable[[str], None]) -> Iterator[None]:
        """Say signs of life through `say`, which passes them on as an event, until the block ends."""
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(say, ended), name="ganlab-heartbeat", daemon=True)
        self._heard = time.monotonic()
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _beat(self, say: Callable[[str], None], ended: threading.Event) -> None:
        work, since = "", 0.0
        while not ended.wait(self._silence_seconds / 10):
            if time.monotonic() - self._heard < self._silence_seconds:
                continue
            with self._turn:
                silent_since = self._heard
                if time.monotonic() - silent_since < self._silence_seconds:
                    continue  # somebody spoke while this thread waited for its turn
                if (now := self.work()) != work:
                    work, since = now, silent_since
                with suppress(GanlabError):  # a strict run tells of a broken observer at its next event
                    say(f"still at work: {work}, for {time.monotonic() - since:.0f} s")
                self._heard = time.monotonic()
