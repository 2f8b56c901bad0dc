"""`ganlab compare`: runs, files and evaluations against each other, and what is said of them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from comparable import ORIGIN, evaluation
from hostile import check_harmless
from judged import Spots, generator_of, spots, write_features
from rich.console import Console
from toys import tiny

import ganlab
from ganlab.cli.compare import show
from ganlab.judging.differences import Side, compare
from ganlab.judging.report import Origin
from ganlab.recipe.toml import dumps
from ganlab.registry import registry

FEW = ("--count", 20, "--seeds", 2, "--metrics", "ms_ssim,sliced_wasserstein")


@pytest.fixture(autouse=True)
def _without_lite0(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is installed here must not matter."""
    monkeypatch.setattr("ganlab.judging.lite0.MODULES", ("no_such_module",))


@pytest.fixture
def _spots() -> Iterator[None]:
    registry.add("dataset", "spots", Spots)
    Path("spots.toml").write_text(dumps(tiny(dataset={"name": "spots"})))
    generator_of(Path("good.onnx"), spots(range(1000, 1400)))
    generator_of(Path("few.onnx"), spots(range(1000, 1002)))
    yield
    registry.remove("dataset", "spots")


@pytest.fixture
def other(trained: Path) -> Path:
    """Return the directory of a run beside the trained one, with another recipe."""
    return ganlab.train(tiny(train={"iterations": 6}, model={"base_channels": 8}), out="runs/toy/0002").directory


def written(path: str, *arguments: Any, **changes: Any) -> str:
    Path(path).write_text(json.dumps(evaluation(*arguments, **changes).as_json()))
    return path


@pytest.mark.usefixtures("_spots")
def test_the_better_of_two_files_is_told_by_the_pictures_of_a_recipe(command: Command) -> None:
    options = ("--data", "spots.toml", "--metrics", "sliced_wasserstein,ms_ssim", "--count", 100)
    ended = command("compare", "good.onnx", "few.onnx", *options, "--json", "found.json")
    assert ended.code == 0, ended.err
    assert re.search(r"^sliced_wasserstein +\S+ +\S+ +-\S+ \+- \S+ +A, lower *$", ended.out, re.MULTILINE)
    assert re.search(r"^ms_ssim +\S+ +\S+ +-\S+ \+- \S+ +they differ *$", ended.out, re.MULTILINE)
    found = json.loads(Path("found.json").read_text())
    assert found["scores"]["sliced_wasserstein"]["verdict"] == "A"
    assert (found["A"]["name"], found["B"]["name"]) == ("good.onnx", "few.onnx")
    assert "a difference is seen where it is more than 2.48 times its spread" in " ".join(ended.out.split())


def test_runs_are_compared_with_what_their_recipes_differ_in(command: Command, trained: Path, other: Path) -> None:
    ended = command("compare", "toy/1", other, *FEW, "--json", "found.json")
    assert ended.code == 0, ended.err
    found = json.loads(Path("found.json").read_text())
    assert found["recipe"] == {
        "model.base_channels": {"A": 4, "B": 8},
        "train.iterations": {"A": 12, "B": 6},
    }
    assert found["others"] == {"images seen": {"A": 96, "B": 48}}
    assert re.search(r"^model\.base_channels +4 +8 *$", ended.out, re.MULTILINE)
    assert re.search(r"^images seen +96 +48 *$", ended.out, re.MULTILINE)
    again = command("evaluate", "toy/1", other, *FEW, "--json", "both.json")
    assert again.code == 0
    both = json.loads(Path("both.json").read_text())
    assert [found[letter] for letter in "AB"] == both["generators"], "judged as ganlab evaluate judges"

    # The evaluation says all of it, wherever the runs are by then.
    shutil.rmtree("runs")
    assert command("compare", "both.json@1", "both.json@2", "--json", "later.json").code == 0
    assert json.loads(Path("later.json").read_text()) == found
    assert command("compare", "both.json", "both.json@2").err == (
        "ganlab: both.json has 2 generators; name one: both.json@1 is runs/toy/0001; both.json@2 is runs/toy/0002\n"
    )
    assert "both.json has 2 generators; name one: " in command("compare", "both.json@1", "both.json@3").err


