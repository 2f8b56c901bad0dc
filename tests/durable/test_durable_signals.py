"""S1 to S3, S5, D8: signals at any time, and what is answered; a run that is held; signs of life."""

from __future__ import annotations

import os
import random
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from toys import tiny

from durable.client import Ended, Server
from durable.conftest import Scale, Tally
from durable.parts import HARD, short
from durable.runs import end, leftovers
from ganlab.recipe.toml import dumps
from ganlab.run.heartbeat import Heartbeat

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
STOPPED = re.compile(
    r"ganlab: stopped by (\S+)(?: before the training began; nothing is lost(?:\ngo on with: ganlab run .*)?"
    r"| at iteration (\d+); everything is saved in run"
    r"(?:; its snapshot was broken off and is made when the run goes on)?"
    r"\ngo on with: (ganlab run .*))?\n\Z"
)
ANSWERS = {
    signal.SIGINT: "stopping after this iteration, then saving; Ctrl-C again to lose what is not saved",
    signal.SIGTERM: "SIGTERM: stopping after this iteration, then saving; a second signal to lose what is not saved",
}
"""What a first signal is answered while an iteration takes its time."""
MOMENTS = 24_000
"""About as many as a run has before its first printed line."""


def write_recipe(folder: Path, table: dict[str, Any]) -> list[str]:
    """Return the words of the command that trains it."""
    (folder / "toy.toml").write_text(dumps(table))
    return ["run", str(folder / "toy.toml"), "--out", "run", "--progress", "plain"]


def watched(**tables: Any) -> dict[str, Any]:
    """Return a recipe that packs slowly, saves often, and is watched as usual."""
    return tiny(
        **{
            "model": {"base_channels": 2, "latent_dim": 3, "generator_dropout": 0.3},
            "dataset": {"name": "slow_stripes", "milliseconds": 4.0, "flip": True},
            "train": {"iterations": 30, "batch_size": 4, "tick_seconds": 0.01},
            "snapshot": {"every_iterations": 3, "samples": 4},
            **tables,
        }
    )


def check_stopped(ended: Ended, number: signal.Signals) -> tuple[int, list[str]] | None:
    """Check how a process ended that got a signal; return where it was saved and the command that goes on."""
    assert ended.code == CODES[number], ended
    for trouble in ("Traceback", "Exception ignored", "terminate called"):
        assert trouble not in ended.err, ended.err
    found = STOPPED.search(ended.err)
    assert found is not None, ended.err
    assert found[1] in (number.name, NAMES[number])
    return None if found[2] is None else (int(found[2]), shlex.split(found[3])[1:])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
@pytest.mark.parametrize("to", ["process", "group"])
def test_s1_a_signal_at_any_time_from_the_first_printed_line(
    server: Server, folder: Path, scale: Scale, tally: Tally, number: signal.Signals, to: str
) -> None:
    dice = random.Random(f"{number}{to}")
    words = write_recipe(folder, watched())
    (folder / "undisturbed").mkdir()
    child = server.start("command", *words, folder=folder / "undisturbed")
    child.wait_for_words()
    began = time.monotonic()
    ended = child.wait()
    seconds = time.monotonic() - began
    assert ended.code == 0, ended.err
    expected = end(folder / "undisturbed" / "run")
    wanted, sent, runs = scale(4, 8, 40), 0, 0
    while sent < wanted:
        place = folder / f"{runs}"
        place.mkdir()
        runs += 1
        again = words
        while True:
            child = server.start("command", *again, folder=place)
            child.wait_for_words()
            time.sleep(dice.uniform(0.0, 0.9 * seconds))
            if sent < wanted and child.is_alive():
                (os.killpg if to == "group" else os.kill)(child.pid, number)
            ended = child.wait()
            assert child.left_in_session() == []
            if ended.code == 0:  # it had come to its end before
                break
            sent += 1
            if (saved := check_stopped(ended, number)) is not None:
                iteration, again = saved
                assert (place / "run" / "checkpoints" / f"{iteration:08d}" / "manifest.json").exists()
        if ended.code:
            assert server.call("command", *words, folder=place).code == 0
        assert end(place / "run") == expected
        assert not leftovers(place / "run")
    tally("signals sent", sent)


