"""What TensorBoard's own reader finds of runs that were continued, rolled back, or none of it."""

from __future__ import annotations

import io
import json
import shutil
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ganlab_tensorboard import TensorBoard, toml_lines
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

import ganlab
from ganlab import ImageSpec, RunInfo, Snapshot, Tick
from ganlab.recipe.recipe import parse_recipe
from ganlab.testing import contract, isolated, tiny_recipe

SCALARS = {"loss_generator", "loss_discriminator", "D(x)", "D(G(z))", "sign(D(x))", "images_per_second", "epoch"}


def recipe(iterations: int = 8, **observers: Any) -> dict[str, Any]:
    base = {
        "train": {"iterations": iterations, "tick_seconds": 1e-6},
        "snapshot": {"keep": 5},
        "observers": {"plot": False, "gif": False, "tensorboard": True},
    }
    return tiny_recipe(base, {"observers": observers})


@pytest.fixture(autouse=True, scope="module")
def _place() -> Iterator[None]:
    with isolated({"tensorboard": TensorBoard}):
        # TensorBoard reads the files of one second in the order of their names, which end in a count: 9 after 10.
        for _ in range(10):
            SummaryWriter("counted").close()
        yield


def read(run: Path) -> EventAccumulator:
    """Return everything that TensorBoard shows of a run; it keeps scalars, pictures and texts as tensors."""
    return EventAccumulator(str(run / "tensorboard")).Reload()


def steps(found: EventAccumulator) -> dict[str, list[int]]:
    """Return the iterations of each tag in the order in which TensorBoard shows them."""
    return {tag: [event.step for event in found.Tensors(tag)] for tag in found.Tags()["tensors"]}


def numbers(found: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: event.tensor_proto.float_val[0] for event in found.Tensors(tag)}


def pictures(found: EventAccumulator, tag: str) -> dict[int, np.ndarray[Any, Any]]:
    """Return a tag's pictures in grey, by iteration; TensorBoard has width, height and the PNG file."""
    files = {event.step: event.tensor_proto.string_val[2] for event in found.Tensors(tag)}
    return {step: np.asarray(Image.open(io.BytesIO(file)).convert("L")) for step, file in files.items()}


def text(found: EventAccumulator, index: int = -1) -> str:
    value: bytes = found.Tensors("recipe/text_summary")[index].tensor_proto.string_val[0]
    return value.decode()


def whole(iterations: int = 8) -> dict[str, list[int]]:
    """Return what a run that was never stopped shows."""
    return {tag: list(range(1, iterations + 1)) for tag in SCALARS} | {
        "samples": list(range(0, iterations + 1, 4)),
        "reals": [0],
        "recipe/text_summary": [0],
    }


def test_tensorboard_reads_the_scalars_of_metrics_jsonl() -> None:
    run = ganlab.train(recipe(), out="scalars").directory
    found = read(run)
    assert steps(found) == whole()
    for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        for name in SCALARS:
            assert numbers(found, name)[line["iteration"]] == pytest.approx(line[name], rel=1e-6)


def test_the_pictures_are_those_that_the_run_draws() -> None:
    run = ganlab.train(recipe(), out="pictures").directory
    found = read(run)
    samples = pictures(found, "samples")
    assert list(samples) == [0, 4, 8]
    for iteration, picture in samples.items():
        assert np.array_equal(picture, np.asarray(Image.open(run / f"samples/{iteration:08d}.png")))
    assert np.array_equal(pictures(found, "reals")[0], np.asarray(Image.open(run / "reals.png")))


def test_the_recipe_is_a_block_of_toml_that_trains_the_same_again() -> None:
    run = ganlab.train(recipe(), out="text").directory
    block = text(read(run))
    assert all(line.startswith("    ") for line in block.splitlines())
    again = tomllib.loads("\n".join(line[4:] for line in block.splitlines()))
    assert again == tomllib.loads((run / "recipe.toml").read_text())
    assert parse_recipe(again).sha256 == parse_recipe(recipe()).sha256


def test_toml_lines_are_toml() -> None:
    table = {"seed": 3, "a": {"x": [0.5, 0.999], "text": 'ä "quoted" \\ \n', "b": {"on": False}}, "z": {}}
    assert tomllib.loads("\n".join(toml_lines(table))) == table


