"""What whoever sends a signal is told: at once of a first one, and at the very end of a second one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

TYPE_CHECKING = False  # as in ganlab's __init__
if TYPE_CHECKING:
    from pathlib import Path

_SHOW_CURSOR = "\x1b[?25h"


class LastWords:
    """What is said of a signal, as the run that gets it knows it at that moment."""

    def __init__(self) -> None:
        self.stopping: Callable[[str], str] | None = None
        """Returns what a first signal leads to; given is what a second one is called. It is called from a thread. None
        where the process ends there and then, or another one speaks."""
        self.kept: Callable[[], str] = lambda: "nothing was saved yet"
        """Returns what is there when the process ends at once. It is called from a thread, and must not wait."""
        self.go_on: Callable[[Path], str] = lambda directory: f'ganlab.train(..., out="{directory}")'
        """Returns the command, or the call, with which the run in a directory goes on."""

    def acknowledge(self, number: int) -> None:
        """Say what a first signal leads to: above a live display, in a notebook, or on plain stderr."""
        if self.stopping is None or (stream := sys.stderr) is None:
            return
        from ganlab.errors import printable  # not above: nor here is more imported than a signal can wait for

        ctrl_c = number == signal.SIGINT
        if not ctrl_c and "TORCHELASTIC_RUN_ID" in os.environ:
            return  # torchrun's way to end all where another rank has failed, and that is what will be said
        said = self.stopping("Ctrl-C again" if ctrl_c else "a second signal")
        line = printable(said if ctrl_c else f"{signal_name(number)}: {said}") + "\n"
        with suppress(OSError, ValueError):  # it may be closed
            # A terminal shows ^C where its cursor is; a live display, which takes the place of stderr, draws over that.
            stream.write(f"\n{line}" if ctrl_c and stream.isatty() and stream is sys.__stderr__ else line)
            stream.flush()

    def end(self, number: int) -> None:
        """Say what is there as the last thing before the process ends. No lock is taken, and nobody is waited for."""
        import select

        from ganlab.errors import printable

        if self.stopping is None:
            said = ""
        else:
            said = printable(f"ganlab: ended by {signal_name(number)}; {self.kept()}\n", keep="\n")
        with suppress(OSError, ValueError, AttributeError):  # stderr may be closed, or nothing at all
            file = sys.stderr.fileno()
            if os.isatty(file):
                said = f"{_SHOW_CURSOR}\n{said}"
            if select.select([], [file], [], 0)[1]:  # a pipe that nobody empties would hold the process
                os.write(file, said.encode(errors="backslashreplace"))


def signal_name(number: int) -> str:
    """Return what a user knows the signal as."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
