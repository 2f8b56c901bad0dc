"""D1 to D3: a run that was killed anywhere or refused anything by the disk ends with the bits of an undisturbed one."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from toys import tiny

from durable.client import Child, Server
from durable.conftest import Scale, Tally
from durable.parts import HARD, short
from durable.runs import bits, leftovers, newest
from ganlab.recipe.toml import dumps

T = TypeVar("T")
TOLD = 12
"""Lines that an error may have."""
CHANGE_NOTHING = {"list", "lock", "flush", "close"}
"""A process that is killed after one of these leaves what it would have left before."""


def write_recipe(folder: Path, table: dict[str, Any]) -> list[str]:
    """Return the words of the command that trains it."""
    (folder / "toy.toml").write_text(dumps(table))
    return ["run", str(folder / "toy.toml")]


def undisturbed(server: Server, folder: Path, words: list[str]) -> dict[str, str]:
    """Return the bits that every run of the recipe must end with."""
    place = folder / "undisturbed"
    place.mkdir()
    ended = server.call("command", *words, "--out", "run", folder=place)
    assert ended.code == 0, ended.err
    return bits(place / "run")


def file_calls(server: Server, folder: Path, words: list[str]) -> list[str]:
    """Return the file calls of the command in `folder`, which gets what it makes."""
    ended = server.call("hurt", 0, "kill", *words, folder=folder)
    assert ended.code == 0, ended.err
    calls: list[str] = json.loads((folder / "calls.json").read_text())
    return calls


def damaged(server: Server, folder: Path, words: list[str]) -> None:
    """Leave a run whose newest checkpoint has a flipped bit: it is to be saved again, onto its own place."""
    ended = server.call("command", *words, "--out", "run", folder=folder)
    assert ended.code == 0, ended.err
    flip(newest(folder / "run") / "state.safetensors", -30)


def flip(file: Path, at: int, bit: int = 4) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= bit
    file.write_bytes(data)


def chosen(calls: list[str], scale: Scale, begun: str) -> list[int]:
    """Return the numbers of the calls, from 1, that go wrong: at night all, else none that says what another one does.

    A damaged run does what a fresh one does but for its save. Of three saves, the last does what the second does, and
    prunes. The quick size takes every rename, and of the other calls of a fresh run every second one.
    """
    numbers = range(1, len(calls) + 1)
    saves = [at for at in numbers if calls[at - 1].startswith("rename ") and "checkpoints" in calls[at - 1]]
    if scale.size == "nightly":
        return list(numbers)
    if begun == "damaged":
        return [at for at in numbers if "checkpoints" in calls[at - 1]]
    if scale.size == "long":
        return list(numbers)
    outside = [at for at in numbers if not saves[0] < at <= saves[1]]
    return [at for at in outside if at % 2 or calls[at - 1].startswith("rename ")]


def portions(items: list[T]) -> list[list[T]]:
    """Return lists that one process each can work through before patience with it ends."""
    return [items[at : at + 25] for at in range(0, len(items), 25)]


@pytest.mark.parametrize("begun", ["fresh", "damaged"])
def test_d2_a_kill_before_any_file_call_and_in_the_middle_of_any_write(
    server: Server, folder: Path, scale: Scale, tally: Tally, begun: str
) -> None:
    """The first save, one with others before it, one that prunes, and one onto a damaged one of the same iteration."""
    words = write_recipe(folder, tiny(**HARD) if scale.size == "nightly" else short(snapshot={"generators": 1}))
    expected = undisturbed(server, folder, words)
    template = folder / "template"
    template.mkdir()
    if begun == "damaged":
        damaged(server, template, words)
    counted = folder / "counted"
    shutil.copytree(template, counted)
    calls = file_calls(server, counted, words)
    assert bits(counted / "run") == expected
    numbers = chosen(calls, scale, begun)
    cases = [(at, "tear") for at in numbers if calls[at - 1].startswith("write ")]
    if scale.size == "quick":
        numbers = [at for at in numbers if at == 1 or calls[at - 2].split()[0] not in CHANGE_NOTHING]
    cases += [(at, "kill") for at in numbers]
    places = []
    for at, way in cases:
        place = folder / f"{way}-{at}"
        shutil.copytree(template, place)
        ended = server.call("hurt", at, way, *words, folder=place)
        assert ended.code == -signal.SIGKILL, f"{calls[at - 1]}: {ended}"
        places.append(place)
    repeated = []
    for some in portions(places):
        ended = server.call("repeat", [str(place) for place in some], *words, "--out", "run", folder=folder)
        assert ended.code == 0, ended.err
        repeated += json.loads((some[-1] / "ended.json").read_text())
    for (at, way), place, (code, said) in zip(cases, places, repeated, strict=True):
        where = f"{way} at call {at}, {calls[at - 1]}: {said}"
        assert code == 0, where
        assert bits(place / "run") == expected, where
        assert not leftovers(place / "run"), where
    tally("kills", len(cases))
    tally("kills inside a save", sum("checkpoints" in calls[at - 1] for at, _ in cases))


ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT)


@pytest.mark.parametrize("begun", ["fresh", "damaged"])
def test_d3_any_file_call_may_fail(server: Server, folder: Path, scale: Scale, tally: Tally, begun: str) -> None:
    """The run ends with exit 1 and one message, or has lost nothing; the same command then ends as if undisturbed."""
    words = write_recipe(folder, tiny(**HARD) if scale.size == "nightly" else short(snapshot={"generators": 1}))
    expected = undisturbed(server, folder, words)
    template = folder / "template"
    template.mkdir()
    if begun == "damaged":
        damaged(server, template, words)
    counted = folder / "counted"
    shutil.copytree(template, counted)
    calls = file_calls(server, counted, words)
    cases = []
    for at in chosen(calls, scale, begun):
        for error in ERRORS if scale.size == "nightly" else (ERRORS[at % len(ERRORS)],):
            place = folder / f"{at}-{error}"
            shutil.copytree(template, place)
            cases.append((str(place), at, error))
    happened = []
    for some in portions(cases):
        ended = server.call("refuse", some, *words, folder=folder)
        assert ended.code == 0, ended.err
        happened += json.loads((Path(some[-1][0]) / "refused.json").read_text())
    for (case, at, error), result in zip(cases, happened, strict=True):
        where = f"{os.strerror(error)} at call {at}, {result['failed']}: {result}"
        code, said = result["first"]
        assert "Traceback" not in said, where
        assert len(said.splitlines()) <= TOLD, where
        if code == 0:
            assert expected.items() <= result["between"].items(), where
        else:
            assert code == 1, where
            assert os.strerror(error) in said, where
            if error in (errno.ENOSPC, errno.EDQUOT) and result["failed"].split()[0] in ("write", "flush", "close"):
                assert "bytes are free" in said or "/lock" in result["failed"], where
        code, said = result["second"]
        assert code == 0, where
        assert bits(Path(case) / "run") == expected, where
        assert not leftovers(Path(case) / "run"), where
    tally("file calls failed", len(cases))


def test_d1_a_kill_at_any_time(server: Server, tmp_path: Path, scale: Scale, tally: Tally) -> None:
    """Every second kill waits for the next save and comes in the middle of it."""
    dice = random.Random(2026)
    hard = tiny(
        **HARD, train={"iterations": 24}, snapshot={"every_iterations": 1}, observers={"plot": False, "gif": False}
    )
    words = write_recipe(tmp_path, hard)
    began = time.monotonic()
    expected = undisturbed(server, tmp_path, words)
    seconds = time.monotonic() - began
    kills = inside = runs = 0
    least = scale(12, 25, 300)

    def more() -> bool:
        return kills < least or (inside < 0.3 * kills and kills < 4 * least)

    while more():
        runs += 1
        place = tmp_path / f"{runs}"
        place.mkdir()
        while True:
            child = server.start("command", *words, "--out", "run", folder=place)
            time.sleep(dice.uniform(0.0, 0.5 * seconds))
            if kills % 2:
                wait_for_save(child, place / "run" / ".ganlab/tmp", dice)
            if more():
                os.kill(child.pid, signal.SIGKILL)
            ended = child.wait()
            if ended.code != -signal.SIGKILL:
                break
            kills += 1
            inside += any((place / "run" / ".ganlab/tmp").glob("*-checkpoints-*"))
        assert ended.code == 0, ended.err
        assert bits(place / "run") == expected
        assert not leftovers(place / "run")
    assert inside >= 0.3 * kills, f"only {inside} of {kills} kills came inside a save"
    tally("kills", kills)
    tally("kills inside a save", inside)


def wait_for_save(child: Child, workplace: Path, dice: random.Random) -> None:
    """Return at some moment of the next save, or when there is none to come."""
    left = dice.randrange(3)  # how many looks later
    while child.is_alive():
        with suppress(FileNotFoundError):
            if any("-checkpoints-" in name for name in os.listdir(workplace)):
                if left == 0:
                    return
                left -= 1
