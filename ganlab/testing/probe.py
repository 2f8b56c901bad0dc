"""Run by itself: imports a module twice and prints as JSON what the second time has changed in the process.

The first time loads what the module needs, and that may do anything; the second is the work of the module alone.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np

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


def main(module: str) -> None:
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
    print(json.dumps({"torch": needs_torch, "effects": list(dict.fromkeys(effects))}))


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
    main(sys.argv[1])
