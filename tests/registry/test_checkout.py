"""What is not installed, but lies in the checkout: the command that installs it is one that works."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from distributions import only, refusal

from ganlab.registry.checkout import PLUGINS, how_to_install
from ganlab.registry.kinds import GROUPS

OFFERED = [
    (GROUPS[group], name, path.parent)
    for path in sorted(PLUGINS.glob("*/pyproject.toml"))
    for group, names in tomllib.loads(path.read_text())["project"]["entry-points"].items()
    for name in names
]


@pytest.mark.parametrize(("kind", "name", "folder"), OFFERED, ids=lambda value: str(value).rpartition("/")[2])
def test_every_component_of_the_checkout_s_plugins_is_found_there(kind: str, name: str, folder: Path) -> None:
    said = refusal(only("ganlab"), kind, name)
    found = re.search(rf'^no {kind} "{name}" is installed; it is at hand: pip install (.*) \(', said)
    assert found is not None, said
    assert [Path(word) for word in shlex.split(found[1])] == [folder]


def test_the_folder_is_named_as_seen_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PLUGINS.parent)
    assert how_to_install("model", "sngan") == "pip install ./plugins/sngan"
    assert how_to_install("model", "sngan", "GANlab_sngan") == "pip install ./plugins/sngan"
    assert how_to_install("model", "sngan", "ganlab-other") is None
    assert how_to_install("loss", "sngan") is None


def test_a_broken_folder_and_an_installation_without_a_checkout_offer_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganlab.registry.checkout.PLUGINS", tmp_path)
    assert how_to_install("model", "sngan") is None
    for number, text in enumerate(("[", "project = 3", "[project]\nname = 3", '[project]\nentry-points = {"x" = 3}')):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/pyproject.toml").write_text(text)
    assert how_to_install("model", "sngan") is None
