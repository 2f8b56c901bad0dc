from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from command_line import Command, Ended
from toys import Stripes, tiny

import ganlab
from ganlab.cli import main
from ganlab.recipe.recipe import load_recipe
from ganlab.recipe.toml import dumps
from ganlab.registry import registry


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs `ganlab` with arguments in this process."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ganlab", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        assert isinstance(code, int)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Return the path of a small recipe, in the current folder."""
    path = tmp_path / "toy.toml"
    path.write_text(dumps(tiny()))
    return path


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GANLAB_CACHE", str(folder / "cache"))
        Path("toy.toml").write_text(dumps(tiny()))
        registry.add("dataset", "stripes", Stripes)
        ganlab.train(load_recipe(Path("toy.toml")))
    return folder / "runs"


@pytest.fixture
def trained(_trained: Path) -> Path:
    """Return the directory of a run of `recipe`, the only one that the current folder knows."""
    shutil.copytree(_trained, "runs")
    return Path("runs/toy/0001")
