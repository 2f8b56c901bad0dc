"""Who says how a run ends: of several processes on one machine, one."""

from __future__ import annotations

import os
import time

SAID = "said"
"""What the process that says why all end leaves for the others to see."""
PATIENCE_SECONDS = 3.0
"""How long a process that has to end for another's sake waits for that one to speak."""


def speaks_first() -> bool:
    """Tell whether this process is the first of its machine to say how the run ends: only that one says it."""
    said = _said()
    if said is None:
        return True
    try:
        os.mkdir(said)
    except OSError:
        return False
    return True


def another_speaks() -> bool:
    """Wait a moment for a process that knows better; tell whether it has spoken."""
    said, until = _said(), time.monotonic() + PATIENCE_SECONDS
    while said is not None and time.monotonic() < until:
        if os.path.exists(said):
            return True
        time.sleep(0.05)
    return False


def _said() -> str | None:
    """Return what the first one makes in the folder that torchrun gives to each machine; None without torchrun."""
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    return os.path.join(os.path.dirname(os.path.dirname(file)), SAID) if file else None