def test_s1_a_signal_at_any_moment_from_the_first_line_of_the_command(folder: Path, scale: Scale, tally: Tally) -> None:
    """In a process of its own, which imports what the server's have already."""
    words = write_recipe(folder, short(dataset={"name": "fashion_mnist", "split": "shipped"}, model={"name": "dcgan"}))
    wanted = scale(60, 240, 5_000)
    code = f"from durable.moments import live; live({MOMENTS // wanted})"
    warnings = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")  # Python 3.12 on forks beside a thread
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *warnings, "-c", code, *words], cwd=folder, env=environment, check=False)
    assert done.returncode == 0
    lines = [line.split() for line in (folder / "moments").read_text().splitlines()]
    unanswered = {line[1] for line in lines if line[0] == "unanswered"}
    assert {name.partition(".")[0] for name in unanswered} <= {"ganlab", *sys.stdlib_module_names}
    assert "ganlab.cli" not in unanswered
    signalled = [[int(word) for word in line[1:]] for line in lines if line[0] == "signalled"]
    assert len(signalled) > wanted / 2
    for moment, number, exit_code in signalled:
        said = (folder / f"{moment}.err").read_text()
        assert STOPPED.match(said.lstrip("\n")), said  # click begins a new line after what a terminal shows of Ctrl-C
        assert check_stopped(Ended(exit_code, "", said), signal.Signals(number)) is None
    tally("signals sent", len(signalled))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_s2_a_second_signal_ends_at_once_even_in_the_middle_of_a_long_call(
    server: Server, folder: Path, tally: Tally, number: signal.Signals
) -> None:
    words = write_recipe(folder, short(loss={"name": "stalling"}, observers={"log": True}))
    child = server.start("command", *words, folder=folder, environment={"STALL": "200000000"})
    wait_until(lambda: (folder / "stalled").exists())
    os.kill(child.pid, number)
    wait_until(lambda: ANSWERS[number] in child.err.read_text())
    assert child.is_alive()
    began = time.monotonic()
    os.kill(child.pid, number)
    ended = child.wait()
    assert time.monotonic() - began < 20.0  # at once, on a machine that does other things too: the call takes minutes
    assert ended.code == CODES[number]
    assert "Traceback" not in ended.err
    last_words = f"ganlab: ended by {NAMES[number]}; the checkpoint of iteration 2 is in run\ngo on with: "
    *_, again = ended.err.partition(last_words)
    assert again.startswith("ganlab run "), ended.err
    done = server.call("command", *shlex.split(again)[1:], folder=folder)
    assert done.code == 0, done.err
    assert "damaged" not in (folder / "run" / "log.txt").read_text()
    tally("signals sent", 2)


@pytest.mark.parametrize("progress", ["auto", "plain", "off"])
def test_s2_whoever_presses_ctrl_c_at_a_terminal_is_answered_at_once(
    server: Server, folder: Path, tally: Tally, progress: str
) -> None:
    words = [*write_recipe(folder, short(loss={"name": "stalling"})), "--progress", progress]
    ours, theirs = os.openpty()
    stalling = {"STALL": "200000000", "TERM": "xterm", "COLUMNS": "200"}
    child = server.start("command_at", os.ttyname(theirs), *words, folder=folder, environment=stalling)
    os.close(theirs)
    with open(ours, "rb", buffering=0) as screen:
        shown = ""

        def read_until(text: str) -> None:
            nonlocal shown
            while text not in shown:
                assert select.select([screen], [], [], 120)[0], shown
                shown += os.read(ours, 4096).decode()

        wait_until(lambda: (folder / "stalled").exists())
        os.kill(child.pid, signal.SIGINT)
        read_until(ANSWERS[signal.SIGINT] + "\r\n")
        assert child.is_alive()
        os.kill(child.pid, signal.SIGINT)
        read_until("go on with: ganlab run ")
        assert shown.count("stopping") == 1
        assert "\r\nganlab: ended by Ctrl-C; the checkpoint of iteration 2 is in run\r\ngo on with:" in shown
        assert shown.rfind("\x1b[?25h") >= shown.rfind("\x1b[?25l"), "the cursor is there"
    assert child.wait().code == 130
    tally("signals sent", 2)


def wait_until(condition: Any) -> None:
    limit = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.005)


