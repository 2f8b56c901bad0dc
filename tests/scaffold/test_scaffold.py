"""`ganlab plugins new`: what it writes works as it stands, and what is there is left as it is."""

from __future__ import annotations

import os
import re
import resource
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import ganlab
from ganlab.cli.plugins.new import KINDS, new
from ganlab.errors import GanlabError, RunError
from ganlab.generator.export import export
from ganlab.recipe.recipe import load_recipe
from ganlab.registry import registry
from ganlab.registry.kinds import GROUPS
from ganlab.scaffold import write_plugin
from ganlab.scaffold.texts import TEMPLATES

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "pyproject.toml"


def command(*arguments: str) -> Result:
    return CliRunner().invoke(new, arguments)


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


def test_the_command_writes_a_model_and_says_what_to_do_next() -> None:
    ended = command("ripples")
    assert ended.exit_code == 0
    assert ended.output.splitlines() == [
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
    project = tomllib.loads(Path("ripples/pyproject.toml").read_text())
    assert project["build-system"]["build-backend"] == "hatchling.build"
    assert project["project"]["name"] == "ganlab-ripples"
    assert project["project"]["dependencies"] == ["ganlab"]
    assert project["project"]["entry-points"] == {"ganlab.models": {"ripples": "ganlab_ripples.model:RipplesModel"}}
    assert "test_model = contract(RipplesModel)\n" in Path("ripples/tests/test_ripples.py").read_text()
    written = {str(path) for path in Path("ripples").rglob("*") if path.is_file()}
    assert written == set(ended.output.splitlines()[:7])


def test_every_kind_at_once_trains_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_plugin("two-waves", GROUPS.values()).folder
    assert set(offered(folder)) == set(GROUPS.values())
    with installed(folder, monkeypatch):
        overrides = ["train.iterations=2", "train.device=cpu", "dataset.resolution=8", "observers.terminal=false"]
        recipe = load_recipe(folder / "recipes/two_waves.toml", overrides)
        components = (recipe.model, recipe.dataset, recipe.loss, recipe.augmentation, recipe.observers["two_waves"])
        assert [type(component).__name__ for component in components] == [
            "TwoWavesModel",
            "TwoWavesDataset",
            "TwoWavesLoss",
            "TwoWavesAugmentation",
            "TwoWavesObserver",
        ]
        run = ganlab.train(recipe, out=tmp_path / "run")
        assert run.iterations == 2
        width, height = size(max((run.directory / "samples").iterdir()))
        assert size(run.directory / "latest.png") == (3 * width, 3 * height)

        small, usual = export(run.directory, "two_waves"), export(run.directory, "onnx")
        assert small.path == run.directory / "generator.half.onnx"
        assert 0 < small.max_difference < 1e-2
        assert small.bytes < 0.6 * usual.bytes
        assert str(ROOT).encode() not in small.path.read_bytes()
        pictures = [ganlab.load_generator(path).sample(range(4)).astype(int) for path in (small.path, usual.path)]
        assert pictures[0].shape == (4, 8, 8, 3)
        assert np.abs(pictures[0] - pictures[1]).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_is_short_clean_and_makes_a_recipe(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"lone-{kind}"
    written = write_plugin(name, [kind])
    module = (written.folder / f"ganlab_lone_{kind}" / f"{kind}.py").read_text()
    assert len([line for line in module.splitlines() if line.strip()]) < 40
    for action in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *action, "--no-cache", "--config", str(CONFIGURATION), "."]
        ended = subprocess.run(ruff, cwd=written.folder, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout
    with installed(written.folder, monkeypatch):
        table = load_recipe(written.folder / f"recipes/lone_{kind}.toml").table
    uses = {other: table[other]["name"] for other in ("model", "dataset", "loss", "augmentation") if other in table}
    usual = {"model": "dcgan", "dataset": "fashion_mnist", "loss": "bce"}
    assert uses == (usual if kind in ("exporter", "observer") else usual | {kind: f"lone_{kind}"})
    assert ("lone_observer" in table["observers"]) == (kind == "observer")


def test_the_default_model_s_module_is_under_40_lines_with_blank_ones() -> None:
    write_plugin("waves")
    assert len(Path("waves/ganlab_waves/model.py").read_text().splitlines()) < 40


def test_the_model_refuses_sides_that_it_cannot_build(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_plugin("sides").folder
    with installed(folder, monkeypatch):
        expected = r"30x30 does not fit: take multiples of 4, such as 28 or 32"
        with pytest.raises(GanlabError, match=expected):
            load_recipe(folder / "recipes/sides.toml", ["dataset.resolution=30"])


@pytest.mark.parametrize(
    ("name", "component", "package", "class_name"),
    [
        ("waves", "waves", "ganlab_waves", "WavesModel"),
        ("ganlab-waves", "waves", "ganlab_waves", "WavesModel"),
        ("ganlab_long_waves", "long_waves", "ganlab_long_waves", "LongWavesModel"),
        ("long-waves2", "long_waves2", "ganlab_long_waves2", "LongWaves2Model"),
        ("class", "class", "ganlab_class", "ClassModel"),
        ("none", "none", "ganlab_none", "NoneModel"),
    ],
)
def test_one_name_gives_all_names(
    name: str, component: str, package: str, class_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_plugin(name)
    assert written.folder == Path(name)
    project = tomllib.loads((written.folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == package.replace("_", "-")
    assert project["entry-points"] == {"ganlab.models": {component: f"{package}.model:{class_name}"}}
    for path in written.files:
        if path.suffix == ".py":
            compile((written.folder / path).read_text(), str(path), "exec")


RULE = "a letter, then letters, digits and single - or _ between them, all in lower case, 40 at most"


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["Waves"], f'"Waves" is not a name for a plugin: that is {RULE}; did you mean waves\\?'),
        (["my waves"], f'"my waves" is not a name for a plugin: that is {RULE}; did you mean my-waves\\?'),
        (["3d"], f'"3d" is not a name for a plugin: that is {RULE}'),
        (["../waves"], f'"\\.\\./waves" is not a name for a plugin: that is {RULE}'),
        (["a" * 41], f'"{"a" * 41}" is not a name for a plugin: that is {RULE}'),
        (["ganlab-3d"], f'"ganlab-3d" is not a name for a plugin: that is {RULE}'),
        (["dcgan"], r'model "dcgan" \(ganlab .*\) is installed already; choose another name'),
        (["stripes", "--kind", "dataset"], r'dataset "stripes" \(.*\) is installed already; choose another name'),
        (["dcgan", "--kind", "loss"], "Python finds a package ganlab_dcgan already; choose another name"),
        (["ganlab"], r"the distribution ganlab \S+ is installed already; choose another name"),
        (["pytest"], r"the distribution pytest \S+ is installed already; choose another name"),
        (["there"], "there exists; choose another name, or do this in another folder"),
    ],
)
def test_a_name_that_will_not_do_is_refused_in_a_sentence(arguments: list[str], pattern: str) -> None:
    Path("there").mkdir()
    ended = command(*arguments)
    assert isinstance(ended.exception, GanlabError)
    assert ended.exception.exit_code == 2
    assert re.fullmatch(pattern, str(ended.exception)), ended.exception
    assert os.listdir() == ["there"]
    assert os.listdir("there") == []


def test_nothing_is_overwritten() -> None:
    command("waves")
    Path("waves/ganlab_waves/model.py").write_text("mine")
    ended = command("waves", "--kind", "loss")
    assert str(ended.exception) == "waves exists; choose another name, or do this in another folder"
    assert Path("waves/ganlab_waves/model.py").read_text() == "mine"
    assert not Path("waves/ganlab_waves/loss.py").exists()
    Path("dangling").symlink_to("nowhere")
    assert isinstance(command("dangling").exception, GanlabError)


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


def test_it_needs_neither_the_network_nor_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert command("waves", *(word for kind in KINDS for word in ("--kind", kind))).exit_code == 0
    code = (
        "import sys; from ganlab.scaffold import write_plugin; write_plugin('again'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_offers_every_kind_and_every_template_is_used() -> None:
    assert set(KINDS) == set(GROUPS.values())
    files = {"pyproject.toml", "init.py", "test.py", "recipe.toml", "README.md", "gitignore"}
    assert {path.name for path in TEMPLATES.iterdir()} == {f"{name}.txt" for name in files | {f"{k}.py" for k in KINDS}}
    assert command("waves", "--kind", "optimizer").exit_code == 2