def test_pictures_can_be_left_out() -> None:
    run = ganlab.train(recipe(tensorboard={"samples": False}), out="without").directory
    assert set(steps(read(run))) == {*SCALARS, "recipe/text_summary"}


def test_a_continued_run_reads_as_one() -> None:
    ganlab.train(recipe(4), out="continued")
    run = ganlab.train(recipe(8), out="continued").directory
    found = read(run)
    assert steps(found) == whole() | {"recipe/text_summary": [0, 4]}
    assert "iterations = 4" in text(found, 0)
    assert "iterations = 8" in text(found, 1)


def test_a_run_that_is_observed_from_the_middle_on_has_the_rest() -> None:
    ganlab.train(recipe(4, tensorboard=False), out="middle")
    run = ganlab.train(recipe(8), out="middle").directory
    rest = {tag: [step for step in before if step > 4] for tag, before in whole().items()}
    assert steps(read(run)) == rest | {"reals": [4], "recipe/text_summary": [4]}


def lose_checkpoints(run: Path, kept: list[int]) -> None:
    for checkpoint in (run / "checkpoints").iterdir():
        if int(checkpoint.name) not in kept:
            shutil.rmtree(checkpoint)


@pytest.mark.parametrize("kept", [[0, 4], [0], []])
def test_what_a_killed_run_did_after_its_last_checkpoint_is_shown_once(kept: list[int]) -> None:
    out = Path(f"killed{len(kept)}")
    ganlab.train(recipe(8), out=out)
    lose_checkpoints(out, kept)
    ganlab.train(recipe(8), out=out)
    assert steps(read(out)) == whole() | {"recipe/text_summary": [0, 4] if 4 in kept else [0]}
    scripts = event_accumulator.EventAccumulator(str(out / "tensorboard")).Reload()  # the reader that scripts use
    assert [event.step for event in scripts.Scalars("loss_generator")] == whole()["loss_generator"]
    assert [event.step for event in scripts.Images("samples")] == whole()["samples"]


def test_what_tensorboard_has_dropped_is_written_again() -> None:
    ganlab.train(recipe(4), out="dropped")
    ganlab.train(recipe(8), out="dropped")  # writes the recipe at 4
    lose_checkpoints(Path("dropped"), [0])
    ganlab.train(recipe(4), out="dropped")  # goes on from 0, so the text at 4 is of a future that is gone
    run = ganlab.train(recipe(8), out="dropped").directory
    assert steps(read(run)) == whole() | {"recipe/text_summary": [0, 4]}


def info(folder: Path, first: int) -> RunInfo:
    return RunInfo("toy", folder, {"seed": 0}, ImageSpec(2, 8, 8), 20, {}, "cpu", "fp32", first)


def tick(iteration: int, **stats: float) -> Tick:
    return Tick(iteration, 5 * iteration, iteration / 4, 0.0, 1.0, 1.0, 1.0, stats)


def test_a_run_that_is_rolled_back_without_an_end_is_shown_once() -> None:
    folder, observer = Path("rolled"), TensorBoard()
    shown, threads = np.zeros((4, 8, 8, 5), np.uint8), threading.active_count()  # of five channels, one is shown
    observer.run_start(info(folder, 0), shown)
    observer.snapshot(Snapshot(0, 0, 0.0, shown, 2))
    for iteration in (1, 2, 3):
        observer.tick(tick(iteration, epoch=7.0))
    observer.snapshot(Snapshot(3, 15, 0.75, shown, 2))
    observer.run_start(info(folder, 2), shown)
    observer.tick(tick(3, epoch=8.0))
    found = read(folder)  # whatever kills the run now, it is all on the disk
    observer.run_end()
    assert threading.active_count() == threads
    assert steps(found) == {
        "epoch": [1, 2, 3],
        "stat_epoch": [1, 2, 3],
        "images_per_second": [1, 2, 3],
        "samples": [0],
        "reals": [0],
        "recipe/text_summary": [0, 2],
    }
    assert numbers(found, "stat_epoch") == {1: 7.0, 2: 7.0, 3: 8.0}


def test_it_writes_below_the_run_s_directory_only() -> None:
    before = {path for path in Path().rglob("*") if "tfevents" in path.name}
    run = ganlab.train(recipe(), out="below").directory
    new = {path for path in Path().rglob("*") if "tfevents" in path.name} - before
    assert {path.parent for path in new} == {run / "tensorboard"}


test_contract = contract(TensorBoard)
