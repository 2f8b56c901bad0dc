"""A programme whose run a terminal watches: `python -m standard.observers.steps MODE ENDING`."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from standard.observers.events import REALS, STATS, a_run, a_tick, watched

from ganlab.standard.observers.terminal import Terminal


def main(mode: Any, ending: str) -> None:
    host = watched(Terminal(mode=mode, every_seconds=0))
    host.phase("packing", 1, 2)
    if ending == "early":
        sys.exit("no pictures in data")
    host.phase("packing", 2, 2)
    run = a_run(Path("runs/1"))
    host.run_start(run, REALS)
    host.tick(run, a_tick(500, **STATS))
    time.sleep(0.12)  # what comes at once is not drawn again
    host.note("one bad picture", "warning")
    if ending != "quiet":
        print("printed by a plugin", file=sys.stderr)
    if ending == "interrupted":
        raise KeyboardInterrupt
    if ending == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    host.tick(run, a_tick(1000, **STATS))
    host.run_end(run, "finished")
    if ending != "quiet":
        print("the end")


if __name__ == "__main__":
    main(*sys.argv[1:])
