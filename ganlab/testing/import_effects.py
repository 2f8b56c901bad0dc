"""What the import of a module does to a process: found out in one of its own, which runs this file.

It is run by its path, and imports nothing of ganlab, so that what is found there is the module's doing alone.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from functools import lru_cache
from importlib.metadata import EntryPoint
from typing import Any, NamedTuple

import numpy as np

SECONDS = 120
"""How long the import may take before it is given up."""
SEED = 0x67616E6C6162
SIGNALS = (signal.SIGINT, signal.SIGTERM)
EVENTS = {
    "socket.connect": "opens a network connection",
    "socket.getaddrinfo": "opens a network connection",
    "subprocess.Popen": "starts another program",
    "os.system": "starts another program",
    "os.posix_spawn": "starts another program",
    "os.fork": "starts another program",
    "os.putenv": "changes environment variables",
    "os.unsetenv": "changes environment variables",
    "os.chdir": "changes the current directory",
    "os.mkdir": "changes files",
    "os.remove": "changes files",
    "os.rename": "changes files",
}
"""What Python tells of its doings, and what that is in words."""


class Found(NamedTuple):
    """What an import does."""

    torch: bool
    """Whether it imports torch."""
    effects: tuple[str, ...]
    """What else of the process it changes, in words."""


@lru_cache
def probed(module: str) -> Found | None:
    """Return what importing the module does; None where it has no name that another process could import."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-P", __file__, module],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return None
    torch, effects = json.loads(lines[-1])
    return Found(torch, tuple(effects))


def probe(module: str) -> Found:
    """Import the module twice, and return what the second time has changed in this process.

    The first time loads what the module needs, and that may do anything; the second is the work of the module alone.
    """
    entry = EntryPoint("component", module, "")
    filters = list(warnings.filters)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    quiet = io.StringIO()
    with redirect_stdout(quiet), redirect_stderr(quiet):
        entry.load()
    needs_torch = "torch" in sys.modules

    # As before, or what is done twice would not show.
    warnings.filters[:] = filters  # type: ignore[index]  # a list, whatever the annotations say
    for number, handler in handlers.items():
        signal.signal(number, handler)
    _seed()
    package = module.partition(".")[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]

    effects: list[str] = []
    sys.dont_write_bytecode = True
    sys.addaudithook(lambda event, arguments: effects.extend(_effect(event, arguments)))
    out, before = io.StringIO(), _state()
    with redirect_stdout(out), redirect_stderr(out):
        entry.load()
    effects += [what for what, value in _state().items() if value != before[what]]
    effects += ["prints"] if out.getvalue() else []
    return Found(needs_torch, tuple(dict.fromkeys(effects)))


def _seed() -> None:
    random.seed(SEED)
    np.random.seed(SEED % 2**32)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(SEED)
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        torch.use_deterministic_algorithms(False)


def _effect(event: str, arguments: tuple[Any, ...]) -> list[str]:
    if event == "open":
        return ["changes files"] if arguments[2] & (os.O_WRONLY | os.O_RDWR) else []
    return [EVENTS[event]] if event in EVENTS else []


def _state() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    with np.printoptions(threshold=sys.maxsize):
        legacy = str(np.random.get_state(legacy=False))
    return {
        "seeds or draws from Python's random": random.getstate(),
        "seeds or draws from numpy.random": legacy,
        "seeds or draws from torch": torch and (torch.initial_seed(), torch.get_rng_state().numpy().tobytes()),
        "changes torch's modes": torch
        and (torch.get_default_dtype(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled()),
        "changes how signals are handled": [signal.getsignal(number) for number in SIGNALS],
        "changes which warnings are shown": list(warnings.filters),
    }


if __name__ == "__main__":
    print(json.dumps(probe(sys.argv[1])))
