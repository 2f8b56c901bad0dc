"""Whole runs by `ganlab.train`: what they leave, how one goes on, and what is refused before anything is made."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from handmade import GREY, png
from PIL import Image
from pydantic import PrivateAttr
from toys import tiny

import ganlab
from ganlab import GanlabError, Interrupted, Observer, RunInfo, Snapshot, Tick, hookimpl
from ganlab.recipe.recipe import parse_recipe
from ganlab.recipe.toml import dumps, in_toml
from ganlab.registry import registry
from ganlab.run.preview import preview
from ganlab.run.train import as_recipe

HARD = {
    "model": {"generator_dropout": 0.3, "discriminator_dropout": 0.2},
    "dataset": {"flip": True},
    "loss": {"discriminator_steps": 3, "generator_first": True, "real_label": 0.9},
    "optimizer": {"lr": {"from": 2e-4, "to": 0.0, "after": 0.3, "progress": 0.7}, "discriminator": {"lr": 1e-3}},
}
"""Everything that a resumed run could get wrong: dropout, flips, k = 3, generator first, a falling learning rate."""


class Interrupter(Observer):
    """Presses Ctrl-C at one iteration, or twice; or while pictures are packed or a snapshot is taken, till answered."""

    api = 1
    at: int
    twice: bool = False
    during: Literal["packing", "snapshot", "tick"] = "tick"

    @hookimpl
    def phase(self, name: str) -> None:
        if self.during == "packing" and name.startswith("packing"):
            self.press_until_answered()

    @hookimpl
    def tick(self, tick: Tick) -> None:
        if (tick.iteration, self.during) == (self.at, "tick"):
            if self.twice:
                self.press_until_answered()
            os.kill(os.getpid(), signal.SIGINT)

    @hookimpl
    def snapshot(self, snapshot: Snapshot) -> None:
        if (snapshot.iteration, self.during) == (self.at, "snapshot"):
            self.press_until_answered()

    def press_until_answered(self) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            while "Ctrl-C again" not in sys.stderr.getvalue():  # type: ignore[union-attr]  # it is pytest's
                time.sleep(0.001)


@pytest.fixture
def _interrupter() -> Iterator[None]:
    registry.add("observer", "interrupter", Interrupter)
    yield
    registry.remove("observer", "interrupter")


def left(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_run_leaves_what_the_documentation_says() -> None:
    run = ganlab.train(tiny())
    assert run.directory == Path("runs/recipe/0001")
    assert (run.iterations, run.images, run.already_done) == (12, 96, False)
    assert left(run.directory).keys() == {
        ".ganlab/lock",
        ".ganlab/run.json",
        ".ganlab/written.json",
        ".ganlab/files.jsonl",
        ".ganlab/session.json",
        "recipe.toml",
        "environment.json",
        "log.txt",
        "metrics.jsonl",
        "reals.png",
        "losses.png",
        "progress.gif",
        "report.html",
        "generator.safetensors",
        *(f"samples/{number:08d}.png" for number in (0, 4, 8, 12)),
        *(f"checkpoints/{number:08d}/{name}" for number in (8, 12) for name in ("manifest.json", "state.safetensors")),
    }
    lines = [json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["iteration"] == 12
    assert {"loss_generator", "loss_discriminator", "D(x)", "D(G(z))"} <= lines[-1].keys()
    pictures = ganlab.load_generator(run.generator).sample(range(3))
    assert pictures.shape == (3, 8, 8, 1)


@pytest.mark.usefixtures("_interrupter")
def test_a_run_that_was_interrupted_leaves_what_an_undisturbed_one_leaves() -> None:
    undisturbed = left(ganlab.train(tiny(**HARD), out="undisturbed").directory)
    sentence = "stopped by Ctrl-C at iteration 6; everything is saved in stopped"
    with pytest.raises(Interrupted, match=sentence) as caught:
        ganlab.train(tiny(**HARD, observers={"interrupter": {"at": 6}}), out="stopped")
    assert caught.value.exit_code == 130
    again = left(ganlab.train(tiny(**HARD), out="stopped").directory)
    assert again.keys() == undisturbed.keys()
    own = {".ganlab/lock", ".ganlab/run.json", ".ganlab/files.jsonl"}
    clocked = own | {"log.txt", "metrics.jsonl", "losses.png", "report.html"}
    assert [name for name in again.keys() - clocked if again[name] != undisturbed[name]] == []
    ticks = [json.loads(line)["iteration"] for line in again["metrics.jsonl"].splitlines()]
    assert ticks == sorted(set(ticks)), "each once"


@pytest.mark.usefixtures("_interrupter")
def test_in_python_a_first_ctrl_c_is_answered_and_a_second_one_is_a_keyboard_interrupt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    quiet = {"terminal": {"mode": "off"}}
    undisturbed = left(ganlab.train(tiny(observers=quiet), out="undisturbed").directory)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt) as caught:
        ganlab.train(tiny(observers={**quiet, "interrupter": {"at": 6, "twice": True}}), out="stopped")
    assert type(caught.value) is KeyboardInterrupt
    assert str(caught.value) == (
        'the checkpoint of iteration 4 is in stopped\ngo on with: ganlab.train(..., out="stopped")'
    )
    answer = "stopping after this iteration, then saving; Ctrl-C again to lose what is not saved\n"
    assert capsys.readouterr().err == answer
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    again = left(ganlab.train(tiny(observers=quiet), out="stopped").directory)
    assert again["generator.safetensors"] == undisturbed["generator.safetensors"]


@pytest.mark.usefixtures("_interrupter")
@pytest.mark.parametrize(
    ("during", "at", "answer", "end"),
    [
        (
            "packing",
            0,
            "stopping before the training begins (packing stripes, 0 of 40); Ctrl-C again to end at once",
            "nothing is lost",
        ),
        ("snapshot", 0, "stopping in this snapshot, before the first iteration; ", "nothing is lost"),
        ("snapshot", 4, "stopping in this snapshot, then saving; ", "at iteration 4"),
    ],
)
def test_the_answer_to_ctrl_c_says_what_is_at_work(
    during: str, at: int, answer: str, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Interrupted, match=end):
        ganlab.train(tiny(observers={"terminal": {"mode": "off"}, "interrupter": {"at": at, "during": during}}))
    assert capsys.readouterr().err.startswith(answer)


def test_a_finished_run_is_left_alone_and_can_be_extended() -> None:
    quiet = dict.fromkeys(("metrics", "log", "samples", "plot", "gif", "report"), False)
    first = ganlab.train(tiny(observers=quiet), out="run")
    before = left(first.directory)
    again = ganlab.train(tiny(observers=quiet), out="run")
    assert (again.already_done, again.iterations, again.images) == (True, 12, 96)
    assert left(again.directory) == before
    longer = ganlab.train(tiny(train={"iterations": 20}, observers=quiet), out="run")
    assert (longer.iterations, longer.already_done) == (20, False)
    at_once = ganlab.train(tiny(train={"iterations": 20}, observers=quiet), out="at-once")
    assert left(longer.directory).keys() == left(at_once.directory).keys()
    for name in ("checkpoints/00000020/state.safetensors", "generator.safetensors"):
        assert left(longer.directory)[name] == left(at_once.directory)[name]


def test_resume_continues_the_newest_run_or_starts_one() -> None:
    short = {"iterations": 1}
    assert ganlab.train(tiny(train=short), resume=True).directory == Path("runs/recipe/0001")
    resumed = ganlab.train(tiny(train={"iterations": 2}), resume=True)
    assert (resumed.directory, resumed.iterations) == (Path("runs/recipe/0001"), 2)
    assert ganlab.train(tiny(train=short)).directory == Path("runs/recipe/0002")


def pictures(folder: Path) -> None:
    """Draw as many pictures as the toy dataset has, in two folders."""
    for number in range(40):
        path = folder / f"{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.RandomState(number).randint(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(noise).save(path)


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in sorted(folder.rglob("*.png"), reverse=True):
            archive.write(path, path.relative_to(folder.parent))
    shutil.rmtree(folder)
    return folder.with_suffix(".zip")


def notes(run: Path) -> str:
    return (run / "log.txt").read_text()


@pytest.mark.parametrize("way", ["folder", "zip", "elsewhere"])
def test_a_run_whose_pictures_were_moved_goes_on_to_the_same_bits(way: str, tmp_path: Path) -> None:
    def recipe(root: Path, iterations: int) -> dict[str, Any]:
        dataset = {"name": "image_folder", "root": str(root), "resolution": 8, "channels": 1}
        return tiny(dataset=dataset, train={"iterations": iterations})

    pictures(Path("faces"))
    undisturbed = ganlab.train(recipe(Path("faces"), 8), out="undisturbed").directory.absolute()
    run = ganlab.train(recipe(Path("faces"), 4), out="run").directory.absolute()
    root = Path("faces")
    if way == "folder":
        root = Path("faces").rename("people")
        said = 'dataset.root was "faces" and is now "people"; the pictures are the same, and the run goes on'
    elif way == "zip":
        root = zipped(Path("faces"))
        said = 'dataset.root was "faces" and is now "faces.zip"; the pictures are the same, and the run goes on'
    else:
        Path("somewhere").mkdir()
        os.chdir("somewhere")
        said = f"there is no faces here; dataset.root is {tmp_path}/faces, for the run was begun in {tmp_path}"
    assert ganlab.train(recipe(root, 8), out=run).iterations == 8
    assert notes(run).count(said) == 1
    for name in ("checkpoints/00000008/state.safetensors", "generator.safetensors"):
        assert left(run)[name] == left(undisturbed)[name]


def test_a_run_goes_on_by_its_own_recipe_from_anywhere() -> None:
    pictures(Path("faces"))
    Path("train.toml").write_text(dumps(tiny(dataset={"name": "image_folder", "root": "faces", "resolution": 8})))
    run = ganlab.train("train.toml", overrides=["train.iterations=4"]).directory.absolute()
    Path("somewhere").mkdir()
    os.chdir("somewhere")
    again = ganlab.train(run / "recipe.toml", overrides=["train.iterations=5"], out=run)
    assert (again.iterations, again.already_done) == (5, False)
    assert 'root = "faces"' in (run / "recipe.toml").read_text(), "as it was written"


def test_other_pictures_in_another_place_are_refused() -> None:
    pictures(Path("faces"))
    dataset = {"name": "image_folder", "root": "faces", "resolution": 8}
    before = left(ganlab.train(tiny(dataset=dataset, train={"iterations": 1}), out="run").directory)
    shutil.copytree("faces", "people")
    Path("people/0/0.png").unlink()
    sentence = 'have changed since run was begun:\n  dataset.root was "faces" and is now "people"'
    with pytest.raises(GanlabError, match=sentence):
        ganlab.train(tiny(dataset=dataset | {"root": "people"}, train={"iterations": 2}), out="run")
    clocked = {".ganlab/lock", "log.txt"}
    assert {n: b for n, b in left(Path("run")).items() if n not in clocked} == {
        n: b for n, b in before.items() if n not in clocked
    }


@pytest.mark.parametrize(("count", "often"), [(1, "8 times"), (7, "1 or 2 times")])
def test_fewer_pictures_than_a_batch_are_trained_on_and_that_is_said_once(count: int, often: str) -> None:
    table = tiny(dataset={"count": count}, observers={"terminal": {"mode": "off"}, "log": True})
    run = ganlab.train(table)
    all_of_them = "1 picture" if count == 1 else f"{count} pictures"
    said = f"the data has {all_of_them}, fewer than train.batch_size = 8: each batch has every picture {often}"
    assert (run.directory / "log.txt").read_text().count(said) == 1
    assert (run.iterations, run.images) == (12, 96)
    assert json.loads((run.directory / "metrics.jsonl").read_text().splitlines()[-1])["epoch"] == 12.0
    assert f"note        {said}" in preview(parse_recipe(table)).splitlines()
    ganlab.train(table | {"train": table["train"] | {"iterations": 5}}, out="stopped")
    ganlab.train(table, out="stopped")
    weights = "generator.safetensors"
    assert (Path("stopped") / weights).read_bytes() == run.generator.read_bytes()


def test_a_mistake_found_while_preparing_leaves_nothing_behind() -> None:
    with pytest.raises(GanlabError, match=r'dataset "stripes" has no pictures'):
        ganlab.train(tiny(dataset={"count": 0}), out="run")
    assert not Path("run").exists()
    assert not Path("runs").exists()


def test_a_recipe_comes_as_tables_a_path_a_name_or_resolved() -> None:
    Path("mine.toml").write_text(dumps(tiny()))
    resolved = parse_recipe(tiny())
    assert as_recipe(resolved) is resolved
    for form in (tiny(), "mine.toml", Path("mine.toml")):
        assert as_recipe(form).table == resolved.table
        assert as_recipe(form, ["train.batch_size=4"]).train.batch_size == 4
    assert as_recipe("dcgan_mnist").name == "dcgan_mnist"
    with pytest.raises(GanlabError, match="overrides go with a recipe's path, name or tables; this one is already res"):
        as_recipe(resolved, ["train.batch_size=4"])


def test_what_is_to_be_said_of_the_pictures_is_said_once_in_every_run(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    root.mkdir()
    for number in range(8):
        (root / f"{number}.png").write_bytes(png(np.arange(64).reshape(8, 8) * 60 + number, 16, GREY))
    recipe = tiny(dataset={"name": "image_folder", "root": str(root), "resolution": 8, "channels": 1})
    for out in ("packed", "cached"):
        ganlab.train(recipe, out=out)
        log = Path(out, "log.txt").read_text()
        assert log.count("warning: 8 of the 8 pictures with more than 8 bits have almost no contrast") == 1
        assert log.count("dataset.range = [0, 3787] spreads") == 1


@pytest.mark.parametrize("crowded", [None, "other processes keep 1.9 of 2 cores busy"])
def test_a_run_beside_busy_processes_says_so(crowded: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.hardware.load.Load.crowded", lambda self, threads: crowded)
    run = ganlab.train(tiny(observers={"log": {}}))
    log = (run.directory / "log.txt").read_text(encoding="utf-8")
    said = "other processes keep 1.9 of 2 cores busy: the training will be slower than on an idle machine"
    assert (said in log) == (crowded is not None)
    ganlab.train(tiny(observers={"log": {}}), out=run.directory)
    again = (run.directory / "log.txt").read_text(encoding="utf-8")
    assert again.count(said) == (crowded is not None), "where nothing is trained, nothing is slow"


@pytest.mark.parametrize("nothing", [None, 3])
def test_what_cannot_be_a_recipe_is_one_sentence(nothing: Any) -> None:
    with pytest.raises(GanlabError, match=r"a recipe is a path, a name, nested tables or a Recipe, not an? "):
        ganlab.train(nothing)


def test_overrides_are_a_mapping_of_dotted_keys() -> None:
    changed = {"train.iterations": 5, "model.latent_dim": 7, "optimizer": {"lr": 0.5}, "dataset.root": Path("a b")}
    tables = tiny(dataset={"name": "image_folder", "root": "x"})
    recipe = as_recipe(tables, changed)
    assert (recipe.train.iterations, recipe.model.latent_dim) == (5, 7)
    assert recipe.table["optimizer"]["lr"] == 0.5
    assert recipe.table["dataset"]["root"] == "a b"
    assert recipe == as_recipe(tables, [f"{key}={in_toml(value)}" for key, value in changed.items()])


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"train.iteration": 5}, "overrides['train.iteration']: train.iteration is not an option"),
        ({3: 5}, "overrides[3]: 3 is not a dotted key such as train.epochs"),
        ({"train.": 5}, "overrides['train.']: train. is not a dotted key such as train.epochs"),
        (["train.iteration=5"], "overrides: train.iteration=5: train.iteration is not an option"),
        (["train"], 'write overrides={"train.epochs": 1}'),
        ("train.iterations=5", 'overrides="train.iterations=5" is one text: write overrides={"train.epochs": 1}'),
    ],
)
def test_what_is_wrong_in_overrides_is_named_as_python_has_it(overrides: Any, problem: str) -> None:
    with pytest.raises(ganlab.RecipeError) as caught:
        as_recipe(tiny(), overrides)
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]
    assert "--set" not in caught.value.problems[0]


def test_a_run_is_a_path_that_a_generator_is_loaded_from() -> None:
    run = ganlab.train(tiny(observers={"terminal": False}))
    assert isinstance(run, ganlab.Run)
    assert os.fspath(run) == str(run.directory)
    pictures = ganlab.load_generator(run).sample(5)
    assert pictures.shape == (5, 8, 8, 1)
    assert np.array_equal(pictures, ganlab.load_generator(run.generator).sample(range(5)))
    assert ganlab.read_metadata(run) == ganlab.read_metadata(run.generator)
    assert ganlab.train(tiny(observers={"terminal": False}), out=run).already_done


def test_observers_may_be_given_and_keep_what_they_remember(tmp_path: Path) -> None:
    class Listener(Observer):
        """Remembers what it was told."""

        api = 1
        _heard: list[str] = PrivateAttr(default_factory=list)

        @hookimpl
        def run_start(self, run: RunInfo) -> None:
            self._heard.append(f"start {run.directory.name}")

        @hookimpl
        def run_end(self, reason: str) -> None:
            self._heard.append(reason)

    listener = Listener()
    ganlab.train(tiny(), out=tmp_path / "run", observers=[listener])
    assert listener._heard == ["start run", "finished"]
    with pytest.raises(GanlabError, match=r"observers: 'terminal' is no ganlab\.Observer; give objects of classes"):
        ganlab.train(tiny(), out=tmp_path / "other", observers=["terminal"])  # type: ignore[list-item]
    assert not (tmp_path / "other").exists()
