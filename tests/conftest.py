"""What every test shares: one thread, a cache of its own, and nothing of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from toys import Stripes

from ganlab.registry import registry


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)  # pictures of 8x8 gain nothing from a second, and workers run side by side


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep caches and runs below the test's own directory."""
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANLAB_CONFIG", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    """Make the toy dataset a component."""
    registry.add("dataset", "stripes", Stripes)
    yield
    registry.remove("dataset", "stripes")
