"""A plugin to start from: what is written works as it stands, and what is there is left as it is."""

from __future__ import annotations

import os
import re
import resource
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ganlab
from ganlab.errors import GanlabError, RunError
from ganlab.generator.export import export
from ganlab.recipe.recipe import load_recipe
from ganlab.registry import registry
from ganlab.registry.kinds import GROUPS
from ganlab.scaffold import write_plugin

ROOT = Path(__file__).parents[2]


def offered(folder: Path) -> dict[str, EntryPoint]:
    """Return what a plugin's pyproject.toml offers, by kind."""
    groups = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["entry-points"]
    return {
        GROUPS[group]: EntryPoint(name, target, group)
        for group, points in groups.items()
        for name, target in points.items()
    }


@contextmanager
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make a plugin's components known, as an installation would."""
    monkeypatch.syspath_prepend(folder)
    points: dict[Any, EntryPoint] = offered(folder)
    for kind, point in points.items():
        registry.add(kind, point.name, point.load())
    yield
    for kind, point in points.items():
        registry.remove(kind, point.name)


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_the_files_lie_in_a_new_folder_in_the_order_to_read_them() -> None:
    written = write_plugin("ganlab-waves")
    assert written.folder == Path("ganlab-waves")
    assert list(map(str, written.files)) == [
        "pyproject.toml",
        "ganlab_waves/__init__.py",
        "ganlab_waves/model.py",
        "tests/test_waves.py",
        "recipes/waves.toml",
        "README.md",
        ".gitignore",
    ]
    found = {path.relative_to(written.folder) for path in written.folder.rglob("*") if path.is_file()}
    assert found == set(written.files)


def test_every_kind_at_once_trains_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_plugin("two-waves", GROUPS.values()).folder
    assert set(offered(folder)) == set(GROUPS.values())
    dataset = folder / "ganlab_two_waves" / "dataset.py"
    assert dataset.read_text().count("return 10_000") == 1
    dataset.write_text(dataset.read_text().replace("return 10_000", "return 200"))  # which are drawn sooner
    with installed(folder, monkeypatch):
        overrides = ["train.iterations=2", "train.device=cpu", "dataset.resolution=8", "observers.terminal=false"]
        recipe = load_recipe(folder / "recipes/two_waves.toml", overrides)
        components = [*recipe.components.values(), recipe.observers["two_waves"]]
        assert [type(component).__name__ for component in components] == [
            "TwoWavesModel",
            "TwoWavesDataset",
            "TwoWavesLoss",
            "TwoWavesAugmentation",
            "TwoWavesOptimizer",
            "TwoWavesObserver",
        ]
        run = ganlab.train(recipe, out=tmp_path / "run")
        assert run.iterations == 2
        width, height = size(max((run.directory / "samples").iterdir()))
        assert size(run.directory / "latest.png") == (3 * width, 3 * height)

        small = export(run.directory, "two_waves")
        assert small.path == run.directory / "generator.half.onnx"
        assert 0 < small.max_difference < 1e-2
        assert small.bytes < 0.6 * run.generator.stat().st_size
        assert str(ROOT).encode() not in small.path.read_bytes()
        pictures = [ganlab.load_generator(path).sample(range(4)).astype(int) for path in (small.path, run.generator)]
        assert pictures[0].shape == (4, 8, 8, 3)
        assert np.abs(pictures[0] - pictures[1]).max() <= 1


@pytest.mark.parametrize("kind", GROUPS.values())
def test_each_kind_alone_makes_a_recipe(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_plugin(f"lone-{kind}", [kind])
    with installed(written.folder, monkeypatch):
        table = load_recipe(written.folder / f"recipes/lone_{kind}.toml").table
    uses = {
        other: table[other]["name"]
        for other in ("model", "dataset", "loss", "augmentation", "optimizer")
        if other in table
    }
    usual = {"model": "dcgan", "dataset": "fashion_mnist", "loss": "bce", "optimizer": "adam"}
    assert uses == (usual if kind in ("exporter", "metric", "observer") else usual | {kind: f"lone_{kind}"})
    assert ("lone_observer" in table["observers"]) == (kind == "observer")


def test_the_model_refuses_sides_that_it_cannot_build(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_plugin("sides").folder
    with installed(folder, monkeypatch):
        expected = r"30x30 does not fit: take multiples of 4, such as 28 or 32"
        with pytest.raises(GanlabError, match=expected):
            load_recipe(folder / "recipes/sides.toml", ["dataset.resolution=30"])


@pytest.mark.parametrize(
    ("name", "kind", "pattern"),
    [
        ("dcgan", "model", r'model "dcgan" \(ganlab .*\) is installed already; choose another name'),
        ("stripes", "dataset", r'dataset "stripes" \(.*\) is installed already; choose another name'),
        ("dcgan", "loss", "Python finds a package ganlab_dcgan already; choose another name"),
        ("there", "model", "there exists; choose another name, or do this in another folder"),
        ("dangling", "model", "dangling exists; choose another name, or do this in another folder"),
        ("Waves", "model", r'"Waves" is not a name for a plugin: .*; did you mean waves\?'),
    ],
)
def test_a_name_that_is_taken_is_refused_and_nothing_written(name: str, kind: Any, pattern: str) -> None:
    Path("there").mkdir()
    Path("dangling").symlink_to("nowhere")
    with pytest.raises(GanlabError) as caught:
        write_plugin(name, [kind])
    assert re.fullmatch(pattern, str(caught.value))
    assert sorted(os.listdir()) == ["dangling", "there"]
    assert os.listdir("there") == []


def test_nothing_is_overwritten() -> None:
    write_plugin("waves")
    Path("waves/ganlab_waves/model.py").write_text("mine")
    with pytest.raises(GanlabError, match=r"^waves exists; choose another name, or do this in another folder$"):
        write_plugin("waves", ["loss"])
    assert Path("waves/ganlab_waves/model.py").read_text() == "mine"
    assert not Path("waves/ganlab_waves/loss.py").exists()


def test_a_disk_that_refuses_leaves_nothing() -> None:
    with pytest.raises(RunError, match=r"cannot make the folder nowhere/waves: No such file or directory"):
        write_plugin("waves", parent=Path("nowhere"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # the first file fits, the model's does not
    try:
        with pytest.raises(RunError, match=r"cannot write waves/ganlab_waves/model\.py: File too large"):
            write_plugin("waves")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir() == []


@pytest.mark.parametrize("name", ["onnx", "pydantic"])
def test_a_plugin_may_be_called_like_the_library_that_it_is_for(name: str) -> None:
    folder = write_plugin(name, ["observer"]).folder
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"ganlab-{name}"


def test_a_name_of_its_own_that_is_taken_is_refused() -> None:
    with pytest.raises(GanlabError, match=r'loss "bce" \(ganlab .*\) is installed already; choose another name'):
        write_plugin("waves", {"model": "waves", "loss": "bce"})
    assert not Path("waves").exists()
