"""Ctrl-C and SIGTERM: a first one lets a run save and end, a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ganlab.errors import Interrupted

ECHO_SECONDS = 2.0
"""torchrun sends its processes the signal that the terminal has already sent them: so soon, a second is the same."""
_SHOW_CURSOR = b"\x1b[?25h"


class Interruption:
    """Whether a signal has asked the run to stop."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._received_at = 0.0
        self._deferring = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """While inside, a signal is only remembered: whoever holds this looks at `received` and ends in order."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.received is not None:
            if "TORCHELASTIC_RUN_ID" in os.environ and time.monotonic() - self._received_at < ECHO_SECONDS:
                return
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)
            os._exit(128 + number)
        self.received, self._received_at = signal.Signals(number), time.monotonic()
        if not self._deferring:
            raise Interrupted(f"stopped by {self.received.name} before the training began; nothing is lost", number)


@contextmanager
def watching_signals() -> Iterator[Interruption]:
    """Handle SIGINT and SIGTERM for the time of a run. Elsewhere than in the main thread nothing can be handled."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    previous = {number: signal.signal(number, interruption.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
