"""`ganlab bench` as a user types it: a table that fits, JSON, mistakes in one line, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from measurement import REPORT
from rich.console import Console
from torch import nn
from toys import tiny

from ganlab import Batch, Iteration, Update
from ganlab.cli import main
from ganlab.cli.bench import show
from ganlab.recipe.toml import dumps
from ganlab.registry import registry
from ganlab.standard.losses.bce import BCE


def bench(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    """Run the command in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["ganlab", "bench", *words])
    try:
        main()
    except SystemExit as ended:
        return ended.code
    return 0


@pytest.mark.parametrize("width", [40, 80])
def test_the_table_fits_the_terminal_and_loses_nothing(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    show(REPORT, Console(width=width, highlight=False))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    words = " ".join(shown.split())
    for part in (
        "64 (50 to 70)",
        "1,000 (900 to 1,280)",
        "50%",
        "convolution",
        "bf16 is 1.8 times",
        "900 MB",
        "3.8 s",
        "eagerly",
    ):
        assert all(word in words for word in part.split()), part


def test_beside_others_the_table_says_who_is_to_blame_and_advises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    crowded = replace(REPORT, crowded="other processes keep 1.9 of 2 cores busy")
    show(crowded, Console(width=80, highlight=False))
    words = " ".join(capsys.readouterr().out.split())
    assert "limited by other processes keep 1.9 of 2 cores busy; measure again when the machine is idle" in words
    assert "arithmetic and memory" not in words
    assert "times as fast" not in words


def test_it_prints_json_and_writes_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("toy.toml").write_text(dumps(tiny()))
    monkeypatch.setattr("ganlab.hardware.device._cpu_has_bf16", lambda: True)
    assert bench(monkeypatch, "toy.toml", "--seconds", "1", "--json", "--set", "train.batch_size=32") == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert (found["recipe"], found["batch_size"], found["pictures"]) == ("toy", 32, [40, 1, 8, 8])
    assert 0 < found["floor_share"] < 1
    assert 0 <= found["data_share"] < 1
    assert printed.err.splitlines()[-2:] == ["measuring the peak ...", "measuring bf16 ..."]
    assert found["lower_precision"]["times_as_fast"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "toy.toml"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.toml"], "nowhere.toml"),
        (["quickstart", "--set", "train.batchsize=3"], "did you mean batch_size?"),
        (["quickstart", "--device", "tpu"], "train.device"),
        (["toy.toml", "--set", "dataset.count=0"], "has no pictures"),
        (["quickstart", "--seconds", "0"], "--seconds"),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    Path("toy.toml").write_text(dumps(tiny()))
    assert bench(monkeypatch, *words) == 2
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if line.startswith(("ganlab: ", "Error: ", "Traceback"))]
    assert told == lines[-1:]
    assert message in told[0]


class Interrupted(BCE):
    """Presses Ctrl-C at its third iteration."""

    api = 1

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        CALLS.append(1)
        if len(CALLS) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return super().updates(networks, batches, iteration)


CALLS: list[int] = []


def test_ctrl_c_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    registry.add("loss", "interrupted", Interrupted)
    try:
        Path("toy.toml").write_text(dumps(tiny(loss={"name": "interrupted"})))
        assert bench(monkeypatch, "toy.toml", "--seconds", "600") == 130
    finally:
        registry.remove("loss", "interrupted")
    assert len(CALLS) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-1].startswith("ganlab: stopped by Ctrl-C")
    assert "Traceback" not in printed.err
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "toy.toml"}