def test_s3_a_run_that_was_stopped_at_any_iteration_ends_with_the_same_bits(
    server: Server, folder: Path, scale: Scale, tally: Tally
) -> None:
    dice = random.Random(3)
    iterations = 20
    table = short(**HARD, train={"iterations": iterations}, snapshot={"every_iterations": 6})
    words = write_recipe(folder, table)
    assert server.call("command", *words, folder=folder).code == 0
    expected = end(folder / "run")
    stops = scale(8, 20, 200)
    for number in range(stops):
        place = folder / f"{number}"
        place.mkdir()
        at = dice.randrange(1, iterations)
        stopping = write_recipe(place, table | {"observers": table["observers"] | {"stop": {"at": at}}})
        ended = server.call("command", *stopping, folder=place)
        assert check_stopped(ended, signal.SIGTERM) is not None
        assert f"at iteration {at};" in ended.err
        ended = server.call("command", *words, folder=place)
        assert ended.code == 0, ended.err
        assert end(place / "run") == expected
    tally("stops and resumes", stops)


def test_d8_a_second_process_is_refused_until_the_first_is_dead(server: Server, folder: Path) -> None:
    words = write_recipe(folder, short(observers={"log": True}, train={"iterations": 100_000, "tick_seconds": 0.01}))
    first = server.start("command", *words, folder=folder)
    wait_until(lambda: (folder / "run" / "checkpoints" / "00000002").exists())
    second = server.call("command", *words, folder=folder)
    assert second.code == 2
    assert f"run is in use by pid {first.pid} on {socket.gethostname()}; wait for it, or choose another" in second.err
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait().code == -signal.SIGKILL
    third = server.start("command", *words, folder=folder)
    wait_until(lambda: "continues after iteration" in (folder / "run" / "log.txt").read_text())
    os.kill(third.pid, signal.SIGTERM)
    assert third.wait().code == 143


# S5


class Clock:
    """Stands in for the heartbeat's clock, and goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def go_to(self, now: float) -> None:
        """Set the clock, and give the heartbeat, which looks every few milliseconds, the time to see it."""
        self.now = now
        time.sleep(0.1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The heartbeat's clock."""
    clock = Clock()
    monkeypatch.setattr("ganlab.run.heartbeat.time", clock)
    return clock


def test_s5_nothing_that_takes_long_is_silent(clock: Clock) -> None:
    heartbeat = Heartbeat(silence_seconds=0.05)
    said: list[str] = []
    with heartbeat.beating(said.append):
        heartbeat.work = lambda: "iteration 7"
        clock.go_to(0.04)
        assert said == []
        clock.go_to(0.06)
        wait_until(lambda: len(said) == 1)
        clock.go_to(0.1)
        with heartbeat.speaking():
            pass
        clock.go_to(0.14)
        assert len(said) == 1, "while events come, nothing else is said"
        clock.go_to(40.0)
        wait_until(lambda: len(said) == 2)
        heartbeat.work = lambda: "iteration 8"
        clock.go_to(70.0)
        wait_until(lambda: len(said) == 3)
    clock.go_to(1000.0)
    assert said == [
        "still at work: iteration 7, for 0 s",
        "still at work: iteration 7, for 40 s",
        "still at work: iteration 8, for 30 s",
    ]


def test_s5_no_sign_of_life_comes_into_the_middle_of_an_event(clock: Clock) -> None:
    heartbeat = Heartbeat(silence_seconds=0.05)
    said: list[str] = []
    with heartbeat.beating(said.append):
        for event in range(3):
            with heartbeat.speaking():
                clock.go_to(100.0 * (event + 1))
                assert said == []
            clock.go_to(clock.now)
    assert said == []


@pytest.mark.parametrize("phase", ["packing", "training"])
def test_s5_a_run_says_what_it_is_at(server: Server, folder: Path, phase: str) -> None:
    dataset = {"name": "slow_stripes", "milliseconds": 1000.0, "count": 4} if phase == "packing" else {}
    loss = {"name": "stalling"} if phase == "training" else {}
    words = write_recipe(folder, short(dataset=dataset, loss=loss))
    ended = server.call("with_a_fast_heart", 0.2, *words, folder=folder, environment={"STALL": "2000000"})
    assert ended.code == 0, ended.err
    if phase == "packing":
        assert "packing slow_stripes" in ended.err
    else:
        assert re.search(r"still at work: iteration 3, for \d s", ended.err), ended.err


def test_s5_a_rank_that_waits_for_the_others_says_so(server: Server, folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    alone_of_two = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    words = write_recipe(folder, short(train={"rank_timeout_seconds": 2.0}))
    environment = {name: str(value) for name, value in alone_of_two.items()}
    ended = server.call("with_a_fast_heart", 0.2, *words, folder=folder, environment=environment)
    assert ended.code == 1, ended.err
    assert re.search(r"still at work: waiting for the other ranks, for \d s", ended.err), ended.err
    assert "Traceback" not in ended.err
