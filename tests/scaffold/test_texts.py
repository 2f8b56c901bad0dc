"""The files of a new plugin: short, clean, and of the names that they were made for."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ganlab.registry.kinds import GROUPS, Kind
from ganlab.scaffold.names import names_of
from ganlab.scaffold.texts import TEMPLATES, texts

CONFIGURATION = Path(__file__).parents[2] / "pyproject.toml"
KINDS: list[Kind] = list(GROUPS.values())


def of(name: str, kinds: list[Kind]) -> dict[str, str]:
    """Return the files of a plugin whose components are all called like it."""
    return texts(names_of(name), dict.fromkeys(kinds, names_of(name)))


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_every_template_is_used() -> None:
    files = {"pyproject.toml", "init.py", "test.py", "recipe.toml", "README.md", "gitignore"}
    assert {path.name for path in TEMPLATES.iterdir()} == {f"{name}.txt" for name in files | {f"{k}.py" for k in KINDS}}


def test_a_module_is_shorter_than_a_screen() -> None:
    written = of("waves", KINDS)
    for kind in KINDS:
        assert len(lines(written[f"ganlab_waves/{kind}.py"])) < 40, kind
    assert len(written["ganlab_waves/model.py"].splitlines()) < 40, "with blank lines, of the usual one"


@pytest.mark.parametrize("kinds", [*([kind] for kind in KINDS), KINDS], ids=lambda kinds: "-".join(kinds))
def test_what_is_written_keeps_our_own_rules(kinds: list[Kind], tmp_path: Path) -> None:
    for path, text in of("two-waves", kinds).items():
        assert "$" not in text, path
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    for action in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *action, "--no-cache", "--config", str(CONFIGURATION), "."]
        ended = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("name", ["waves", "class", "none"])
def test_the_project_offers_what_its_modules_hold(name: str) -> None:
    names = names_of(name)
    written = of(name, KINDS)
    pyproject = tomllib.loads(written["pyproject.toml"])
    project = pyproject["project"]
    assert pyproject["build-system"]["build-backend"] == "hatchling.build"
    assert project["name"] == names.distribution
    assert project["dependencies"] == ["ganlab"]
    assert project["entry-points"] == {
        group: {name: f"{names.package}.{kind}:{names.class_of(kind)}"} for group, kind in GROUPS.items()
    }
    for kind in KINDS:
        assert f"class {names.class_of(kind)}(" in written[f"{names.package}/{kind}.py"]
        assert f"test_{kind} = contract({names.class_of(kind)})\n" in written[f"tests/test_{name}.py"]
        assert f"- `{names.package}/{kind}.py` is the {kind}: " in written["README.md"]
    for path, text in written.items():
        if path.endswith(".py"):
            compile(text, path, "exec")


def test_each_kind_can_have_a_name_of_its_own() -> None:
    written = texts(names_of("energy"), {"model": names_of("energy"), "loss": names_of("energy-margin")})
    project = tomllib.loads(written["pyproject.toml"])["project"]
    assert project["description"] == "The model energy and loss energy_margin for ganlab."
    assert project["entry-points"] == {
        "ganlab.models": {"energy": "ganlab_energy.model:EnergyModel"},
        "ganlab.losses": {"energy_margin": "ganlab_energy.loss:EnergyMarginLoss"},
    }
    recipe = tomllib.loads(written["recipes/energy.toml"])
    assert (recipe["model"]["name"], recipe["loss"]["name"]) == ("energy", "energy_margin")
    assert "class EnergyMarginLoss(Loss):" in written["ganlab_energy/loss.py"]
    assert '"""The loss "energy_margin":' in written["ganlab_energy/loss.py"]
    assert "test_loss = contract(EnergyMarginLoss)" in written["tests/test_energy.py"]
    assert (
        '- `ganlab_energy/loss.py` is the loss: a recipe takes it by `name = "energy_margin"`' in written["README.md"]
    )
