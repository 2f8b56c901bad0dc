"""What every test shares: one thread, a cache of its own, nothing of the user's, and a tally."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import browser as browsers
import pytest
from command_line import Command, Ended
from toys import Stripes

from ganlab.registry import registry


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what takes long to those who ask for it with `-m`."""
    unasked = [marker for marker in ("long", "nightly") if marker not in config.option.markexpr]
    left = [item for item in items if any(item.get_closest_marker(marker) for marker in unasked)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Compute on one thread: pictures of 8x8 gain nothing from a second, and workers run side by side."""
    import torch  # not above: who hands out the tests to the workers needs none

    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> None:
    """Let what tests start hear of Ctrl-C, which a shell ignores in what it starts with `&`, pytest too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _operators_read_once() -> None:
    """Keep the table of the operators that torch can write as ONNX, which it makes anew for each export: of 1.5 s for a
    tiny network, that is 0.9 s. It is always the same."""
    registration = sys.modules.get("torch.onnx._internal.exporter._registration")
    if registration is not None and not isinstance(vars(registration.ONNXRegistry)["from_torchlib"], staticmethod):
        registration.ONNXRegistry.from_torchlib = staticmethod(cache(registration.ONNXRegistry.from_torchlib))


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches and runs below the test's own directory."""
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANLAB_CONFIG", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    """Make the toy dataset a component."""
    registry.add("dataset", "stripes", Stripes)
    yield
    registry.remove("dataset", "stripes")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browsers.Browser]:
    """Return a headless browser; the test skips where there is none."""
    if reason := browsers.missing():
        pytest.skip(reason)
    with browsers.started(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="session")
def tally() -> Callable[[str, int], None]:
    """Return a function that counts what has ended as it must, in the file that `GANLAB_TALLY` names."""
    path = os.environ.get("GANLAB_TALLY")

    def count(what: str, number: int) -> None:
        if path is not None:
            with open(path, "a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(json.dumps({"what": what, "count": number}) + "\n")

    return count


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs `ganlab` with arguments in this process."""
    from ganlab.cli import main

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ganlab", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        assert isinstance(code, int)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ended(code, captured.out, captured.err)

    return run
