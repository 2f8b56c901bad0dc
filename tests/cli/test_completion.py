"""What Tab completes, as a shell asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from hostile import NAME

from ganlab.cli import ganlab
from ganlab.recipe.recipe import find_recipe, load_recipe, shipped_recipes
from ganlab.recipe.toml import in_toml


def completed(*words: str) -> list[str]:
    """Return what stands for the last word; "file" where the shell is to look for files."""
    found = ShellComplete(ganlab, {}, "ganlab", "_GANLAB_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [item.value if item.type == "plain" else item.type for item in found]


@pytest.mark.parametrize("words", [["run"], ["bench"], ["recipes", "check"], ["recipes", "show"]])
def test_recipes_and_files(words: list[str]) -> None:
    assert completed(*words, "") == [*(path.stem for path in shipped_recipes()), "file"]
    assert completed(*words, "quick") == ["quickstart", "file"]


def test_only_a_shipped_recipe_is_copied() -> None:
    assert completed("recipes", "copy", "dcgan_c") == ["dcgan_celeba", "dcgan_celeba_28", "dcgan_cifar10"]


def test_exporters() -> None:
    assert completed("export", "--to", "onnx") == ["onnx", "onnx_fp16", "onnx_int8"]


def test_keys_of_the_recipe_and_options_that_it_leaves_unset(tmp_path: Path) -> None:
    keys = completed("run", "quickstart", "--set", "train.")
    assert {"train.epochs=", "train.iterations=", "train.batch_size=", "train.threads="} <= set(keys)
    assert len(set(keys)) == len(keys)
    assert completed("run", "--set", "model.lat") == ["model.latent_dim=", "model.latent="]
    table = load_recipe(find_recipe("quickstart")).table
    whole = [f"{key}{in_toml(table['model'][key[6:-1]])}" for key in completed("run", "--set", "model.")]
    assert load_recipe(find_recipe("quickstart"), whole).table == table
    (tmp_path / "bad.toml").write_text("[")
    assert completed("run", "bad.toml", "--set", "") == []
    assert completed("run", "none.toml", "--set", "") == []


@pytest.mark.parametrize("verb", ["sample", "export", "info"])
def test_runs_newest_first_but_none_that_no_line_can_hold(trained: Path, verb: str) -> None:
    for name in ("runs/toy/0002", f"runs/{NAME}"):
        shutil.copytree(trained, name)
        with open("runs/index.jsonl", "a") as index:
            index.write(Path("runs/index.jsonl").read_text().splitlines()[0].replace("runs/toy/0001", name) + "\n")
    assert completed(verb, "runs/") == ["runs/toy/0002", "runs/toy/0001", "file"]


def test_behind_a_run_its_iterations_and_its_best(trained: Path) -> None:
    saved = [str(int(path.name)) for path in sorted((trained / "checkpoints").iterdir())]
    (trained / "generators").mkdir()
    (trained / "generators/00000001.safetensors").touch()
    (trained / "generator-best.safetensors").touch()
    for run in ("toy/1", str(trained)):
        assert completed("sample", f"{run}@") == [f"{run}@{which}" for which in ("1", *saved, "best")]
        assert completed("evaluate", f"{run}@b") == [f"{run}@best"]
    assert completed("sample", "toy/9@") == completed("sample", "me@") == ["file"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_lines_give_a_shell_its_script(shell: str) -> None:
    text = (Path(__file__).parents[2] / "docs/runs.md").read_text()
    assert f"_GANLAB_COMPLETE={shell}_source ganlab" in text
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("asks bash for its version")
    done = subprocess.run(
        [sys.executable, "-m", "ganlab"],
        env={**os.environ, "_GANLAB_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"_GANLAB_COMPLETE={shell}_complete" in done.stdout
