"""`ganlab` as tests call it: how a command ended, and a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Ended]


def outside(*arguments: str) -> subprocess.Popen[str]:
    """Start `ganlab` in a process and a group of its own, where warnings are errors and the toys are components."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    toys = "from toys import Stripes; from ganlab.registry import registry; registry.add('dataset', 'stripes', Stripes)"
    hearing = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # whatever this process does
    code = f"{hearing}; {toys}; import sys; sys.argv = ['ganlab', *sys.argv[1:]]; from ganlab.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