def test_a_run_is_judged_as_the_evaluation_says_that_it_is_compared_with(
    command: Command, trained: Path, other: Path
) -> None:
    write_features(Path("net.onnx"))
    options = ("--metrics", "kid,ms_ssim", "--set", "ms_ssim.pairs=30", "--features", "net.onnx")
    assert command("evaluate", trained, "--count", 20, "--seeds", 4, *options, "--json", "one.json").code == 0
    ended = command("compare", "one.json", other, "--features", "net.onnx", "--json", "found.json")
    assert ended.code == 0, ended.err
    found = json.loads(Path("found.json").read_text())
    assert (list(found["scores"]), found["rule"]["blocks"]) == (["kid", "kid_std", "ms_ssim"], 4)
    assert found["B"]["name"] == str(other)
    back = command("compare", other, "one.json", "--features", "net.onnx", "--json", "back.json")
    assert back.code == 0
    turned = json.loads(Path("back.json").read_text())["scores"]
    assert [score["difference"] for score in turned.values()] == [
        -score["difference"] for score in found["scores"].values()
    ]
    assert command("compare", "one.json", other).err == (
        "ganlab: the evaluation compares features of the network net: name its file, --features FILE\n"
    )


def test_a_best_generator_is_compared_with_the_last_one(command: Command, trained: Path) -> None:
    shutil.copy(trained / "generator.safetensors", trained / "generator-best.safetensors")
    ended = command("compare", "toy/1", "toy/1@best", *FEW)
    assert ended.code == 0, ended.err
    assert ended.out.count("no difference seen") == 2
    assert "A and B are the same generator" in ended.out


def test_a_run_whose_recipe_is_gone_is_compared_by_its_model(command: Command, trained: Path, other: Path) -> None:
    Path("toy.toml").write_text(dumps(tiny()))
    (other / "recipe.toml").unlink()
    assert "has no recipe.toml, which says what it was trained on" in command("compare", trained, other, *FEW).err
    ended = command("compare", trained, other, *FEW, "--data", "toy.toml", "--json", "found.json")
    assert ended.code == 0, ended.err
    found = json.loads(Path("found.json").read_text())
    assert found["recipe"] == {"model.base_channels": {"A": 4, "B": 8}}
    assert found["remarks"] == ["of the recipe of B no more than the model is known: only a run has all of it"]


VALUES = {"kid": (0.1, 0.2, 0.3)}
MISTAKES = {
    ("a.json",): "Missing argument 'B'",
    ("a.json", "a.json", "a.json"): "Got unexpected extra argument (a.json)",
    ("a.json", "a.json", "--count", "20"): "--count says how generators are judged, and a.json and a.json have been "
    "judged already: leave it out, they are compared as the file says",
    (
        "a.json",
        "a.json",
        "--device",
        "cpu",
    ): "--device says how generators are judged, and a.json and ",
    ("a.json", "toy/1", "--seeds", "3"): "--seeds says how generators are judged, and a.json has been judged already: "
    "leave it out, both are compared as the file says",
    (
        "a.json",
        "b.json",
    ): "a.json and b.json were not judged in the same way, so their scores cannot be compared: 3 "
    "and 2 blocks of seeds. Evaluate both with the same options",
    ("one.json", "one.json"): "one block of pictures shows no spread, so that no difference can be told from chance; ",
    ("toy/1", "toy/1", "--seeds", "1"): "one block of pictures shows no spread",
    ("none.json", "a.json"): "none.json has 0 generators",
    ("cut.json", "a.json"): "cut.json: is no evaluation that ganlab evaluate --json wrote: Invalid JSON: EOF while ",
    ("compared.json", "a.json"): "compared.json: is no evaluation that ganlab evaluate --json wrote: better: Field ",
    ("gone.json", "a.json"): "gone.json does not exist; name a generator file or a run's directory",
    ("toy/9", "toy/1"): "there is no run 9 of toy; there is 1",
    ("toy", "toy/1"): "which run of toy? there is 1; name one, as in toy/1",
    ("toy/1", "toy/1", "--json", "."): "--json . exists and is not a file; name another one",
    ("x" * 300, "a.json"): "is longer than a path can be",
}


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES.items(), ids=[" ".join(words)[:60] for words in MISTAKES])
def test_a_mistake_is_one_sentence(command: Command, trained: Path, arguments: tuple[str, ...], sentence: str) -> None:
    written("a.json", VALUES)
    written("b.json", {"kid": (0.1, 0.2)}, seeds=2)
    written("one.json", {"kid": (0.1,)}, seeds=1)
    written("none.json")
    found = evaluation(VALUES)
    one = Side("a", found, found.columns[0])
    Path("compared.json").write_text(json.dumps(compare(one, one).as_json()))
    Path("cut.json").write_text(Path("a.json").read_text()[:100])
    ended = command("compare", *arguments, *([] if "--json" in arguments else ["--json", "found.json"]))
    assert ended.code == 2
    assert sentence in ended.err
    assert not Path("found.json").exists()
    assert ended.out == ""


