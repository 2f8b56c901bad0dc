"""The wheel: what is in it, and that the recipes and the reference plugin are found from it as from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and unpack it, as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("ganlab-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def ganlab(installed: Path, *arguments: str) -> str:
    # -S: without site-packages the checkout's editable install is out of reach; the libraries are put back by name.
    libraries = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), *libraries])}
    command = [sys.executable, "-S", "-m", "ganlab", *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_the_wheel_holds_what_a_user_needs_and_nothing_of_ours(installed: Path) -> None:
    for path in (
        "ganlab/py.typed",
        "ganlab/recipes/quickstart.toml",
        "ganlab/standard/datasets/fashion_mnist/t10k-images-idx3-ubyte.gz",
        "ganlab/standard/datasets/fashion_mnist/LICENSE",
        "ganlab_dcgan/__init__.py",
        "ganlab_dcgan/py.typed",
        "ganlab_diffaugment/__init__.py",
        "ganlab_diffaugment/py.typed",
    ):
        assert (installed / path).is_file(), path
    packages = {"ganlab", "ganlab_dcgan", "ganlab_diffaugment"}
    assert {path.name for path in installed.iterdir()} == packages | {"ganlab-0.1.0.dist-info"}
    for recipe in (ROOT / "recipes").glob("*.toml"):
        assert (installed / "ganlab" / "recipes" / recipe.name).read_bytes() == recipe.read_bytes()


def test_recipes_are_found_by_name_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert "quickstart" in ganlab(installed, "recipes")
    found = ganlab(installed, "recipes", "check", "dcgan_mnist")
    assert found == f"{installed}/ganlab/recipes/dcgan_mnist.toml: no mistakes found\n"
    ganlab(installed, "recipes", "copy", "dcgan_mnist", ".")
    shipped = (ROOT / "recipes/dcgan_mnist.toml").read_text()
    assert (tmp_path / "dcgan_mnist.toml").read_text() == shipped.removeprefix("#:schema ganlab.schema.json\n")
    assert (installed / "ganlab/recipes/ganlab.schema.json").exists()


def test_the_reference_plugin_comes_with_the_wheel(installed: Path) -> None:
    assert "dcgan" in ganlab(installed, "plugins")
