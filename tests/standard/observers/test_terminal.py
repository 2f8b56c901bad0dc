"""What a person or a program sees of a run in a terminal, a pipe or a log file."""

from __future__ import annotations

import fcntl
import io
import json
import math
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest

from ganlab.events import RunInfo, Snapshot, Tick
from ganlab.interfaces import ImageSpec
from ganlab.run.observers import Observers
from ganlab.standard.observers.terminal import Terminal
from ganlab.standard.observers.wording import duration, number

REPOSITORY = Path(__file__).parents[3]
REALS = np.zeros((4, 8, 8, 3), np.uint8)
STATS = {"loss_discriminator": 1.203, "D(x)": 0.61, "D(G(z))": 0.32, "loss_generator": 0.912}  # as bce reports them
RUN = RunInfo(
    "dcgan_faces",
    Path("runs/dcgan_faces/1"),
    {"train": {"epochs": 25}},
    ImageSpec(3, 64, 64),
    202_599,
    {"generator": 3_576_704, "discriminator": 2_765_568},
    "cuda",
    "bf16",
    0,
)


def a_tick(step: int, steps: int = 10, **changes: object) -> Tick:
    left = (steps - step) * 13.0
    tick = Tick(step * 534, step * 68_352, step * 2.5, step / steps, 1234.4, step * 13.0, left, STATS)
    return tick._replace(**changes)


def watched(mode: str, every_seconds: float = 0.0) -> Observers:
    observers = Observers()
    observers.register(Terminal(mode=mode, every_seconds=every_seconds), "terminal", "ganlab 1")
    return observers


def test_plain_lines_read_like_a_sentence_about_each_tick(capsys: pytest.CaptureFixture[str]) -> None:
    observers = watched("plain")
    observers.phase("packing", 500, 1000)
    observers.phase("packing", 1000, 1000)
    observers.run_start(RUN, REALS)
    observers.tick(RUN, a_tick(1))
    observers.snapshot(RUN, Snapshot(534, 68_352, 2.5, REALS, 2))
    observers.note("3 pictures were unreadable", "warning")
    observers.tick(RUN, a_tick(10))
    observers.run_end(RUN, "finished")

    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "packing: 500 of 1,000 (50%)",
        "packing: 1,000 in 0 s",
        f"dcgan_faces in {RUN.directory}",
        "202,599 pictures of 64x64x3; cuda, bf16",
        "parameters: generator 3,576,704, discriminator 2,765,568",
        "epoch 2.50/25  iteration 534  1,234 images/s  1 min 57 s left  "
        "loss_discriminator 1.203  loss_generator 0.912  D(x) 0.610  D(G(z)) 0.320",
        "warning: 3 pictures were unreadable",
        "epoch 25.00/25  iteration 5,340  1,234 images/s  "
        "loss_discriminator 1.203  loss_generator 0.912  D(x) 0.610  D(G(z)) 0.320",
    ]


def test_plain_says_little_between_the_first_and_the_last_tick(capsys: pytest.CaptureFixture[str]) -> None:
    observers = watched("plain", every_seconds=1000.0)
    for done in range(0, 101):
        observers.phase("packing", done, 100)
    for step in range(1, 8):
        observers.tick(RUN, a_tick(step))
    observers.run_end(RUN, "interrupted")

    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["packing: 100 in 0 s", "epoch 2.50/25", "epoch 17.50/25"]


def test_plain_knows_no_total_where_the_recipe_counts_no_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    observers = watched("plain")
    run = RUN._replace(recipe={"train": {"iterations": 5340, "epochs": None}}, first_iteration=534)
    observers.phase("reading", 7, 0)
    observers.run_start(run, REALS)
    observers.tick(run, a_tick(2, images_per_second=math.nan, seconds_left=math.inf, stats={}))

    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "reading: 7"
    assert lines[-2:] == ["continues after iteration 534", "epoch 5.00 (20%)  iteration 1,068"]


