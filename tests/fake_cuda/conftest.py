"""Fake GPUs for the tests of this folder, which skip where they cannot be built."""

from __future__ import annotations

import pytest

from fake_cuda.child import FakeGPUs
from fake_cuda.library import build, missing


@pytest.fixture(scope="session")
def fake_gpus(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> FakeGPUs:
    """Return machines with GPUs that compute nothing."""
    if reason := missing():
        pytest.skip(f"fake GPUs cannot be built: {reason}")
    cache = pytestconfig.cache
    assert cache is not None
    return FakeGPUs(build(cache.mkdir("fake_cuda")), tmp_path_factory.mktemp("fake_gpus"))
