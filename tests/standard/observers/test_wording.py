"""Numbers in words, as people read them."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

import pytest
from standard.observers.events import a_run, a_tick

from ganlab import Scores
from ganlab.standard.observers.wording import (
    duration,
    finite,
    harmless,
    number,
    phase_line,
    rate,
    resources,
    run_lines,
    scores_line,
    tick_line,
)


def test_durations_numbers_and_speeds_are_short() -> None:
    spans = {
        -1.0: "0 s",
        0.2: "0 s",
        59.7: "1 min 0 s",
        125: "2 min 5 s",
        1500: "25 min",
        12_000: "3 h 20 min",
        190_000: "2 d 4 h",
    }
    assert {seconds: duration(seconds) for seconds in spans} == spans
    numbers = {0.0: "0.000", 1.2034: "1.203", -12.5: "-12.500", 2e-6: "2.0e-06", 12_345.6: "12,346", -3e9: "-3.00e+09"}
    assert {value: number(value) for value in numbers} == numbers
    assert number(math.nan) == "nan"
    speeds = {0.04: "0.0 images/s", 9.94: "9.9 images/s", 10.4: "10 images/s", 12_345.6: "12,346 images/s"}
    assert {speed: rate(speed) for speed in speeds} == speeds


def test_a_tick_says_what_is_known_and_the_losses_first() -> None:
    run = a_run()
    line = tick_line(run, a_tick(100, penalty=1.0, loss_generator=0.5, loss_discriminator=2.0))
    assert line == (
        "epoch 2.50/25  iteration 100  1,234 images/s  1 min 30 s left  "
        "loss_generator 0.500  loss_discriminator 2.000  penalty 1.000"
    )
    unknown = a_tick(250)._replace(images_per_second=math.nan, seconds_left=math.inf)
    assert tick_line(run, unknown) == "epoch 6.25/25  iteration 250"
    for recipe in ({"train": {"iterations": 1000, "epochs": None}}, {}):
        assert tick_line(run._replace(recipe=recipe), unknown) == "epoch 6.25 (25%)  iteration 250"


def test_a_tick_says_what_it_has_taken_and_when_the_end_comes() -> None:
    now = datetime(2026, 11, 26, 23, 58, 30)
    tick = a_tick(100)._replace(iterations=1000, next_snapshot=250, memory_bytes=12_340_000_000)
    assert resources(tick, now) == ["10 s so far", "ends 2026-11-27 00:00", "12.3 GB", "next snapshot at 250"]
    assert resources(tick, now.replace(hour=9))[1] == "ends 10:00"
    assert resources(a_tick(1000), now) == ["1 min 40 s so far"]
    for endless in (math.inf, 1e18):
        assert resources(a_tick(10)._replace(seconds_left=endless), now) == ["1 s so far"]
    assert "iteration 100/1,000" in tick_line(a_run(), tick)


def test_a_run_says_where_to_look_meanwhile() -> None:
    run = a_run()._replace(recipe={"observers": {"samples": {}, "plot": {"every_seconds": 30.0}, "gif": False}})
    assert run_lines(run)[-1] == "to look at meanwhile: runs/faces/1/samples, runs/faces/1/losses.png"
    without = run._replace(recipe={"observers": {"samples": False, "plot": False}})
    assert not any("meanwhile" in line for line in run_lines(without))


def test_scores_are_named_and_the_best_ones_said() -> None:
    scores = Scores(1000, 64000, 6.4, {"kid": 0.5, "fd_lite0": 12345.6}, {"kid": 0.0}, best=True)
    assert scores_line(scores) == "scores of iteration 1,000: kid 0.500, fd_lite0 12,346; the best so far"
    assert scores_line(scores._replace(values={}, best=False)) == "scores of iteration 1,000: none could be computed"


def test_a_piece_of_work_says_how_far_it_is_and_what_it_took() -> None:
    assert phase_line("reading", 7000, 0, 3.0) == "reading: 7,000"
    assert phase_line("packing", 500, 2000, 3.0) == "packing: 500 of 2,000 (25%)"
    assert phase_line("packing", 2000, 2000, 125.0) == "packing: 2,000 in 2 min 5 s"


def test_a_run_introduces_itself_and_says_where_it_continues() -> None:
    lines = [
        "faces in runs/7",
        "5,120 pictures of 8x8x3; cpu, fp32",
        "parameters: generator 3,576,704, discriminator 2,765,568",
    ]
    assert run_lines(a_run(Path("runs/7"))) == lines
    assert run_lines(a_run(Path("runs/7"), 5340)) == [*lines, "continues after iteration 5,340"]
    few = run_lines(a_run(Path("runs/7"))._replace(class_names=("cat", "T-shirt/top", "\x1b[31m")))
    assert few == [*lines[:2], r"3 classes: cat, T-shirt/top, \x1b[31m", lines[2]]
    many = run_lines(a_run(Path("runs/7"))._replace(class_names=[f"c{number}" for number in range(1000)]))
    assert many[2] == f"1,000 classes: {', '.join(f'c{number}' for number in range(20))} and 980 more"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 図\n\t▶", "Größe 図\n\t▶"),
        ("\x1b[31m\r\x07", r"\x1b[31m\r\x07"),
        ("\x9b2J\u202e\udcff", r"\x9b2J\u202e\udcff"),
    ],
)
def test_what_could_steer_a_terminal_is_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_what_json_cannot_write_is_none() -> None:
    assert [finite(value) for value in (math.nan, -math.inf, 0.0, 3, "nan")] == [None, None, 0.0, 3, "nan"]
