"""Distributions as an installer leaves them, with any entry points: what the registry's tests find on the path."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ganlab.errors import PluginError
from ganlab.registry import Registry

MODEL = """
    from ganlab.interfaces import Model

    class Toy(Model):
        api = 1
        def check(self, images): pass
        def build(self, images): return {}
"""


def put(site: Path, name: str, entry_points: str, code: str = "", *, version: str = "1.0") -> None:
    """Install a distribution and a module of the same name."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(dedent(entry_points))
    (site / f"{name.replace('-', '_')}.py").write_text(dedent(code))


def only(*distributions: str) -> Registry:
    """Return a registry that sees these distributions alone."""
    registry = Registry()
    registry.scan(lambda name: name in distributions)
    return registry


def refusal(registry: Registry, kind: Any, name: str) -> str:
    """Return why the registry does not give a component."""
    with pytest.raises(PluginError) as caught:
        registry.get(kind, name)
    return str(caught.value)
