"""The README: its two commands, everything else that it tells people to type, and what it says is enough."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from documents import README, ROOT, blocks, play, prepare, shell_commands, trained

from ganlab.registry.entry_points import normalized

TRAIN = "pip install -e . && ganlab run quickstart"
TEST = 'pip install -e ".[test]" && pytest'
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = {"pillow": "PIL"}
"""What is imported under another name than it is installed."""


def shell_lines() -> list[str]:
    return [line for block in blocks(README) if block.language == "sh" for line in block.text.splitlines()]


def without_torch() -> list[str]:
    """Return the packages that the README says are enough where an ONNX file is used."""
    installs = [words for line in shell_lines() for words in shell_commands(line) if words[:2] == ["pip", "install"]]
    (plain,) = [words[2:] for words in installs if not words[2].startswith("-")]
    assert ["pip", "install", "--no-deps", "."] in installs
    return plain


def test_the_two_commands_stand_there_to_the_letter() -> None:
    lines = shell_lines()
    assert lines[0] == TRAIN, "nothing else comes before it"
    assert TEST in lines


def test_ci_runs_what_the_readme_says() -> None:
    steps = (ROOT / ".ci" / "run").read_text().splitlines()
    assert TEST in steps
    assert any("ganlab run quickstart" in step for step in steps), "the whole quickstart, outside pytest"


def test_python_and_licence_are_those_of_the_package() -> None:
    text = README.read_text()
    assert f"Python {PROJECT['requires-python'].removeprefix('>=')} or later" in text
    assert f"[{PROJECT['license']} licence](LICENSE)" in text


def test_every_command_and_every_line_of_python_works(tmp_path: Path) -> None:
    prepare(tmp_path)
    shutil.copy(trained() / "generator.onnx", ".")
    play(README)
    assert Path("runs/quickstart/0001/generator.onnx").is_file()
    assert Path("faces/reals.png").is_file()
    assert Path("sample.png").is_file()
    begun = [json.loads(line)["run"] for line in Path("runs/index.jsonl").read_text().splitlines()]
    assert begun == ["runs/quickstart/0001", "faces"], "the third training went on with the second"


def test_the_packages_named_for_onnx_are_enough() -> None:
    """In a process that can import none of the other dependencies, as in an environment that lacks them."""
    shutil.copy(trained() / "generator.onnx", ".")
    named = without_torch()
    dependencies = [re.split(r"[<>=]", requirement)[0] for requirement in PROJECT["dependencies"]]
    assert set(named) < set(dependencies)
    blocked = [MODULES.get(name, normalized(name)) for name in dependencies if name not in named]
    needed = [MODULES.get(name, name) for name in named]
    python = "".join(block.text for block in blocks(README) if block.language == "python")
    script = f"""
import sys

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Lacking())
from ganlab.cli import main

for words in {[["sample", "generator.onnx", "--count", "4"], ["info", "generator.onnx"], ["--help"]]!r}:
    sys.argv = ["ganlab", *words]
    try:
        main()
    except SystemExit as error:
        assert not error.code, (words, error.code)
{python}
assert pictures.shape[0] == 16
missing = set({needed!r}) - sys.modules.keys()
assert not missing, f"{{missing}} need not be installed"
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert "generator.onnx" in process.stdout


@pytest.mark.parametrize("page", ["tutorial.md", "export.md"])
def test_other_pages_name_the_same_packages(page: str) -> None:
    line = f"pip install {shlex.join(without_torch())} && pip install --no-deps ."
    assert line in shell_lines()
    assert line in (ROOT / "docs" / page).read_text().splitlines()
