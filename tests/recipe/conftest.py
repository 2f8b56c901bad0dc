from __future__ import annotations

from collections.abc import Iterator

import pytest
from made_up import registry_of_all

from ganlab.messages import at_command_line
from ganlab.registry import Registry


@pytest.fixture(scope="session")
def components() -> Registry:
    """Return the made-up components, under the names that recipes have as defaults."""
    return registry_of_all()


@pytest.fixture(autouse=True)
def _at_command_line() -> Iterator[None]:
    """Overrides are written here as the command line writes them."""
    with at_command_line():
        yield
