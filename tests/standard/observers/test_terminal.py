"""The terminal: which way of showing it chooses, and for which streams."""

from __future__ import annotations

import io
import sys
from typing import Literal

import pytest
from standard.observers.events import REALS, STATS, a_run, a_snapshot, a_tick, watched
from standard.observers.screen import on_terminal

from ganlab.standard.observers.terminal import Terminal

RUN = a_run()


def tell(mode: Literal["auto", "off"]) -> None:
    host = watched(Terminal(mode=mode, every_seconds=0))
    host.phase("packing", 1, 2)
    host.note("é", "warning")
    host.run_start(RUN, REALS)
    host.tick(RUN, a_tick(100, **STATS))
    host.snapshot(RUN, a_snapshot(100))
    host.run_end(RUN, "finished")


def test_off_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    tell("off")
    assert capsys.readouterr() == ("", "")


def test_auto_is_plain_where_nobody_watches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    tell("auto")
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch 2.50/25" in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("mode", "environment"),
    [("auto", {"TERM": "dumb"}), ("rich", {"TERM": "dumb"}), ("auto", {"TTY_INTERACTIVE": "0"})],
)
def test_lines_are_plain_where_the_cursor_cannot_or_shall_not_move(mode: str, environment: dict[str, str]) -> None:
    screen = on_terminal(mode, columns=200, **environment)
    assert screen.code == 0
    assert screen.lines[0] == "packing: 1 of 2 (50%)"
    assert screen.lines[-3].startswith("epoch 25.00/25  iteration 1,000  1,234 images/s  loss_discriminator 1.203")


def test_the_streams_are_those_of_the_moment_when_a_run_has_something_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    host = watched(Terminal(mode="plain", every_seconds=0))
    for text in ("the first run", "the second run"):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        host.note(text, "info")
        host.run_end(RUN, "finished")
        assert stream.getvalue() == f"{text}\n"
