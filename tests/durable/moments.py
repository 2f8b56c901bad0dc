"""Lives through a command, and sends a signal at many of its moments: to a child that is forked there and goes on.

A moment is whatever Python tells an audit hook: an import, a file that is opened, an attribute that is set. So which
they are depends on the program alone and not on time. Nothing is imported here that Python has not imported itself.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys

MAIN = _thread.get_ident()
NUMBERS = (signal.SIGTERM, signal.SIGINT)
FORKABLE_THREADS = 2
"""The main thread, and one that does nothing but wait for signals: another one might hold a lock."""


def live(step: int) -> None:
    """Run the command `ganlab`; leave `<moment>.err` of every `step`-th moment, and a line of what ended how."""
    sys.addaudithook(_Moments(step).pass_by)
    from ganlab.__main__ import main

    main()


class _Moments:
    def __init__(self, step: int) -> None:
        self.step, self.count, self.hushed = step, 0, False
        self.report = open("moments", "w", buffering=1)  # noqa: SIM115  # to the process's end

    def pass_by(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.hushed or _thread.get_ident() != MAIN:
            return
        self.hushed = True  # what follows would be moments, too
        self.count += 1
        if not callable(signal.getsignal(signal.SIGTERM)):
            if event == "import":
                print("unanswered", arguments[0], file=self.report)
        elif self.count % self.step == 0 and len(os.listdir("/proc/self/task")) <= FORKABLE_THREADS:
            number = NUMBERS[self.count // self.step % len(NUMBERS)]
            if (pid := os.fork()) == 0:
                output = os.open(f"{self.count}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                os.dup2(output, 1)
                os.dup2(output, 2)
                signal.set_wakeup_fd(-1)  # the thread that reads there is the parent's
                os.kill(os.getpid(), number)
                return
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            print("signalled", self.count, number, code, file=self.report)
        self.hushed = False