def test_json_is_one_object_a_line_on_stdout_and_notes_for_people_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    observers = watched("json")
    observers.phase("packing", 3, 3)
    observers.note("naïve ▶", "info")
    observers.run_start(RUN, REALS)
    observers.tick(RUN, a_tick(1, seconds_left=math.inf, stats={"loss": math.nan, "D(x)": 0.5}))
    observers.snapshot(RUN, Snapshot(534, 68_352, 2.5, REALS, 2))
    observers.run_end(RUN, "finished")

    out, err = capsys.readouterr()
    assert out.isascii()
    events = [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["phase", "note", "run_start", "tick", "snapshot", "run_end"]
    assert events[0] == {"event": "phase", "name": "packing", "done": 3, "total": 3}
    assert events[1] == {"event": "note", "text": "naïve ▶", "level": "info"}
    assert events[2]["directory"] == str(RUN.directory)
    assert events[2]["images"] == {"channels": 3, "height": 64, "width": 64, "classes": 0}
    assert events[3]["iteration"] == 534
    assert events[3]["seconds_left"] is None
    assert events[3]["stats"] == {"loss": None, "D(x)": 0.5}
    assert events[4] == {"event": "snapshot", "iteration": 534, "images": 68_352, "epoch": 2.5}
    assert events[5] == {"event": "run_end", "reason": "finished"}
    assert err == "naïve ▶\n"


def test_off_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    observers = watched("off")
    observers.note("something", "warning")
    observers.run_start(RUN, REALS)
    observers.tick(RUN, a_tick(1))
    observers.run_end(RUN, "finished")
    assert capsys.readouterr() == ("", "")


def test_auto_is_plain_where_nobody_watches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    observers = watched("auto")
    observers.run_start(RUN, REALS)
    observers.tick(RUN, a_tick(1))
    observers.run_end(RUN, "finished")
    assert "epoch 2.50/25" in (err := capsys.readouterr().err)
    assert "\x1b" not in err


@pytest.mark.parametrize("mode", ["plain", "rich"])
def test_names_from_outside_cannot_steer_the_terminal(
    mode: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    watched(mode).note("left out bad\x1b]0;title\x07.png \udcff", "warning")
    err = capsys.readouterr().err
    assert r"left out bad\x1b]0;title\x07.png \udcff" in err
    assert "\x07" not in err


def test_streams_that_cannot_take_text_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    for stream in (closed, None, ascii_only):
        monkeypatch.setattr(sys, "stderr", stream)
        for mode in ("auto", "plain", "rich"):
            observers = watched(mode)
            observers.phase("packing", 1, 2)
            observers.note("é", "info")
            observers.run_start(RUN, REALS)
            observers.tick(RUN, a_tick(1))
            observers.run_end(RUN, "finished")
    ascii_only.seek(0)
    assert "\n?\n" in ascii_only.read()


def test_durations_and_numbers_are_short() -> None:
    spans = {0.2: "0 s", 59.7: "1 min 0 s", 125: "2 min 5 s", 1500: "25 min", 12_000: "3 h 20 min", 190_000: "2 d 4 h"}
    assert {seconds: duration(seconds) for seconds in spans} == spans
    numbers = {0.0: "0.000", 1.2034: "1.203", -12.5: "-12.500", 2e-6: "2.0e-06", 12_345.6: "12,346", -3e9: "-3.00e+09"}
    assert {value: number(value) for value in numbers} == numbers
    assert number(math.nan) == "nan"


# Real streams: the programme below runs on a pseudo-terminal, and what it writes is put on a screen; or on pipes.

STEPS = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(REPOSITORY)!r})
import numpy as np
from ganlab.run.observers import Observers
from ganlab.events import RunInfo, Tick
from ganlab.interfaces import ImageSpec
from ganlab.standard.observers.terminal import Terminal

mode, ending = sys.argv[1:]
observers = Observers()
observers.register(Terminal(mode=mode, every_seconds=0), "terminal", "ganlab 1")
observers.phase("packing", 1, 2)
if ending == "early":
    sys.exit("no pictures in data")
observers.phase("packing", 2, 2)
run = RunInfo("dcgan_faces", Path("runs/1"), {{}}, ImageSpec(3, 8, 8), 9, {{"generator": 5}}, "cpu", "fp32", 0)
observers.run_start(run, np.zeros((1, 8, 8, 3), np.uint8))
stats = {{"loss_discriminator": 1.203, "D(x)": 0.61, "D(G(z))": 0.32, "loss_generator": 0.912}}
for step in (1, 2):
    tick = Tick(step * 50, step * 6400, step * 0.5, step / 2, 1234.4, step, 2.0 - step, stats)
    observers.tick(run, tick)
    time.sleep(0.12)
    if step == 1:
        observers.note("one bad picture", "warning")
        if ending != "quiet":
            print("printed by a plugin", file=sys.stderr)
        if ending == "middle":
            raise KeyboardInterrupt
observers.run_end(run, "finished")
if ending != "quiet":
    print("the end")
