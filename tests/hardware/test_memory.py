"""Too little memory, asked for in earnest: more than any machine has, of everybody who hands it out."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import outside
from toys import tiny

import ganlab
from ganlab import GanlabError
from ganlab.hardware.memory import memory_errors, ran_out

ASKED: dict[str, Callable[[], Any]] = {
    "Python": lambda: bytearray(2**60),
    "numpy": lambda: np.ones(2**58),
    "torch": lambda: torch.empty(2**55),
    "torch's count of bytes": lambda: torch.empty(2**62),
    "torch's count of numbers": lambda: torch.empty(2**40, 2**40),
    "the system": lambda: mmap.mmap(-1, 2**55),
}


@pytest.mark.parametrize("whose", ASKED)
def test_whoever_has_none_to_give_is_understood(whose: str) -> None:
    with pytest.raises(GanlabError, match="less is needed"), memory_errors(lambda: "less is needed"):
        ASKED[whose]()


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), OSError(errno.ENOENT, "memory"), ValueError("memory")]
)
def test_other_errors_are_left_alone(error: Exception) -> None:
    assert not ran_out(error)
    with pytest.raises(type(error)) as raised, memory_errors(lambda: "less is needed"):
        raise error
    assert raised.value is error


def test_networks_that_fit_nowhere_are_refused_in_one_sentence() -> None:
    """From Python and from the command line, to train and to measure."""
    with pytest.raises(GanlabError) as raised:
        ganlab.train(tiny(model={"base_channels": 10**9}))
    assert str(raised.value) == (
        "out of memory at this work: building the networks; smaller networks, pictures or batches need less"
    )
    assert not Path("runs").exists()
    Path("r.toml").write_text(
        '[model]\nname = "dcgan"\nbase_channels = 1_000_000_000\n[dataset]\nname = "stripes"\n[train]\nbatch_size = 8\n'
    )
    said_of = {
        "run": " at this work: building the networks; smaller networks, pictures or batches need less",
        "bench": "; smaller networks and pictures need less, or --set train.batch_size=4",
    }
    for verb, remedy in said_of.items():
        process = outside(verb, "r.toml")
        _, said = process.communicate()
        assert process.returncode == 1
        assert said.splitlines()[-1] == f"ganlab: out of memory{remedy}"
        assert "Traceback" not in said
