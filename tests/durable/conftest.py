"""A server that forks runs, a folder that forgets, and two scales."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable.client import Server

Scale = Callable[[int, int], int]
Tally = Callable[[str, int], None]

MEMORY = Path("/dev/shm")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the large counts to `scripts/nightly`, which asks for them with `-m nightly`."""
    if "nightly" in config.option.markexpr:
        return
    large = [item for item in items if item.get_closest_marker("nightly")]
    config.hook.pytest_deselected(items=large)
    items[:] = [item for item in items if item not in large]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return an empty folder, in memory where there is such a place: these tests flush thousands of files."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="ganlab-", dir=parent))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return the process that runs are forked from."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(params=["quick", pytest.param("nightly", marks=pytest.mark.nightly)])
def scale(request: pytest.FixtureRequest) -> Scale:
    """Return a function that takes two counts and returns the one for this scale.

    `GANLAB_NIGHTLY_SHARE` makes the nightly counts smaller.
    """
    nightly = request.param == "nightly"
    share = float(os.environ.get("GANLAB_NIGHTLY_SHARE", "1"))
    return lambda quick, large: max(quick, round(large * share)) if nightly else quick
