"""`ganlab plugins new`: what it writes, what it says, and what it does without."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Command

from ganlab.registry.kinds import KINDS


def test_it_writes_a_model_and_says_what_to_do_next(command: Command) -> None:
    ended = command("plugins", "new", "ripples")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "ripples/pyproject.toml",
        "ripples/ganlab_ripples/__init__.py",
        "ripples/ganlab_ripples/model.py",
        "ripples/tests/test_ripples.py",
        "ripples/recipes/ripples.toml",
        "ripples/README.md",
        "ripples/.gitignore",
        "Next:",
        '  pip install -e "ripples[test]"',
        "  pytest ripples",
        "  ganlab run ripples/recipes/ripples.toml",
    ]
    assert {str(path) for path in Path("ripples").rglob("*") if path.is_file()} == set(ended.out.splitlines()[:7])


def test_it_offers_every_kind(command: Command) -> None:
    ended = command("plugins", "new", "waves", "--kind", "sampler")
    assert ended.code == 2
    assert all(f"'{kind}'" in ended.err for kind in KINDS)


def test_a_name_that_will_not_do_ends_in_one_message_and_exit_2(command: Command) -> None:
    ended = command("plugins", "new", "dcgan")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith('ganlab: model "dcgan" (ganlab ')
    assert not Path("dcgan").exists()


def test_it_needs_neither_the_network_nor_torch(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert command("plugins", "new", "waves", *(word for kind in KINDS for word in ("--kind", kind))).code == 0
    code = (
        "import sys; from ganlab.scaffold import write_plugin; write_plugin('again'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_several_kinds_can_have_names_of_their_own(command: Command) -> None:
    assert command("plugins", "new", "energy", "--kind", "model", "--kind", "loss=margin").code == 0
    pyproject = Path("energy/pyproject.toml").read_text()
    assert 'energy = "ganlab_energy.model:EnergyModel"' in pyproject
    assert 'margin = "ganlab_energy.loss:MarginLoss"' in pyproject
    twice = command("plugins", "new", "waves", "--kind", "loss=a", "--kind", "loss=b")
    assert (twice.code, twice.err) == (
        2,
        "ganlab: --kind loss is given twice; begin with one, and add the other beside it\n",
    )
    bad = command("plugins", "new", "waves", "--kind", "loss=")
    assert bad.code == 2
    assert bad.err.startswith('ganlab: "" is not a name for a plugin')
