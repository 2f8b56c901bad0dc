"""S1 to S3, S5, D8: signals at any time, to a process and to its group; a run that is held; signs of life."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from durable.client import Child, Ended, Server
from durable.conftest import Scale, Tally
from durable.parts import short
from durable.runs import bits, leftovers
from toys import tiny

from ganlab.heartbeat import Heartbeat
from ganlab.toml import dumps

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
STOPPED = re.compile(
    r"ganlab: stopped by (\S+) (?:before the training began; nothing is lost"
    r"|at iteration (\d+); everything is saved in run\ngo on with: (ganlab run .*))\n\Z"
)
SAVING_SECONDS = 5.0
"""What an iteration, a save and the end of a process may take, on a machine that does other things too."""


def write_recipe(folder: Path, table: dict[str, Any]) -> list[str]:
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
            "observers": {"terminal": {"mode": "plain"}},
            **tables,
        }
    )


def check_stopped(ended: Ended, number: signal.Signals) -> int | None:
    """Check how a process ended that got a signal, and return the iteration at which it was saved."""
    assert ended.code == CODES[number], ended
    assert "Traceback" not in ended.err, ended.err
    assert "Exception ignored" not in ended.err, ended.err
    found = STOPPED.search(ended.err)
    assert found is not None, ended.err
    if found[2] is None:
        assert found[1] == number.name
        return None
    assert found[1] == NAMES[number]
    return int(found[2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
@pytest.mark.parametrize("to", ["process", "group"])
def test_a_signal_at_any_time_from_the_first_printed_line(
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
    expected = bits(folder / "undisturbed" / "run")
    wanted, sent, place = scale(8, 40), 0, folder / "0"
    setting_up = 0
    while sent < wanted:
        place = folder / str(sent)
        place.mkdir()
        while True:
            child = server.start("command", *words, folder=place)
            child.wait_for_words()
            time.sleep(dice.uniform(0.0, 0.9 * seconds))
            if sent < wanted and child.is_alive():
                signalled = time.monotonic()
                (os.killpg if to == "group" else os.kill)(child.pid, number)
                ended = child.wait()
                took = time.monotonic() - signalled
            else:
                signalled = 0.0
                ended = child.wait()
            assert child.left_in_session() == []
            if ended.code == 0:  # it had come to its end, or the signal came too late to stop anything
                break
            iteration = check_stopped(ended, number)
            sent += 1
            assert took < SAVING_SECONDS
            if iteration is None:
                setting_up += 1
            else:
                assert (place / "run" / "checkpoints" / f"{iteration:08d}" / "manifest.json").exists()
        assert bits(place / "run") >= dict.fromkeys((), "") and newest_bits(place / "run") == newest_bits_of(expected)
        assert not leftovers(place / "run")
    tally("signals sent", sent)
    tally("signals sent while a run was set up", setting_up)
