"""Whether a component's module can be imported without anyone noticing: tried in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ganlab.interfaces import Component
from ganlab.testing.subject import ContractError, Subject

PROBE = Path(__file__).with_name("probe.py")
SECONDS = 120
"""How long the import may take before it is given up."""


class Found(NamedTuple):
    """What an import does."""

    torch: bool
    """Whether it imports torch."""
    effects: tuple[str, ...]
    """What else of the process it changes, in words."""


def imports_quietly(subject: Subject[Component]) -> str | None:
    """Import the module twice in a new process, and ask what the second time has changed."""
    module = subject.cls.__module__
    if (found := probed(module)) is None:
        return f"not checked: no other process can import {module}; put the component into a module of its own"
    return advice(module, found)


def advice(module: str, found: Found) -> str | None:
    """Return what to say of an import that is allowed; raise `ContractError` for one that is not."""
    if found.effects:
        raise ContractError(
            f"importing {module} {' and '.join(found.effects)}: "
            "a module only defines things; whatever is done belongs into the methods that ganlab calls"
        )
    if found.torch:
        return (
            f"importing {module} imports torch, which makes `ganlab recipes check` wait for seconds: "
            "import torch in the methods that need it, and networks in build()"
        )
    return None


@lru_cache
def probed(module: str) -> Found | None:
    """Return what importing the module does; None where it has no name that another process could import."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-P", str(PROBE), module],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return None
    found = json.loads(lines[-1])
    return Found(found["torch"], tuple(found["effects"]))
