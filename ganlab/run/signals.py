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

ECHO_SECONDS = 1.0
"""Whoever signals all processes, as systemd does, is echoed by torchrun: so soon, a second signal is the same one."""
_HANDLED = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h"


class _Stopped(KeyboardInterrupt):
    """What a signal raises where there is nothing to save yet. No `except Exception` on the way catches it."""


class Interruption:
    """Whether a signal has asked the run to stop."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._deferring = True

    def defer(self) -> None:
        """From here on only remember a signal: whoever calls this looks at `received` and ends in order."""
        self._deferring = True

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Put off what a signal does until the block has ended, for what would break if it were left in the middle."""
        before, self._deferring = self._deferring, True
        try:
            yield
        finally:
            self._deferring = before
        if self.received is not None and not before:
            raise _Stopped(f"stopped by {self.received.name}")

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.received is not None:
            return  # the second one is the watch's
        self.received = signal.Signals(number)
        if not self._deferring:
            raise _Stopped(f"stopped by {self.received.name}")


@contextmanager
def watching_signals() -> Iterator[Interruption]:
    """Handle SIGINT and SIGTERM for the time of a run. Elsewhere than in the main thread nothing can be handled."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    with _second_signal_ends_at_once():
        previous = {number: signal.signal(number, interruption.handle) for number in _HANDLED}
        try:
            interruption._deferring = False
            yield interruption
        except _Stopped:
            number = interruption.received or signal.SIGINT
            raise Interrupted(f"stopped by {number.name} before the training began; nothing is lost", number) from None
        finally:
            interruption.defer()
            for number, handler in previous.items():
                signal.signal(number, handler)


@contextmanager
def _second_signal_ends_at_once() -> Iterator[None]:
    """Watch for signals in a thread: the main thread hears of them only between two steps of Python, and one that
    writes a large checkpoint or computes may be far from the next."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(reader,), name="ganlab-signals", daemon=True)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)
        watch.join()


def _watch(reader: int) -> None:
    first: float | None = None
    with open(reader, "rb", buffering=0) as arriving:
        while number := arriving.read(1):
            if number[0] not in _HANDLED:
                continue
            now = time.monotonic()
            if first is None:
                first = now
            elif "TORCHELASTIC_RUN_ID" not in os.environ or now - first >= ECHO_SECONDS:
                if sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty():
                    os.write(sys.stderr.fileno(), _SHOW_CURSOR)
                os._exit(128 + number[0])