"""


def on_terminal(arguments: list[str], columns: int, **environment: str) -> tuple[int, list[str], bool]:
    """Run STEPS on a terminal of `columns`; return its exit code, the lines on the screen, and the cursor."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "PYTHONUTF8": "1", **environment}
    process = subprocess.Popen(
        [sys.executable, "-c", STEPS, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:
        pass  # how Linux says that the other end is closed
    finally:
        os.close(ours)
    return process.wait(), *screen(written.decode(), columns)


def screen(written: str, columns: int) -> tuple[list[str], bool]:
    """Return what a terminal shows after `written`, and whether it has a cursor."""
    lines, row, column, cursor = [""], 0, 0, True
    for token in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|.|\n", written, re.DOTALL):
        if token == "\r":
            column = 0
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token in ("\x1b[?25l", "\x1b[?25h"):
            cursor = token.endswith("h")
        elif move := re.fullmatch(r"\x1b\[([0-9]*)A", token):
            row = max(0, row - int(move[1] or 1))
        elif token.startswith("\x1b"):
            assert token.endswith("m"), f"not expected: {token!r}"
        else:
            if token == "\n" or column == columns:
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            if token != "\n":
                lines[row] = lines[row].ljust(column)[:column] + token + lines[row][column + 1 :]
                column += 1
    return lines, cursor


def test_live_display_on_a_wide_terminal() -> None:
    code, lines, cursor = on_terminal(["auto", "end"], 80)
    assert (code, cursor) == (0, True)
    assert lines == [
        "packing: 2 in 0 s",
        "dcgan_faces in runs/1",
        "9 pictures of 8x8x3; cpu, fp32",
        "parameters: generator 5",
        "warning: one bad picture",
        "printed by a plugin",
        "dcgan_faces  " + "\N{BOX DRAWINGS HEAVY HORIZONTAL}" * 40 + "  100%",
        "epoch 1.00 (100%)  iteration 100  1,234 images/s",
        "loss_discriminator 1.203  loss_generator 0.912  D(x) 0.610  D(G(z)) 0.320",
        "the end",
        "",
    ]


def test_live_display_on_twenty_columns_breaks_between_the_words() -> None:
    code, lines, cursor = on_terminal(["auto", "end"], 20)
    assert (code, cursor) == (0, True)
    assert lines[lines.index("dcgan_faces  100%") :] == [
        "dcgan_faces  100%",
        "epoch 1.00 (100%)",
        "iteration 100",
        "1,234 images/s",
        "loss_discriminator",
        "1.203",
        "loss_generator 0.912",
        "D(x) 0.610",
        "D(G(z)) 0.320",
        "the end",
        "",
    ]


def test_live_display_without_unicode_draws_with_ascii() -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    code, lines, _ = on_terminal(["auto", "end"], 80, **locale)
    assert code == 0
    assert "dcgan_faces  " + "-" * 40 + "  100%" in lines


@pytest.mark.parametrize("mode", ["auto", "rich"])
def test_dumb_terminals_get_plain_lines(mode: str) -> None:
    code, lines, _ = on_terminal([mode, "end"], 200, TERM="dumb")
    assert code == 0
    assert lines[0] == "packing: 1 of 2 (50%)"
    assert lines[-3].startswith("epoch 1.00 (100%)  iteration 100  1,234 images/s  loss_discriminator 1.203")


def test_a_run_that_breaks_off_leaves_its_message_and_a_cursor() -> None:
    code, lines, cursor = on_terminal(["auto", "early"], 80)
    assert (code, cursor) == (1, True)
    assert [line for line in lines if line] == ["no pictures in data"]

    code, lines, cursor = on_terminal(["auto", "middle"], 80)
    assert (code, cursor) == (-2, True)
    assert "warning: one bad picture" in lines
    assert "KeyboardInterrupt" in lines
    assert not any(line.startswith("dcgan_faces  ") for line in lines)


def on_pipes(arguments: list[str], **streams: object) -> subprocess.CompletedProcess[bytes]:
    """Run STEPS without a terminal, where a stream is not given into a pipe."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run([sys.executable, "-c", STEPS, *arguments], check=False, **streams)


@pytest.mark.parametrize(("mode", "stream"), [("json", "stdout"), ("plain", "stderr"), ("rich", "stderr")])
def test_a_reader_that_leaves_does_not_end_the_run(mode: str, stream: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)  # as head does once it has its lines
    process = on_pipes([mode, "quiet"], **{stream: theirs})
    os.close(theirs)
    assert process.returncode == 0
    assert process.stderr == (b"warning: one bad picture\n" if mode == "json" else None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_log_file_on_a_full_disk_does_not_end_the_run() -> None:
    with open("/dev/full", "w") as full:
        process = on_pipes(["plain", "quiet"], stderr=full)
    assert (process.returncode, process.stdout) == (0, b"")


def test_a_closed_descriptor_does_not_end_the_run() -> None:
    command = ["sh", "-c", 'exec "$0" -c "$1" auto quiet 2>&-', sys.executable, STEPS]
    process = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    assert (process.returncode, process.stdout) == (0, b"")
