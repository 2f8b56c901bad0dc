"""Whole runs: what they leave, and that one which was stopped anywhere ends with the same bits."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import tiny

import ganlab
from ganlab import GanlabError, Interrupted, Observer, RunError, Tick, hookimpl
from ganlab.registry import registry

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
        ".lock",
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
    quiet = {name: False for name in ("metrics", "log", "samples", "plot", "gif")}
    b = ganlab.train(tiny(**HARD, observers=quiet) | {"snapshot": {"every_iterations": 100, "samples": 1}}, out="b")
    assert state_bytes(a.directory) == state_bytes(b.directory)
    other = ganlab.train(tiny(**HARD, seed=1), out="c")
    assert state_bytes(a.directory) != state_bytes(other.directory)


@pytest.mark.usefixtures("_signaller")
@pytest.mark.parametrize("at", [1, 6, 11])
def test_a_run_that_was_interrupted_anywhere_ends_with_the_same_bits(at: int) -> None:
    undisturbed = ganlab.train(tiny(**HARD), out="undisturbed")
    recipe = tiny(**HARD, observers={"signaller": {"at": at}})
    with pytest.raises(Interrupted, match=rf"stopped by Ctrl-C at iteration {at}; everything is saved in stopped") as caught:
        ganlab.train(recipe, out="stopped")
    assert caught.value.exit_code == 130
    resumed = ganlab.train(tiny(**HARD), out="stopped")
    assert state_bytes(resumed.directory) == state_bytes(undisturbed.directory)
    assert resumed.generator.read_bytes() == undisturbed.generator.read_bytes()
    for name in ("samples/00000012.png", "samples/00000008.png"):
        assert (resumed.directory / name).read_bytes() == (undisturbed.directory / name).read_bytes()
    iterations = [json.loads(line)["iteration"] for line in (resumed.directory / "metrics.jsonl").read_text().splitlines()]
    assert iterations == sorted(set(iterations))


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
    with pytest.raises(GanlabError, match="--out holiday/beach.jpg is a file"):
        ganlab.train(tiny(), out="holiday/beach.jpg")
    assert os.listdir("holiday") == ["beach.jpg"]


def test_a_mistake_found_while_preparing_leaves_nothing_behind() -> None:
    with pytest.raises(GanlabError, match=r"train.batch_size = 64, but the data has only 40 pictures"):
        ganlab.train(tiny(train={"batch_size": 64}), out="run")
    assert not Path("run").exists()
    assert not Path("runs").exists()


def test_a_non_finite_loss_stops_the_run_naming_network_and_iteration() -> None:
    with pytest.raises(RunError, match=r"the loss of the \w+ became NaN or infinite at iteration \d+") as caught:
        ganlab.train(tiny(optimizer={"lr": 1e30}), out="run")
    assert caught.value.exit_code == 1
    for checkpoint in Path("run/checkpoints").iterdir():
        from safetensors.torch import load_file

        tensors = load_file(checkpoint / "state.safetensors")
        assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


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
    assert re.search(r"checkpoint run/checkpoints/00000012 .*; looking for the one before", Path("run/log.txt").read_text())


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
