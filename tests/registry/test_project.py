"""A plugin's folder that is not installed: what its pyproject.toml offers, found as if it were."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from distributions import MODEL, put

from ganlab.errors import PluginError
from ganlab.registry import registry
from ganlab.registry.project import Project, offered, read_project

PYPROJECT = """
    [project]
    name = "ganlab-Toy"
    version = "1.2"

    [project.entry-points."ganlab.models"]
    toy = "project_toy:Toy"

    [project.entry-points.console_scripts]
    toy = "project_toy:main"
"""


def written(folder: Path, pyproject: str = PYPROJECT, place: str = "project_toy.py") -> Path:
    """Write a plugin's folder."""
    (folder / place).parent.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(dedent(pyproject))
    (folder / place).write_text(dedent(MODEL))
    return folder


@pytest.fixture(autouse=True)
def _as_before(site: Path) -> Iterator[None]:
    """Leave nothing of what these tests install in the registry."""
    yield
    sys.path.remove(str(site))
    registry.scan()


def test_a_pyproject_says_who_offers_what_and_where_it_lies(tmp_path: Path) -> None:
    folder = written(tmp_path / "toy")
    assert read_project(folder) == Project(
        folder, "ganlab-Toy", "1.2", {"ganlab.models": {"toy": "project_toy:Toy"}}, (folder,)
    )
    assert read_project(written(tmp_path / "other", PYPROJECT.replace('version = "1.2"', ""))).version == "0"


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("project_toy.py", ""),
        ("project_toy/__init__.py", ""),
        ("src/project_toy/__init__.py", ""),
        ("lib/project_toy/__init__.py", '[tool.hatch.build.targets.wheel]\npackages = ["lib/project_toy"]'),
    ],
)
def test_its_components_are_those_of_the_registry_for_a_while(tmp_path: Path, place: str, told: str) -> None:
    folder = written(tmp_path / "toy", dedent(PYPROJECT) + told, place)
    before, path = registry.providers(), list(sys.path)
    with offered(read_project(folder)) as (provider,):
        assert provider.title == 'model "toy" (ganlab-Toy 1.2)'
        assert registry.get("model", "toy").__module__ == "project_toy"
        assert sys.modules["project_toy"].__file__ == str(folder / place)
        assert "dcgan" in registry.names("model"), "what is ganlab's own is there beside it"
    assert (registry.providers(), sys.path) == (before, path)
    assert "toy" not in registry.names("model")


def test_an_installed_copy_is_passed_over(tmp_path: Path, site: Path) -> None:
    put(site, "ganlab-toy", "[ganlab.models]\nold = project_toy:Toy\n", version="0.9")
    (site / "project_toy.py").write_text("raise ValueError('the installed one')")
    with offered(read_project(written(tmp_path / "toy"))) as providers:
        assert [(who.name, who.version) for who in providers] == [("toy", "1.2")]
        assert registry.get("model", "toy")
    assert "old" in registry.names("model")


def test_everything_is_as_before_whatever_happens_meanwhile(tmp_path: Path) -> None:
    before, path = registry.providers(), list(sys.path)
    with pytest.raises(ZeroDivisionError), offered(read_project(written(tmp_path / "toy"))):
        raise ZeroDivisionError
    assert (registry.providers(), sys.path) == (before, path)


@pytest.mark.parametrize(
    ("pyproject", "sentence"),
    [
        ("[project", "is not TOML: Expected ']' at the end of a table declaration (at end of document)"),
        ("[project]\nversion = '1'", 'has no [project] with a name: write name = "ganlab-..."'),
        ("project = 3", 'has no [project] with a name: write name = "ganlab-..."'),
        ("[project]\nname = 'toy'", "offers no component: name each under its kind"),
        (PYPROJECT.replace("ganlab.models", "others.models"), "offers no component: name each under its kind"),
    ],
)
def test_a_pyproject_that_offers_nothing_says_why(tmp_path: Path, pyproject: str, sentence: str) -> None:
    folder = written(tmp_path / "toy", pyproject)
    with pytest.raises(PluginError) as caught:
        read_project(folder)
    assert str(caught.value).startswith(f"{folder}/pyproject.toml")
    assert sentence in str(caught.value)


def test_a_folder_without_a_pyproject_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError) as caught:
        read_project(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/pyproject.toml cannot be read: No such file or directory; name the folder of a plugin, or a "
        "component"
    )


def test_a_module_that_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "toy", PYPROJECT.replace("project_toy:", "json:"))
    before, path = registry.providers(), list(sys.path)
    with pytest.raises(PluginError) as caught, offered(read_project(folder)):
        pass
    assert str(caught.value) == (f'{folder}/pyproject.toml: model "toy" is json:Toy, but there is no json in {folder}')
    assert (registry.providers(), sys.path) == (before, path)


@pytest.mark.parametrize("special", ["pipe", "/dev/zero"])
def test_a_pipe_or_a_device_for_a_pyproject_is_not_waited_for(special: str, tmp_path: Path) -> None:
    os.mkfifo("pipe")
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/pyproject.toml").symlink_to(Path(special).absolute())
    with pytest.raises(
        PluginError, match=r"toy/pyproject\.toml cannot be read: it is a pipe or a device, not a file; name"
    ):
        read_project(tmp_path / "toy")
