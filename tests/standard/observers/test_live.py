"""The live display, on a real pseudo-terminal and on consoles of many widths."""

from __future__ import annotations

import io
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import NAME, TYPED, check_harmless
from rich.console import Console
from standard.observers.events import STATS, a_run, a_snapshot, a_tick
from standard.observers.screen import on_terminal, shown

from ganlab.events import Scores
from ganlab.standard.observers.live import REFRESH_SECONDS, Live
from ganlab.standard.observers.stream import Stream

BAR = "\N{BOX DRAWINGS HEAVY HORIZONTAL}"
FIELDS = (
    "epoch 12.50/25",
    "iteration 500",
    "1,234 images/s",
    "loss_discriminator 1.203",
    "loss_generator 0.912",
    "D(x) 0.610",
    "D(G(z)) 0.320",
    "path-length 2.0e-06",
)


@pytest.fixture(autouse=True)
def _a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)


def laid_out(live: Live, columns: int, colours: bool = True) -> list[str]:
    """Return the lines that a display shows on so many columns, without their colours."""
    console = Console(width=columns, force_terminal=True, color_system="standard", no_color=not colours)
    with console.capture() as capture:
        console.print(live)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in capture.get().splitlines()]


def halfway() -> Live:
    live = Live(Stream(None))
    live.run_start(a_run())
    live.tick(a_run(), a_tick(500, **STATS, **{"path-length": 2e-6}))
    return live


def test_it_ends_below_what_was_printed_and_stays() -> None:
    code, lines, cursor = on_terminal("auto", "end")
    assert re.fullmatch("packing: 2 in [0-9]+ s", lines[0])
    assert (code, lines[1:], cursor) == (
        0,
        [
            "faces in runs/1",
            "5,120 pictures of 8x8x3; cpu, fp32",
            "parameters: generator 3,576,704, discriminator 2,765,568",
            "warning: one bad picture",
            "printed by a plugin",
            f"faces  {BAR * 40}  100%",
            "epoch 25.00/25  iteration 1,000  1,234 images/s  1 min 40 s so far",
            "loss_discriminator 1.203  loss_generator 0.912  D(x) 0.610  D(G(z)) 0.320",
            "the end",
            "",
        ],
        True,
    )


def test_it_draws_with_ascii_where_there_is_nothing_else() -> None:
    locale: dict[str, Any] = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    screen = on_terminal("auto", "end", **locale)
    assert screen.code == 0
    assert f"faces  {'-' * 40}  100%" in screen.lines
    assert all(line.isascii() for line in screen.lines)


@pytest.mark.parametrize(
    ("ending", "code", "last"),
    [("early", 1, "no pictures in data"), ("interrupted", -2, "KeyboardInterrupt")],
)
def test_a_run_that_breaks_off_leaves_its_message_and_a_cursor(ending: str, code: int, last: str) -> None:
    screen = on_terminal("auto", ending)
    assert (screen.code, screen.cursor) == (code, True)
    assert [line for line in screen.lines if line][-1] == last
    assert not any(BAR in line for line in screen.lines)


def test_a_run_that_is_killed_leaves_a_cursor() -> None:
    screen = on_terminal("auto", "killed")
    assert (screen.code, screen.cursor) == (-9, True)


def test_twenty_columns_break_between_the_words() -> None:
    lines = laid_out(halfway(), 20)
    (end,) = (line for line in lines if re.fullmatch(r"ends ([0-9-]{10} )?[0-9]{2}:[0-9]{2}", line))
    assert lines == [
        "faces   50%",
        "50 s left",
        "epoch 12.50/25",
        "iteration 500",
        "1,234 images/s",
        "50 s so far",
        end,
        "loss_discriminator",
        "1.203",
        "loss_generator 0.912",
        "D(x) 0.610",
        "D(G(z)) 0.320",
        "path-length 2.0e-06",
    ]


@pytest.mark.parametrize("columns", [24, 31, 32, 37, 50, 60, 100, 200])
def test_no_width_breaks_within_a_statistic_and_a_narrow_one_has_no_bar(columns: int) -> None:
    lines = laid_out(halfway(), columns)
    assert (BAR in lines[0]) == (columns >= len("faces  --------   50%  50 s left"))
    assert max(map(len, lines)) <= columns
    for field in FIELDS:
        assert sum(field in re.split("  ", line) for line in lines) == 1, field


@pytest.mark.parametrize("colours", [True, False])
def test_the_words_stay_where_they_are_while_the_bar_grows(colours: bool) -> None:
    live, places = halfway(), set()
    for iteration in (0, 250, 500, 990):
        live.tick(a_run(), a_tick(iteration, **STATS))
        line = laid_out(live, 100, colours)[0]
        places.add(line.index("%"))
        assert colours or line.count(BAR) == 40 * iteration // 1000, "only what is done is drawn"
    assert len(places) == 1


def test_work_has_a_bar_where_its_end_is_known_and_a_count_elsewhere() -> None:
    live = Live(Stream(None))
    live.phase("looking", 7000, 0, 0.0)
    live.phase("packing", 1, 4, 0.0)
    assert laid_out(live, 80, colours=False) == ["looking  7,000", f"packing  {BAR * 10}{' ' * 30}   25%"]
    live.phase("looking", 9000, 9000, 1.0)
    assert len(laid_out(live, 80)) == 1
    live.run_start(a_run())
    assert laid_out(live, 80)[1].endswith("   0%  starting")


