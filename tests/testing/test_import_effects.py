"""What importing a module does: told of in words, by a process that has imported nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ganlab.testing.import_effects import Found, probed

Effects = Callable[[str, str], Found | None]


@pytest.fixture
def effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Effects:
    """Return a function that writes a module of statements, and returns what importing it does."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, statements: str) -> Found | None:
        (tmp_path / f"{name}.py").write_text(statements + "\n")
        return probed(name)

    return write


@pytest.mark.parametrize(
    ("name", "statements", "effect"),
    [
        ("python", "import random; random.seed(0)", "seeds or draws from Python's random"),
        ("numpy", "import numpy; numpy.random.rand()", "seeds or draws from numpy.random"),
        ("printing", "print('hello')", "prints"),
        ("environment", "import os; os.environ['MKL_NUM_THREADS'] = '1'", "changes environment variables"),
        ("warning", "import warnings; warnings.simplefilter('ignore')", "changes which warnings are shown"),
        ("file", "import tempfile; tempfile.mkdtemp()", "changes files"),
        ("folder", "import os; os.chdir('/')", "changes the current directory"),
        ("signal", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)", "changes how signals are handled"),
        (
            "network",
            "import socket; own = socket.socket(socket.AF_UNIX); own.connect_ex('/nowhere'); own.close()",
            "opens a network connection",
        ),
    ],
)
def test_an_effect_is_found(effects: Effects, name: str, statements: str, effect: str) -> None:
    assert effects(f"imported_{name}", statements) == Found(torch=False, effects=(effect,))


def test_another_program_and_torch_are_found(effects: Effects) -> None:
    statements = "import subprocess, torch; subprocess.run(['true']); torch.manual_seed(0)"
    found = effects("imported_programs", statements)
    assert found is not None
    assert found.torch
    assert {"starts another program", "seeds or draws from torch"} <= set(found.effects)


def test_what_a_module_needs_is_not_its_doing(effects: Effects, tmp_path: Path) -> None:
    (tmp_path / "imported_beside.py").write_text("import os; os.chdir('/'); print('hello')\n")
    assert effects("imported_needing", "import imported_beside") == Found(False, ())


def test_a_module_is_imported_where_nothing_of_ganlab_is(effects: Effects) -> None:
    statements = "import sys; assert not {'ganlab', 'pydantic', 'torch'} & sys.modules.keys()"
    assert effects("imported_alone", statements) == Found(False, ())


def test_what_no_other_process_can_import_is_not_known(effects: Effects) -> None:
    assert probed("__notebook__") is None
    assert effects("imported_brokenly", "raise ValueError") is None
