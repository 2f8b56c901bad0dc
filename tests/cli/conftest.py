from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from toys import Stripes, tiny

import ganlab
from ganlab.recipe.recipe import load_recipe
from ganlab.recipe.toml import dumps
from ganlab.registry import registry


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