def test_from_sixty_columns_on_a_statistic_shows_what_it_has_been() -> None:
    live = halfway()
    for iteration, loss in ((600, 1.8), (700, 2.4), (800, 3.0)):
        live.tick(a_run(), a_tick(iteration, **(STATS | {"loss_discriminator": loss})))
    assert "loss_discriminator 3.000 \u2581\u2583\u2586\u2588  loss_generator 0.912" in laid_out(live, 60)
    assert "loss_discriminator 3.000" in "  ".join(laid_out(live, 59)).split("  ")


def test_a_display_has_the_last_scores_and_when_the_next_snapshot_comes() -> None:
    live = halfway()
    live.tick(a_run(), a_tick(500)._replace(iterations=1000, next_snapshot=600, memory_bytes=2_340_000_000))
    live.scored(Scores(400, 51_200, 10.0, {"kid": 0.4525}, {"kid": 0.0}, best=True))
    lines = laid_out(live, 100)
    assert lines[1].startswith("epoch 12.50/25  iteration 500/1,000  1,234 images/s  50 s so far  ends ")
    assert "2.3 GB  next snapshot at 600" in "  ".join(lines)
    assert lines[-1] == "scored at 400:  kid 0.453  the best so far"


def test_samples_are_shown_where_there_are_colours_and_room() -> None:
    """A white and a black picture of 8x8: four lines of blocks, the first white on white, the second black on black."""
    samples = np.stack([np.full((8, 8, 1), 255, np.uint8), np.zeros((8, 8, 1), np.uint8)])
    live = halfway()
    live._console = Console(color_system="truecolor", force_terminal=True, width=17, height=30)
    live.snapshot(a_snapshot(500, samples))
    with live._console.capture() as capture:
        live._console.print(live)
    block = "\N{UPPER HALF BLOCK}"
    shown = [line for line in capture.get().splitlines() if block in line]
    white, black = (f"\x1b[38;2;{level};{level};{level};48;2;{level};{level};{level}m" for level in (255, 0))
    assert len(shown) == 4
    assert all(line.count(white + block) == 8 and line.count(black + block) == 8 for line in shown)
    for poorer in (
        Console(color_system="standard", force_terminal=True, width=17, height=30),
        Console(color_system="truecolor", force_terminal=True, width=17, height=8),
        Console(color_system="truecolor", force_terminal=True, width=7, height=30),
        Console(color_system="truecolor", no_color=True, force_terminal=True, width=17, height=30),
    ):
        live._console = poorer
        with poorer.capture() as capture:
            poorer.print(live)
        assert block not in capture.get()


@pytest.mark.parametrize("narrow", [79, 45, 30])
def test_nothing_stays_behind_when_the_terminal_is_made_narrower(narrow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal breaks the lines that have become too long; the display then takes them all away."""
    monkeypatch.delenv("XTERM_VERSION", raising=False)
    stream = io.StringIO()
    live = Live(Stream(stream))
    live._console.width = 80
    live.run_start(a_run())
    live.tick(a_run(), a_tick(400, **STATS))
    live._draw(at_once=True)
    before, _ = shown(stream.getvalue(), 80)
    broken = [line[start : start + narrow] for line in before for start in range(0, max(len(line.rstrip()), 1), narrow)]
    stream.seek(0)
    stream.truncate()
    live._console.width = narrow
    live.tick(a_run(), a_tick(500, **STATS))
    live._draw(at_once=True)
    after, _ = shown("\n".join(broken) + stream.getvalue(), narrow)
    alone = laid_out(live, narrow)
    assert [line.rstrip() for line in after if line.rstrip()][-len(alone) :] == alone
    assert sum("iteration" in line for line in after) == 1
    live.run_end("finished")


def test_a_terminal_that_shows_pictures_gets_the_last_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM_PROGRAM", "WezTerm")
    monkeypatch.delenv("TMUX", raising=False)
    stream = io.StringIO()
    live = Live(Stream(stream))
    live.run_start(a_run())
    live.snapshot(a_snapshot(500, np.zeros((2, 8, 8, 3), np.uint8)))
    live.run_end("finished")
    assert "\x1b]1337;File=inline=1" in stream.getvalue()


def test_names_from_outside_cannot_steer_the_terminal() -> None:
    stream = io.StringIO()
    live = Live(Stream(stream))
    live.note(TYPED, "warning")
    live.phase(f"reading {NAME}", 1, 0, 0.0)
    live.phase(f"packing {NAME}", 1, 2, 0.0)
    run = a_run(Path(NAME))._replace(name=f"run {NAME}")
    live.run_start(run)
    live.tick(run, a_tick(500, **{f"loss {NAME}": 1.0}))
    live.run_end("finished")
    text = stream.getvalue()
    check_harmless(text, own="\x1b\r")
    for sequence in ("\x1b]", "\x1b[31m", "\x1b[2J", "\r\r"):
        assert sequence not in text
    words = "".join(text.split())
    for name in ("warning:", "reading", "packing", "run", "loss"):
        assert rf"{name}\x1b]0;owned\x07\x9b31m\x1b[2J[red]:bomb:\u202egnp" in words


def test_it_is_redrawn_ten_times_a_second_at_most_by_no_thread() -> None:
    stream, threads = io.StringIO(), threading.active_count()
    live = Live(Stream(stream))
    live.run_start(a_run())
    begun = time.monotonic()
    for iteration in range(1000):
        live.tick(a_run(), a_tick(iteration))
    assert threading.active_count() == threads
    drawn = stream.getvalue().count("iteration ")
    assert drawn <= (time.monotonic() - begun) / REFRESH_SECONDS + 1
    live.run_end("finished")
    assert "iteration 999" in stream.getvalue()
