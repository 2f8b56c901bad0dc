"""An observer that raises fails its test: the host alone would switch it off and go on."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_STRICT_PLUGINS", "1")
