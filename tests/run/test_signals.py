"""Signals: what a first one does to a program's call and to a command, what a second one does, and whose they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from broken_plugins import Plugin, install
from toys import tiny

from ganlab import Interrupted
from ganlab.recipe.toml import dumps
from ganlab.run.signals import watching_signals

HANDLED = (signal.SIGINT, signal.SIGTERM)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in HANDLED]


@pytest.fixture
def _a_caller_s_handlers() -> Iterator[None]:
    def refuse(number: int, frame: FrameType | None) -> None:
        raise AssertionError("a run leaves no signal to its caller")

    before = {number: signal.signal(number, refuse) for number in HANDLED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_a_caller_s_handlers")
@pytest.mark.parametrize("number", HANDLED)
def test_a_program_s_call_is_broken_off_and_finds_its_handlers_again(number: signal.Signals) -> None:
    before = handlers()
    sentence = (
        f"stopped by {'Ctrl-C' if number == signal.SIGINT else 'SIGTERM'} before the training began; nothing is lost"
    )
    with pytest.raises(Interrupted, match=sentence) as caught, watching_signals():
        signal.raise_signal(number)
    assert caught.value.exit_code == 128 + number
    assert handlers() == before


def test_in_a_program_a_signal_waits_until_the_imports_are_done() -> None:
    done = []

    def run() -> None:
        with watching_signals() as interruption:
            with interruption.importing():
                signal.raise_signal(signal.SIGTERM)
                done.append("imports")
            done.append("more")

    with pytest.raises(Interrupted):
        run()
    assert done == ["imports"]


def test_in_another_thread_nothing_is_touched() -> None:
    before, found = handlers(), []

    def run() -> None:
        with watching_signals() as interruption:
            found.extend([handlers(), interruption.received])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [before, None]


def test_importing_the_command_installs_nothing() -> None:
    code = (
        "import signal; before = [signal.getsignal(number) for number in signal.valid_signals()]\n"
        "import ganlab, ganlab.__main__, ganlab.cli, ganlab.run.train\n"
        "assert [signal.getsignal(number) for number in signal.valid_signals()] == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def check_with_a_plugin_that(does: str, folder: Path, first: str = "") -> tuple[int, str]:
    """Let a plugin do that while the command imports it; return the command's exit code and what it said."""
    site = install(folder / "site", Plugin("signaller", "loss", "signaller", f"import os, signal\n{does}"))
    (folder / "toy.toml").write_text(dumps(tiny(dataset={"name": "fashion_mnist"}, loss={"name": "signaller"})))
    code = f"import signal; {first}\nfrom ganlab.__main__ import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "recipes", "check", "toy.toml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stderr.strip()


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_while_a_plugin_is_imported_is_no_fault_of_the_plugin(
    number: signal.Signals, name: str, tmp_path: Path
) -> None:
    does = f"os.kill(os.getpid(), {int(number)})"
    assert check_with_a_plugin_that(does, tmp_path) == (128 + number, f"ganlab: stopped by {name}")


def test_a_second_signal_ends_a_command_that_is_still_putting_things_in_order(tmp_path: Path) -> None:
    does = """
try:
    os.kill(os.getpid(), signal.SIGTERM)
finally:
    os.kill(os.getpid(), signal.SIGINT)
    print("in order")
"""
    assert check_with_a_plugin_that(does, tmp_path) == (130, "")


def test_what_a_shell_has_a_command_ignore_is_ignored(tmp_path: Path) -> None:
    does = "os.kill(os.getpid(), signal.SIGINT)\nraise ValueError('it is Tuesday')"
    code, said = check_with_a_plugin_that(does, tmp_path, "signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (code, "it is Tuesday" in said) == (2, True)


def test_a_run_goes_on_ignoring_what_it_was_started_to_ignore() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with watching_signals() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert interruption.received is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
