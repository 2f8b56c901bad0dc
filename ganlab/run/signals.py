"""Ctrl-C and SIGTERM: a first one lets a run save and end, a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ganlab.distributed.speaker import speaks_first
from ganlab.run.last_words import LastWords, signal_name

ECHO_SECONDS = 1.0
"""Whoever signals all processes, as systemd does, is echoed by torchrun: so soon, a second signal is the same one."""
_HANDLED = (signal.SIGINT, signal.SIGTERM)
ACKNOWLEDGING_SECONDS = 1.0
"""How long a run that ends waits for its answer to a signal, where whoever reads stderr is slow."""


class _Stopped(KeyboardInterrupt):
    """What a signal raises where there is nothing to save yet. No `except Exception` on the way catches it."""


class Interruption:
    """Whether a signal has asked the process to stop, and what the first one does; at the beginning, nothing."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.words = LastWords()
        self._act: Callable[[], None] = self._remember

    def defer(self) -> None:
        """From here on only remember a signal: whoever calls this looks at `received` and ends in order."""
        self._act = self._remember

    @contextmanager
    def importing(self) -> Iterator[None]:
        """Let no signal break off the block in the middle: of torch's import, that would leave a traceback.

        The command ends there and then, for there is nothing to save. A library's process gets it after the block.
        """
        with self._acting(self._end if self is COMMAND else self._remember):
            yield
        if self.received is not None:
            self._act()

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Let a signal break off the block as Ctrl-C does in any Python, so that all on the way is put in order."""
        with self._acting(self._raise):
            yield

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Let a signal end the process with a sentence, where nothing has begun that must be put in order."""
        with self._acting(self._end):
            yield

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.received is None:
            self.received = signal.Signals(number)
            self._act()
        elif not self.ends_process(number):
            raise KeyboardInterrupt(self.words.kept())
        elif "TORCHELASTIC_RUN_ID" not in os.environ:  # else the watch knows whether it is an echo
            self.exit_at_once(number)

    def ends_process(self, number: int) -> bool:
        """Tell whether a second signal ends the process: in a notebook, Ctrl-C ends a call and no more."""
        return self is COMMAND or number != signal.SIGINT

    def exit_at_once(self, number: int) -> None:
        """End the process with the last words, whatever it is in the middle of."""
        self.words.end(number)
        os._exit(128 + number)

    @contextmanager
    def _acting(self, act: Callable[[], None]) -> Iterator[None]:
        before, self._act = self._act, act
        try:
            yield
        finally:
            self._act = before

    def _remember(self) -> None: ...

    def _raise(self) -> None:
        raise _Stopped

    def _end(self) -> None:
        assert self.received is not None
        if sys.stderr is not None and speaks_first():
            with suppress(OSError, ValueError):  # it may be closed
                os.write(sys.stderr.fileno(), f"ganlab: stopped by {signal_name(self.received)}\n".encode())
        os._exit(128 + self.received)


COMMAND = Interruption()
"""That of the process where this is the command `ganlab`. Whoever uses the library keeps handlers of their own."""


def end_on_signals() -> None:
    """Make SIGINT and SIGTERM, from here to the process's end, what `COMMAND` says; what is ignored stays so."""
    COMMAND._act = COMMAND._end
    for number in _HANDLED:
        if not _ignored(number):
            signal.signal(number, COMMAND.handle)


def _ignored(number: int) -> bool:
    """Tell whether who started the process has it ignore a signal, as a shell's script does what it starts with &."""
    return signal.getsignal(number) is signal.SIG_IGN


@contextmanager
def watching_signals() -> Iterator[Interruption]:
    """Handle SIGINT and SIGTERM for the time of a run. Elsewhere than in the main thread nothing can be handled."""
    from ganlab.errors import Interrupted  # not above: what the command imports first of all is as little as possible

    if threading.current_thread() is not threading.main_thread():
        yield Interruption()
        return
    interruption = COMMAND if COMMAND.handle in map(signal.getsignal, _HANDLED) else Interruption()
    with _hearing_at_once(interruption):
        previous = {number: signal.signal(number, interruption.handle) for number in _HANDLED if not _ignored(number)}
        try:
            with interruption.raising():
                yield interruption
        except _Stopped:
            number = interruption.received or signal.SIGINT
            raise Interrupted(
                f"stopped by {signal_name(number)} before the training began; nothing is lost", number
            ) from None
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


@contextmanager
def _hearing_at_once(interruption: Interruption) -> Iterator[None]:
    """Watch for signals in a thread: the main thread hears of them only between two steps of Python, and one that
    writes a large checkpoint or computes may be far from the next."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(reader, interruption), name="ganlab-signals", daemon=True)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)
        watch.join()


def _watch(reader: int, interruption: Interruption) -> None:
    first: float | None = None
    answer: threading.Thread | None = None
    with open(reader, "rb", buffering=0) as arriving:
        while number := arriving.read(1):
            if number[0] not in _HANDLED:
                continue
            now = time.monotonic()
            if first is None:
                first = now
                # Whoever reads stderr may keep it waiting; a second signal ends at once even then.
                answer = threading.Thread(target=interruption.words.acknowledge, args=(number[0],), daemon=True)
                answer.start()
            elif not interruption.ends_process(number[0]):
                continue
            elif "TORCHELASTIC_RUN_ID" not in os.environ or now - first >= ECHO_SECONDS:
                interruption.exit_at_once(number[0])
    if answer is not None:
        answer.join(ACKNOWLEDGING_SECONDS)
