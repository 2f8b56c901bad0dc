"""The package itself: its two names, resolved when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ganlab.registry
from ganlab.registry import lookup


def test_its_names_are_those_of_the_lookup() -> None:
    assert ganlab.registry.registry is lookup.registry
    assert ganlab.registry.Registry is lookup.Registry
    with pytest.raises(AttributeError, match=r"^module 'ganlab\.registry' has no attribute 'Provider'$"):
        ganlab.registry.Provider  # noqa: B018  # type: ignore[attr-defined]


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, ganlab.registry, ganlab.registry.entry_points\n"
        "print('pydantic' in sys.modules)\n"
        "from ganlab.registry import registry\n"
        "print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue\n"
