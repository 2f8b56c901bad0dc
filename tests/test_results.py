"""What the recipes give: the scripts that lay out the data, and the tables and lines that show what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import compared
import judged_recipes
import numpy as np
import pages
import pytest
import scores
from fake_cuda.training import add_plugins
from PIL import Image

from ganlab.recipe.recipe import find_recipe, load_recipe
from ganlab.registry import registry
from ganlab.standard.datasets.image_folder import ImageFolder
from ganlab.standard.datasets.mnist import MNIST

ROOT = Path(__file__).resolve().parent.parent
ROWS = [(one, row) for one in compared.sets(Path("clothes")) for row in one.rows]


@pytest.fixture
def _plugins() -> Iterator[None]:
    """Make what the plugins of the checkout offer components, for a while."""
    before = {(provider.kind, provider.name) for provider in registry.providers()}
    add_plugins()
    yield
    for provider in list(registry.providers()):
        if (provider.kind, provider.name) not in before:
            registry.remove(provider.kind, provider.name)


def script(name: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(ROOT / "scripts" / name), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_digits_become_files_that_the_dataset_reads(tmp_path: Path) -> None:
    (tmp_path / "package" / "src" / "digits").mkdir(parents=True)
    for digit in range(10):
        values = [round(value / 255, 3) for value in [digit] * 783 + [255]] * 2
        place = tmp_path / "package" / "src" / "digits" / f"{digit}.json"
        place.write_text(json.dumps({"data": values}))
    done = script("digits", tmp_path / "package", tmp_path / "digits")
    assert (done.returncode, done.stdout) == (0, f"20 digits in {tmp_path / 'digits'}\n")
    source = MNIST(root=tmp_path / "digits", download=False).open()
    assert len(source) == 20
    assert [source.label(index) for index in range(20)] == [digit for digit in range(10) for _ in range(2)]
    pictures = [np.asarray(source.image(index)) for index in range(20)]
    assert [picture[0, 0] for picture in pictures] == [digit for digit in range(10) for _ in range(2)]
    assert all(picture[27, 27] == 255 for picture in pictures)


def test_every_value_of_a_pixel_survives_three_decimals() -> None:
    assert [round(round(value / 255, 3) * 255) for value in range(256)] == list(range(256))


def test_emoji_become_folders_by_category(tmp_path: Path) -> None:
    pictures = tmp_path / "package" / "img" / "google" / "64"
    pictures.mkdir(parents=True)
    for name in ("a", "b", "b-dark"):
        Image.new("RGBA", (64, 64), "red").save(pictures / f"{name}.png")
    dark = {"image": "b-dark.png", "has_img_google": True}
    light = {"image": "b-light.png", "has_img_google": False}
    listed = [
        {"image": "a.png", "category": "Flags", "has_img_google": True},
        {"image": "b.png", "category": "People", "has_img_google": True, "skin_variations": {"1": dark, "2": light}},
    ]
    (tmp_path / "package" / "emoji.json").write_text(json.dumps(listed))
    done = script("emoji", tmp_path / "package", tmp_path / "emoji")
    assert (done.returncode, done.stdout) == (0, f"3 pictures in 2 folders of {tmp_path / 'emoji'}\n")
    source = ImageFolder(root=tmp_path / "emoji", resolution=64).open()
    assert len(source) == 3


@pytest.mark.parametrize("name", ["digits", "emoji"])
def test_what_is_there_already_is_kept(name: str, tmp_path: Path) -> None:
    done = script(name, tmp_path, tmp_path)
    assert (done.returncode, done.stderr) == (
        1,
        f"{tmp_path} is there already: name another folder, or remove it\n",
    )


def test_every_recipe_of_the_data_is_a_row() -> None:
    named = {row.recipe for _, row in ROWS}
    recipes = ROOT.glob("plugins/*/recipes/*_fashion_mnist.toml")
    # Those of observers are the quickstart, watched.
    plugins = {str(path.relative_to(ROOT)) for path in recipes if 'extends = "quickstart"' not in path.read_text()}
    shipped = {path.stem for path in (ROOT / "recipes").glob("*mnist*.toml")}
    assert named == plugins | shipped | {"benchmarks/recipes/emoji.toml", "own_pictures_64", "dcgan_celeba"}


@pytest.mark.usefixtures("_plugins")
@pytest.mark.parametrize(("one", "row"), ROWS, ids=[row.name for _, row in ROWS])
def test_a_rows_recipe_takes_its_settings(one: compared.Set, row: compared.Row) -> None:
    path = ROOT / row.recipe if row.recipe.endswith(".toml") else find_recipe(row.recipe)
    recipe = load_recipe(path, [*row.settings, *one.settings])
    drawn = recipe.train.batch_size * recipe.loss.model_dump().get("discriminator_steps", 1)
    assert one.pictures % drawn == 0


@pytest.mark.usefixtures("_plugins")
def test_the_length_of_a_recipe_is_that_of_its_own_pictures() -> None:
    hinge = ROOT / "plugins" / "gan-losses" / "recipes" / "hinge_fashion_mnist.toml"
    assert scores.length(hinge, (), 60_000, 64) == 25 * 156 * 64
    flow = ROOT / "plugins" / "flow" / "recipes" / "flow_fashion_mnist.toml"
    assert scores.length(flow, (), 60_000, 64) == 2000 * 64
    assert scores.length(find_recipe("dcgan_mnist"), (), 60_000, 128) == 200 * 468 * 128


def row(name: str, kid: float, **changes: Any) -> dict[str, Any]:
    def column(*values: float) -> dict[str, Any]:
        mean = sum(values) / len(values)
        kids = {"mean": mean, "spread": None, "values": list(values)}
        return {"scores": {"kid": kids} | {key: {"mean": 0.5, "values": [0.5]} for key in ("recall", "coverage")}}

    better = {"kid": "lower", "recall": "higher", "coverage": "higher"}
    found = {
        "protocol": {"pictures": [1, 28, 28]},
        "better": better,
        "reference": column(0.001),
        "generators": [column(kid - 0.012, kid, kid + 0.012)],  # whose standard deviation is 0.012
    }
    made = {"name": name, "set": "clothes", "recipe": name, "seed": 0, "command": f"ganlab run {name}", "images": 500}
    took = {"full": 1000, "cpu_seconds": 60.0, "seconds": 9.0, "date": "today 09:00", "processor": "abacus"}
    return made | took | {"scores": found} | changes


def test_a_section_shows_the_best_first_and_real_pictures_last() -> None:
    lines = list(judged_recipes.section([row("worse", 0.3), row("better", 0.2)], "clothes"))
    table = lines[lines.index("### At 28 px") + 2 :]
    assert table[0] == "| recipe | kid ↓ | recall ↑ | coverage ↑ |"
    assert [line.split(" | ")[:2] for line in table[2:5]] == [
        ["| `better`", "0.200 ± 0.012"],
        ["| `worse`", "0.300 ± 0.012"],
        ["| *real against real*", "0.001"],
    ]
    assert "| `worse` | 1 | 500 | 50% | abacus | 9 | 60 | today |" in lines
    assert "ganlab run worse" in lines
    assert "| ![64 pictures of worse](images/results/worse.png) | ![64 pictures of better]" in "\n".join(lines)


def test_what_was_not_trained_is_named() -> None:
    names = [one.name for found, one in ROWS if found.name == "clothes" and not one.seed]
    left = [row(name, 0.3) for name in names if name not in ("logistic", "vae")]
    assert "Not trained yet, for want of time: `logistic`, `vae`." in list(judged_recipes.section(left, "clothes"))
    assert "want of time" not in "".join(judged_recipes.section([row(name, 0.3) for name in names], "clothes"))


def test_resolutions_are_not_compared() -> None:
    other = row("other", 0.1)
    other["scores"] = other["scores"] | {"protocol": {"pictures": [1, 32, 32]}}
    lines = list(judged_recipes.section([row("one", 0.3), other], "clothes"))
    assert [line for line in lines if line.startswith("### At")] == ["### At 32 px", "### At 28 px"]


def test_trainings_with_other_seeds_are_one_row_whose_spread_is_theirs() -> None:
    again = [row(f"one-seed-{seed}", kid, recipe="one", seed=seed) for seed, kid in ((2, 0.4), (1, 0.5))]
    lines = list(judged_recipes.section([again[0], row("one", 0.3), row("two", 0.35), again[1]], "clothes"))
    table = lines[lines.index("### At 28 px") + 4 :]
    assert [line.split(" | ")[:2] for line in table[:2]] == [
        ["| `two`", "0.350 ± 0.012"],
        ["| `one`", "0.40 ± 0.10"],  # of 0.3, 0.4 and 0.5
    ]
    assert "| `one` | 3 | 500 | 50% | abacus | 9 | 60 | today |" in lines
    assert not [line for line in lines if "one-seed" in line]


def test_what_is_not_measured_says_so() -> None:
    assert list(judged_recipes.section([], "emoji")) == ["Not measured yet: run `python benchmarks/scores.py`."]


def test_a_recipe_says_what_was_measured_of_it() -> None:
    text = "# A recipe.\n# Takes: long.\n\n[model]\n"
    (once,) = judged_recipes.by_recipe([row("one", 0.3)])
    written = judged_recipes.with_measured(text, once)
    assert written == (
        "# A recipe.\n# Takes: long.\n"
        "# Measured: 500 pictures, 50% of its length, of Fashion-MNIST's 70,000, in 1 training:\n"
        "#   kid 0.300 +- 0.012, recall 0.5, coverage 0.5: docs/results.md.\n"
        "\n[model]\n"
    )
    (twice,) = judged_recipes.by_recipe([row("one", 0.2), row("one-seed-1", 0.4, seed=1)])
    newer = judged_recipes.with_measured(written, twice)
    assert newer == written.replace("kid 0.300 +- 0.012", "kid 0.30 +- 0.14").replace("1 training", "2 trainings")


def test_every_sheet_that_is_shown_is_small_and_no_other_lies_there() -> None:
    found = pages.judged(pages.RESULTS)
    sheets = {path.stem: path for path in (ROOT / "docs" / "images" / "results").glob("*")}
    assert set(sheets) == {row["name"] for row in found if not row["seed"]}
    assert sum(path.stat().st_size for path in sheets.values()) < 1_500_000