def test_nothing_that_an_evaluation_says_steers_a_terminal(command: Command) -> None:
    bad = "\x1b[2J\u202e\n"
    origin = Origin({bad: bad, "b": [None]}, {bad: {bad: bad}}, 3, bad, bad)
    found = evaluation(VALUES, dataset=bad, network=bad, resizer=bad, ganlab=bad).as_json()
    found["generators"][0] |= {"name": bad, "origin": asdict(origin)}
    Path("bad.json").write_text(json.dumps(found))
    written("good.json", VALUES, network=bad, resizer=bad)
    ended = command("compare", "bad.json", "good.json")
    assert ended.code == 0, ended.err
    check_harmless(ended.out)
    written("other.json", VALUES, fingerprint=bad, dataset=bad, metrics={"kid": {"subsets": bad}})
    ended = command("compare", "bad.json", "other.json")
    assert ended.code == 2
    check_harmless(ended.err)


def test_an_evaluation_is_known_by_how_it_begins_too(command: Command) -> None:
    written("scores.txt", VALUES)
    assert command("compare", "scores.txt", "scores.txt").code == 0


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_tables_fit_the_terminal_and_lose_nothing(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"kid": (0.10, 0.11, 0.12), "recall": (0.5, 0.4, 0.45), "ms_ssim": (0.0, 0.0, 0.0)}
    worse = {"kid": (0.30, 0.32, 0.31), "recall": (0.45, 0.5, 0.43), "ms_ssim": (0.0, 0.0, 0.0)}
    table = json.loads(json.dumps(ORIGIN.recipe)) | {"seed": 12345, "loss": {"name": "a" * 50}}
    origin = replace(ORIGIN, recipe=table, images=2_000_000, fingerprint="ef" * 32)
    a, b = evaluation(values), evaluation(worse, origin=origin, digest="sha256:1")
    show(compare(Side("a", a, a.columns[0]), Side("b", b, b.columns[0])), Console(width=width, highlight=False))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    letters = re.sub(r"\s", "", shown)
    assert "A,lower" in letters
    assert "paired" in letters
    if width >= 80:
        assert all(text in letters for text in ("a" * 50, "12345", "2000000", "clothesefefefefefef"))
        rows = [re.split(r"  +", line.strip()) for line in shown.splitlines()]
        assert ["score", "A", "B", "A - B", "better"] in rows
        assert ["kid", "0.110", "0.310", "-0.200 +- 0.010", "A, lower"] in rows
        assert ["recall", "0.450", "0.460", "-0.010 +- 0.079", "no difference seen"] in rows
        assert ["ms_ssim", "0", "0", "0", "no difference seen"] in rows
