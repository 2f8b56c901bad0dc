"""The lines that people and programs read of a run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal

import pytest
from hostile import NAME, TYPED, check_harmless
from standard.observers.events import REALS, STATS, a_finding, a_run, a_snapshot, a_tick, watched

from ganlab import Scores
from ganlab.standard.observers.lines import Phases
from ganlab.standard.observers.terminal import Terminal

RUN = a_run()


def test_plain_lines_read_like_a_sentence_about_each_tick(capsys: pytest.CaptureFixture[str]) -> None:
    host = watched(Terminal(mode="plain", every_seconds=0))
    host.phase("packing", 500, 1000)
    host.phase("packing", 1000, 1000)
    host.run_start(RUN, REALS)
    host.tick(RUN, a_tick(100, **STATS))
    host.snapshot(RUN, a_snapshot(100))
    host.note("3 pictures were unreadable", "warning")
    host.tick(RUN, a_tick(1000, **STATS))
    host.run_end(RUN, "finished")

    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "packing: 500 of 1,000 (50%)",
        "packing: 1,000 in 0 s",
        f"faces in {RUN.directory}",
        "5,120 pictures of 8x8x3; cpu, fp32",
        "parameters: generator 3,576,704, discriminator 2,765,568",
        "epoch 2.50/25  iteration 100  1,234 images/s  1 min 30 s left  "
        "loss_discriminator 1.203  loss_generator 0.912  D(x) 0.610  D(G(z)) 0.320",
        "warning: 3 pictures were unreadable",
        "epoch 25.00/25  iteration 1,000  1,234 images/s  "
        "loss_discriminator 1.203  loss_generator 0.912  D(x) 0.610  D(G(z)) 0.320",
    ]


def test_plain_says_little_between_the_first_and_the_last_tick(capsys: pytest.CaptureFixture[str]) -> None:
    host = watched(Terminal(mode="plain", every_seconds=1000.0))
    for done in range(101):
        host.phase("packing", done, 100)
    for iteration in range(100, 800, 100):
        host.tick(RUN, a_tick(iteration))
    host.run_end(RUN, "interrupted")

    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["packing: 100 in 0 s", "epoch 2.50/25", "epoch 17.50/25"]


def test_json_is_one_object_a_line_on_stdout_and_notes_for_people_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    host = watched(Terminal(mode="json", every_seconds=0))
    host.phase("packing", 3, 3)
    host.note("naïve ▶", "info")
    host.run_start(RUN, REALS)
    host.tick(RUN, a_tick(100, **{"loss": math.nan, "D(x)": 0.5})._replace(seconds_left=math.inf))
    host.snapshot(RUN, a_snapshot(100))
    host.scored(RUN, Scores(100, 12_800, 2.5, {"kid": 0.5}, {"kid": 0.0}, best=True))
    host.finding(RUN, a_finding(100))
    host.run_end(RUN, "finished")

    out, err = capsys.readouterr()
    assert out.isascii()
    events = [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()]
    assert [event["event"] for event in events] == [
        "phase",
        "note",
        "run_start",
        "tick",
        "snapshot",
        "scored",
        "finding",
        "run_end",
    ]
    assert events[0] == {"event": "phase", "name": "packing", "done": 3, "total": 3}
    assert events[1] == {"event": "note", "text": "naïve ▶", "level": "info"}
    assert events[2]["directory"] == str(RUN.directory)
    assert events[2]["images"] == {"channels": 3, "height": 8, "width": 8, "classes": 0}
    assert events[2]["parameters"] == RUN.parameters
    assert events[3]["iteration"] == 100
    assert events[3]["seconds_left"] is None
    assert events[3]["stats"] == {"loss": None, "D(x)": 0.5}
    assert events[4] == {"event": "snapshot", "iteration": 100, "images": 12_800, "epoch": 2.5}
    place = {"iteration": 100, "images": 12_800, "epoch": 2.5}
    assert events[5] == {"event": "scored", **place, "values": {"kid": 0.5}, "reference": {"kid": 0.0}, "best": True}
    advice = [{"text": "half of the learning rate", "setting": "optimizer.lr = 0.0001"}]
    about = {"ended": False, "since": 0, "evidence": "it goes round", "threshold": "often", "numbers": {"period": None}}
    assert events[6] == {"event": "finding", "name": "oscillation", **place, **about, "advice": advice}
    assert events[7] == {"event": "run_end", "reason": "finished"}
    line = "oscillation: it goes round. What may help: optimizer.lr = 0.0001 (half of the learning rate)"
    assert err == f"naïve ▶\nwarning: {line}\n"


def test_json_says_little_about_a_piece_of_work_and_all_about_ticks(capsys: pytest.CaptureFixture[str]) -> None:
    host = watched(Terminal(mode="json", every_seconds=1000.0))
    for done in range(101):
        host.phase("packing", done, 100)
    for iteration in (100, 200):
        host.tick(RUN, a_tick(iteration))
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(event["event"], event.get("iteration", event.get("done"))) for event in events] == [
        ("phase", 100),
        ("tick", 100),
        ("tick", 200),
    ]


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_names_from_outside_cannot_steer_the_terminal(
    mode: Literal["plain", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    watched(Terminal(mode=mode)).note("left out bad\x1b]0;title\x07.png \udcff", "warning")
    assert capsys.readouterr().err == "warning: left out bad\\x1b]0;title\\x07.png \\udcff\n"


def test_each_piece_of_work_has_a_line_now_and_then_and_at_its_end() -> None:
    phases = Phases(5.0)
    due = [seconds for seconds in (0.0, 4.9, 5.0, 9.9, 30.0, 34.9, 35.1) if phases.due("packing", 1, 9, seconds)]
    assert due == [5.0, 30.0, 35.1]
    assert not phases.due("reading", 1, 0, 1.0)
    assert phases.due("reading", 1, 0, 5.0)
    assert phases.due("packing", 9, 9, 35.2)
    assert [phases.due("packing", 1, 9, seconds) for seconds in (4.9, 5.0)] == [False, True]  # the next of this name


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_no_name_steers_a_terminal_or_forges_a_line(
    mode: Literal["plain", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    host = watched(Terminal(mode=mode, every_seconds=0))
    host.phase(NAME, 3, 7)
    host.phase(NAME, 7, 7)
    strange = RUN._replace(name=NAME, directory=Path(NAME), parameters={NAME: 1})
    host.run_start(strange, REALS)
    host.tick(strange, a_tick(100, **{NAME: 1.0}))
    host.note(TYPED, "warning")
    host.run_end(strange, "finished")
    for text in capsys.readouterr():
        check_harmless(text)
