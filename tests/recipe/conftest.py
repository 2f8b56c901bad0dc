from __future__ import annotations

import pytest
from made_up import registry_of_all

from ganlab.registry import Registry


@pytest.fixture(scope="session")
def components() -> Registry:
    """Return the made-up components, under the names that recipes have as defaults."""
    return registry_of_all()
