"""A server that forks runs, a folder that forgets, and three scales."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from durable.client import Server

Tally = Callable[[str, int], None]

MEMORY = Path("/dev/shm")


class Scale(NamedTuple):
    """How much of a test is done: by whoever types `pytest`, by `.ci/run`, or by `scripts/nightly`."""

    size: Literal["quick", "long", "nightly"]

    def __call__(self, quick: int, long: int, nightly: int) -> int:
        """Return the count for this scale; `GANLAB_NIGHTLY_SHARE` makes those of the night smaller."""
        share = float(os.environ.get("GANLAB_NIGHTLY_SHARE", "1"))
        return {"quick": quick, "long": long, "nightly": max(long, round(nightly * share))}[self.size]


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


@pytest.fixture(
    params=["quick", pytest.param("long", marks=pytest.mark.long), pytest.param("nightly", marks=pytest.mark.nightly)]
)
def scale(request: pytest.FixtureRequest) -> Scale:
    """Return the scale: the same test with three counts."""
    return Scale(request.param)
