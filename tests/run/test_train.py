"""Whole runs: what they leave, and that one which was stopped anywhere ends with the same bits."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file
from toys import tiny

import ganlab
from ganlab import Batch, GanlabError, Interrupted, Iteration, Observer, RunError, Tick, Update, hookimpl
from ganlab.registry import registry
from ganlab.standard.losses.bce import BCE

HARD = {
    "model": {"generator_dropout": 0.3, "discriminator_dropout": 0.2},
    "dataset": {"flip": True},
    "loss": {"discriminator_steps": 3, "generator_first": True, "real_label": 0.9},
    "optimizer": {"decay_from": 0.3, "discriminator": {"lr": 1e-3}},
}
"""Everything that a resumed run could get wrong: dropout, flips, k = 3, generator first, a falling learning rate."""


def state_bytes(run: Path) -> bytes:
    newest = max((run / "checkpoints").iterdir())
    return (newest / "state.safetensors").read_bytes()


def iterations_of(run: Path) -> list[int]:
    return [json.loads(line)["iteration"] for line in (run / "metrics.jsonl").read_text().splitlines()]


class Signaller(Observer):
    """Sends this process a signal at one iteration."""

    api = 1
    at: int
    number: int = signal.SIGINT

    @hookimpl
    def tick(self, tick: Tick) -> None:
        if tick.iteration == self.at:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def _signaller() -> Any:
    registry.add("observer", "signaller", Signaller)
    yield
    registry.remove("observer", "signaller")


def test_a_run_leaves_what_the_documentation_says(tmp_path: Path) -> None:
    run = ganlab.train(tiny())
    assert run.directory == Path("runs/recipe/0001")
    assert (run.iterations, run.images, run.already_done) == (12, 96, False)
    left = {str(path.relative_to(run.directory)) for path in run.directory.rglob("*") if path.is_file()}
    assert left == {
        ".ganlab/lock",
        ".ganlab/run.json",
        "recipe.toml",
        "environment.json",
        "log.txt",
        "metrics.jsonl",
        "reals.png",
        "losses.png",
        "progress.gif",
        "generator.safetensors",
        *(f"samples/{number:08d}.png" for number in (0, 4, 8, 12)),
        *(f"checkpoints/{number:08d}/{name}" for number in (8, 12) for name in ("manifest.json", "state.safetensors")),
    }
    lines = [json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["iteration"] == 12
    assert {"loss_generator", "loss_discriminator", "D(x)", "D(G(z))"} <= lines[-1].keys()
    pictures = ganlab.load_generator(run.generator).sample(range(3))
    assert pictures.shape == (3, 8, 8, 1)


def test_the_same_recipe_gives_the_same_bytes_whatever_watches_it() -> None:
    a = ganlab.train(tiny(**HARD), out="a")
    quiet = dict.fromkeys(("metrics", "log", "samples", "plot", "gif"), False)
    b = ganlab.train(tiny(**HARD, observers=quiet) | {"snapshot": {"every_iterations": 100, "samples": 1}}, out="b")
    assert state_bytes(a.directory) == state_bytes(b.directory)
    other = ganlab.train(tiny(**HARD, seed=1), out="c")
    assert state_bytes(a.directory) != state_bytes(other.directory)


@pytest.mark.usefixtures("_signaller")
@pytest.mark.parametrize("at", [1, 6, 11])
def test_a_run_that_was_interrupted_anywhere_ends_with_the_same_bits(at: int) -> None:
    undisturbed = ganlab.train(tiny(**HARD), out="undisturbed")
    recipe = tiny(**HARD, observers={"signaller": {"at": at}})
    sentence = rf"stopped by Ctrl-C at iteration {at}; everything is saved in stopped"
    with pytest.raises(Interrupted, match=sentence) as caught:
        ganlab.train(recipe, out="stopped")
    assert caught.value.exit_code == 130
    resumed = ganlab.train(tiny(**HARD), out="stopped")
    assert state_bytes(resumed.directory) == state_bytes(undisturbed.directory)
    assert resumed.generator.read_bytes() == undisturbed.generator.read_bytes()
    for name in ("samples/00000012.png", "samples/00000008.png"):
        assert (resumed.directory / name).read_bytes() == (undisturbed.directory / name).read_bytes()
    assert iterations_of(resumed.directory) == sorted(set(iterations_of(resumed.directory)))


@pytest.mark.usefixtures("_signaller")
def test_sigterm_ends_with_its_own_code() -> None:
    with pytest.raises(Interrupted, match="stopped by SIGTERM at iteration 2") as caught:
        ganlab.train(tiny(observers={"signaller": {"at": 2, "number": int(signal.SIGTERM)}}))
    assert caught.value.exit_code == 143


def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    undisturbed = ganlab.train(tiny(**HARD), out="undisturbed")
    script = tmp_path / "train.py"
    script.write_text(
        "import json, os, signal, sys\n"
        "import torch; torch.set_num_threads(1)\n"
        "import ganlab\n"
        "from ganlab import Observer, hookimpl\n"
        "from ganlab.registry import registry\n"
        "from toys import Stripes\n"
        "class Killer(Observer):\n"
        "    api = 1\n"
        "    @hookimpl\n"
        "    def tick(self, tick):\n"
        "        if tick.iteration == 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "registry.add('dataset', 'stripes', Stripes)\n"
        "registry.add('observer', 'killer', Killer)\n"
        "ganlab.train(json.loads(sys.argv[1]), out='killed')\n"
    )
    recipe = json.dumps(tiny(**HARD, observers={"killer": {}}))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, script, recipe], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert sorted(path.name for path in Path("killed/checkpoints").iterdir()) == ["00000000", "00000004"]
    resumed = ganlab.train(tiny(**HARD), out="killed")
    assert state_bytes(resumed.directory) == state_bytes(undisturbed.directory)


def test_a_finished_run_is_left_alone_and_can_be_extended() -> None:
    first = ganlab.train(tiny(), out="run")
    again = ganlab.train(tiny(), out="run")
    assert again.already_done
    assert again.generator.read_bytes() == first.generator.read_bytes()
    longer = ganlab.train(tiny(train={"iterations": 20}), out="run")
    assert (longer.iterations, longer.already_done) == (20, False)
    at_once = ganlab.train(tiny(train={"iterations": 20}), out="at-once")
    assert state_bytes(longer.directory) == state_bytes(at_once.directory)


def test_resume_takes_the_newest_run_of_the_recipe_or_starts_one() -> None:
    assert ganlab.train(tiny(), resume=True).directory == Path("runs/recipe/0001")
    assert ganlab.train(tiny(train={"iterations": 16}), resume=True).directory == Path("runs/recipe/0001")
    assert ganlab.train(tiny()).directory == Path("runs/recipe/0002")
    with pytest.raises(GanlabError, match="exclude each other"):
        ganlab.train(tiny(), resume=True, out="run")


def test_another_recipe_is_refused_key_by_key() -> None:
    ganlab.train(tiny(), out="run")
    with pytest.raises(GanlabError) as caught:
        ganlab.train(tiny(optimizer={"lr": 1e-3}, train={"batch_size": 4}), out="run")
    assert str(caught.value).splitlines() == [
        "the run in run was begun with another recipe:",
        "  optimizer.lr was 0.0002 and is now 0.001",
        "  train.batch_size was 8 and is now 4",
        "Put the values back, or start a new run with another --out directory",
    ]


def test_a_directory_with_other_things_in_it_is_refused() -> None:
    Path("holiday").mkdir()
    Path("holiday/beach.jpg").touch()
    with pytest.raises(GanlabError, match="--out holiday is not empty and holds no run of ganlab"):
        ganlab.train(tiny(), out="holiday")
    with pytest.raises(GanlabError, match=r"--out holiday/beach\.jpg is a file"):
        ganlab.train(tiny(), out="holiday/beach.jpg")
    assert os.listdir("holiday") == ["beach.jpg"]


def test_a_mistake_found_while_preparing_leaves_nothing_behind() -> None:
    with pytest.raises(GanlabError, match=r"train.batch_size = 64, but the data has only 40 pictures"):
        ganlab.train(tiny(train={"batch_size": 64}), out="run")
    assert not Path("run").exists()
    assert not Path("runs").exists()


def no_checkpoint_is_broken(run: str) -> None:
    for checkpoint in Path(run, "checkpoints").iterdir():
        tensors = load_file(checkpoint / "state.safetensors")
        assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


class Explosive(BCE):
    """Breaks at one iteration of each try, in one of several ways."""

    api = 1
    at: int
    way: Literal["loss", "gradient", "memory"] = "loss"
    tries: int = 100
    _drawn: int = 0

    def updates(
        self, networks: Mapping[str, torch.nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        EXPLODED.append(round(float(iteration.progress) * 12))
        exploding = EXPLODED[-1] == self.at and EXPLODED.count(self.at) <= self.tries
        for update in super().updates(networks, batches, iteration):
            if exploding and self.way == "memory":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            if exploding and update.networks == "generator":
                zero = (update.loss - update.loss.detach()) if self.way == "gradient" else update.loss * float("nan")
                yield Update("generator", update.loss + (zero.abs().sqrt() if self.way == "gradient" else zero))
            else:
                yield update


EXPLODED: list[int] = []


@pytest.fixture
def _explosive() -> Any:
    EXPLODED.clear()
    registry.add("loss", "explosive", Explosive)
    yield
    registry.remove("loss", "explosive")


@pytest.mark.usefixtures("_explosive")
@pytest.mark.parametrize("way", ["loss", "gradient"])
@pytest.mark.parametrize("tick_seconds", [0.001, 1000.0])
def test_what_first_became_non_finite_is_named_and_no_checkpoint_holds_it(way: str, tick_seconds: float) -> None:
    recipe = tiny(loss={"name": "explosive", "at": 5, "way": way}, train={"tick_seconds": tick_seconds})
    with pytest.raises(RunError, match=f"the {way} of the generator became NaN or infinite at iteration 5") as caught:
        ganlab.train(recipe, out="run")
    assert caught.value.exit_code == 1
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == ["00000000", "00000004"]
    no_checkpoint_is_broken("run")


def test_weights_that_broke_are_named_even_where_no_loss_did() -> None:
    with pytest.raises(RunError, match=r"(networks/\S+|the \w+ of the \w+) became NaN or infinite at iteration \d+"):
        ganlab.train(tiny(optimizer={"lr": 1e30}), out="run")
    no_checkpoint_is_broken("run")


@pytest.mark.usefixtures("_explosive")
def test_a_rollback_goes_on_from_the_last_checkpoint_with_other_random_numbers() -> None:
    train = {"on_nonfinite": "rollback"}
    once = ganlab.train(tiny(loss={"name": "explosive", "at": 5, "tries": 1}, train=train), out="once")
    assert once.iterations == 12
    assert "going on from iteration 4 with other random numbers (rollback 1 of 3)" in Path("once/log.txt").read_text()
    never = ganlab.train(tiny(loss={"name": "explosive", "at": 99}, train=train), out="never")
    assert state_bytes(once.directory) != state_bytes(never.directory)
    manifest = json.loads((max(Path("once/checkpoints").iterdir()) / "manifest.json").read_text())
    assert manifest["rollbacks"] == 1
    assert iterations_of(once.directory) == sorted(set(iterations_of(once.directory)))


@pytest.mark.usefixtures("_explosive")
def test_three_rollbacks_are_the_most() -> None:
    recipe = tiny(loss={"name": "explosive", "at": 5}, train={"on_nonfinite": "rollback"})
    with pytest.raises(RunError, match=r"at iteration 5.* This was the end after 3 rollbacks"):
        ganlab.train(recipe, out="run")
    assert EXPLODED.count(5) == 4


@pytest.mark.usefixtures("_explosive")
def test_out_of_memory_says_what_was_tried_and_what_to_set() -> None:
    with pytest.raises(RunError) as caught:
        ganlab.train(tiny(loss={"name": "explosive", "at": 5, "way": "memory"}), out="run")
    assert str(caught.value) == (
        "out of memory on cpu with train.batch_size = 8, pictures of 1 x 8 x 8 and precision fp32. "
        "The run is kept in run; start a new one with --set train.batch_size=4"
    )
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == ["00000000", "00000004"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "manifest", "missing"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(damage: str) -> None:
    run = ganlab.train(tiny(), out="run")
    expected = state_bytes(run.directory)
    newest = run.directory / "checkpoints" / "00000012"
    state, manifest = newest / "state.safetensors", newest / "manifest.json"
    if damage == "flip":
        data = bytearray(state.read_bytes())
        data[-3] ^= 4
        state.write_bytes(data)
    elif damage == "truncate":
        state.write_bytes(state.read_bytes()[:-1])
    elif damage == "manifest":
        manifest.write_text('{"schema": 1')
    else:
        state.unlink()
    again = ganlab.train(tiny(), out="run")
    assert not again.already_done
    assert state_bytes(again.directory) == expected
    log = Path("run/log.txt").read_text()
    assert re.search(r"checkpoint run/checkpoints/00000012 .*; looking for the one before", log)


def test_no_checkpoint_intact_is_an_error_that_names_them() -> None:
    run = ganlab.train(tiny(), out="run")
    for state in run.directory.rglob("state.safetensors"):
        state.write_bytes(b"")
    with pytest.raises(GanlabError, match=r"no checkpoint of this run is intact: .*00000012 is damaged.*00000008"):
        ganlab.train(tiny(), out="run")


def test_changed_pictures_are_refused() -> None:
    ganlab.train(tiny(), out="run")
    recipe: Mapping[str, Any] = tiny(train={"iterations": 20})
    with pytest.raises(GanlabError, match=r"dataset.count was 40 and is now 41"):
        ganlab.train({**recipe, "dataset": {"name": "stripes", "count": 41}}, out="run")
