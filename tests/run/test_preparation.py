"""A dry run refuses what a run refuses, with the same words; and what it allows, a run begins."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stand_ins import make
from torch import nn
from toys import tiny

import ganlab
from ganlab import ImageSpec, Model
from ganlab.recipe.recipe import Recipe, find_recipe, load_recipe, parse_recipe, shipped_recipes
from ganlab.registry import registry
from ganlab.run.preview import preview
from ganlab.testing import Stripes
from ganlab.testing.toys import TinyLabelled
from ganlab.training.state import build_networks, parameter_counts


class Misnamed(Model):
    """Builds other networks than it states."""

    api = 1

    def check(self, images: ImageSpec) -> None: ...

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"generator": nn.Linear(1, 1), "critic": nn.Linear(1, 1)}


class Endless(Stripes):
    """Says nothing of its length."""

    api = 1

    def open(self) -> Any:
        return iter(())


class Disturbed(Stripes):
    """Ctrl-C is pressed when half of its pictures are packed."""

    api = 1

    def open(self) -> Any:
        source = super().open()

        class Pressed(type(source)):  # type: ignore[misc]
            def image(self, index: int) -> Any:
                if index == len(self) // 2:
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.05)
                return super().image(index)

        return Pressed(self)


COMPONENTS = {
    ("model", "labelled"): TinyLabelled,
    ("model", "misnamed"): Misnamed,
    ("dataset", "endless"): Endless,
    ("dataset", "disturbed"): Disturbed,
}


@pytest.fixture(autouse=True)
def _components() -> Iterator[None]:
    for (kind, name), cls in COMPONENTS.items():
        registry.add(kind, name, cls)  # type: ignore[arg-type]
    yield
    for kind, name in COMPONENTS:
        registry.remove(kind, name)  # type: ignore[arg-type]


def begun(**tables: Any) -> Callable[[], None]:
    """Return what leaves a finished run in `run`."""
    return lambda: ganlab.train(tiny(**tables), out="run") and None


def folder(*contents: bytes) -> Callable[[], None]:
    """Return what leaves files of these contents in `pictures`."""

    def write() -> None:
        Path("pictures").mkdir()
        for number, content in enumerate(contents):
            Path("pictures", f"{number}.png").write_bytes(content)

    return write


def png(colour: str = "#123456") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(written, "PNG")
    return written.getvalue()


PNG = png()
FOLDER = {"name": "image_folder", "root": "pictures", "resolution": 8}


def changed(run: str) -> None:
    """Leave a run, and one of its pictures as it was not."""
    folder(*[png()] * 8)()
    ganlab.train(tiny(dataset=FOLDER), out=run)
    Path("pictures", "3.png").write_bytes(png("#654321"))


REFUSED: dict[str, tuple[dict[str, Any], Callable[[], object], str]] = {
    "no folder": ({"dataset": FOLDER}, lambda: None, "pictures"),
    "empty folder": ({"dataset": FOLDER}, folder(), "holds no pictures"),
    "one bad picture": (
        {"dataset": FOLDER},
        folder(PNG, b"no picture"),
        "1 of the 2 pictures",
    ),
    "no length": ({"dataset": {"name": "endless"}}, lambda: None, "has no length to rely on"),
    "no pictures": ({"dataset": {"count": 0}}, lambda: None, "has no pictures"),
    "no labels": ({"model": {"name": "labelled"}}, lambda: None, "needs class labels, but this data has none"),
    "other networks": ({"model": {"name": "misnamed"}}, lambda: None, "but built ['critic', 'generator']"),
    "no such device": ({"train": {"device": "cuda:99"}}, lambda: None, "train.device = cuda:99"),
    "no such arithmetic": ({"train": {"precision": "tf32"}}, lambda: None, "this cpu has no tf32 arithmetic"),
    "a file": ({}, lambda: Path("run").write_text("mine"), 'out="run" is a file'),
    "a folder of others": ({}, lambda: Path("run", "samples").mkdir(parents=True), "run"),
    "another recipe": ({"train": {"batch_size": 4}}, begun(), "train.batch_size was 8 and is now 4"),
    "other pictures": (
        {"dataset": FOLDER},
        lambda: changed("run"),
        "the pictures have changed since run was begun",
    ),
}


def refusal(call: Callable[[], object]) -> tuple[type, str]:
    with pytest.raises(ganlab.GanlabError) as caught:
        call()
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize("why", REFUSED)
def test_a_dry_run_refuses_what_a_run_refuses_with_the_same_words(why: str) -> None:
    tables, arrange, sentence = REFUSED[why]
    arrange()
    loaded = parse_recipe(tiny(**tables))
    dry = refusal(lambda: preview(loaded, out="run"))
    assert dry == refusal(lambda: ganlab.train(loaded, out="run"))
    assert sentence in dry[1]


def test_ctrl_c_while_packing_leaves_nothing_half_written() -> None:
    loaded = parse_recipe(tiny(dataset={"name": "disturbed", "count": 2_000}))
    dry = refusal(lambda: preview(loaded, out="run"))
    assert dry == (ganlab.Interrupted, "stopped by Ctrl-C before the training began; nothing is lost")
    assert dry == refusal(lambda: ganlab.train(loaded, out="run"))
    assert {path.suffix for path in Path("cache").rglob("*") if path.is_file()} <= {".lock", ".TAG"}


def shipped(name: str, root: Path, *overrides: str) -> Recipe:
    """Return a shipped recipe with thin networks and a few pictures in the format of its data."""
    path = find_recipe(name)
    dataset = load_recipe(path).table["dataset"]["name"]
    words = ["train.batch_size=4", "train.device=cpu", "model.base_channels=4", "observers.terminal=false", *overrides]
    if name != "quickstart":  # which trains on what ganlab ships
        words.append(f"dataset.root={make(dataset, root, count=12)}")
    return load_recipe(path, words)


@pytest.mark.parametrize("name", [path.stem for path in shipped_recipes()])
def test_every_shipped_recipe_is_counted_right_and_refused_like_by_a_run(name: str, tmp_path: Path) -> None:
    recipe = shipped(name, tmp_path / "data")
    said = preview(recipe)
    spec = ganlab.interfaces.image_spec(recipe.dataset)
    for network, count in parameter_counts(build_networks(recipe.model, spec)).items():
        assert f"network     {network}: {count:,} parameters" in said
    assert "cannot be" not in said

    # As a dataset of another kind may have them, and these cannot: nothing but the pictures shows it.
    again = shipped(name, tmp_path / "again")
    dataset = again.dataset.model_copy(update={"channels": 2})
    two = replace(again, components={**again.components, "dataset": dataset})
    dry = refusal(lambda: preview(two))
    assert dry == refusal(lambda: ganlab.train(two, out="run"))
    assert "channels" in dry[1]
