"""`ganlab run`: what it prints, how it goes on, and what it loads."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import Command, outside
from ganlab_dcgan import DCGAN
from toys import tiny

import ganlab
from ganlab.recipe.toml import dumps


def test_a_run_says_what_it_did_where_that_lies_and_what_comes_next(command: Command, recipe: Path) -> None:
    ended = command("run", recipe)
    assert ended.code == 0
    assert re.search(r"^Trained 12 iterations on 96 pictures in \d+ s\.$", ended.out, re.MULTILINE)
    for line in ("runs/toy/0001/samples", "runs/toy/0001/generator.safetensors"):
        assert line in ended.out
    assert ended.out.endswith(
        "Next:\n  ganlab sample runs/toy/0001 --count 64 --seed 7\n  ganlab export runs/toy/0001 --onnx\n"
    )
    for path in re.findall(r"^  \w+ +(runs/\S+)$", ended.out, re.MULTILINE):
        assert Path(path).exists()


def test_the_same_command_continues_and_says_when_there_is_nothing_left(command: Command, recipe: Path) -> None:
    assert command("run", recipe, "--out", "run", "--set", "train.iterations=4").code == 0
    assert "Trained 12 iterations" in command("run", recipe, "--out", "run").out
    ended = command("run", recipe, "--out", "run")
    assert ended.code == 0
    assert "The run in run was finished before: 12 iterations." in ended.out


def test_resume_goes_on_with_the_newest_run_of_the_recipe(command: Command, recipe: Path, trained: Path) -> None:
    ended = command("run", recipe, "--resume")
    assert f"The run in {trained} was finished before: 12 iterations." in ended.out
    assert os.listdir("runs/toy") == ["0001"]


def test_resume_says_which_run_it_takes_and_takes_none_of_another_recipe(command: Command, recipe: Path) -> None:
    plain = ["--progress", "plain", "--resume", "--set", "train.iterations=2"]
    Path("other").mkdir()
    Path("other/toy.toml").write_text(recipe.read_text())
    assert "there is no run of toy.toml here to go on with; a new one begins" in command("run", recipe, *plain).err
    assert "no run of other/toy.toml here to go on with" in command("run", "other/toy.toml", *plain).err
    assert "going on with runs/toy/0001, the newest run of toy.toml" in command("run", recipe, *plain).err
    assert sorted(os.listdir("runs/toy")) == ["0001", "0002"]


def test_json_progress_is_json_lines(command: Command, recipe: Path) -> None:
    ended = command("run", recipe, "--progress", "json")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert {"run_start", "tick", "snapshot", "run_end"} <= {event["event"] for event in events}
    assert "Trained 12 iterations" in ended.err


def test_dry_run_shows_networks_and_sizes_and_leaves_nothing(command: Command, recipe: Path) -> None:
    ended = command(
        "run", recipe, "--dry-run", "--device", "cpu", "--progress", "off", "--set", "model.base_channels=8"
    )
    assert ended.code == 0
    networks = DCGAN(base_channels=8, latent_dim=6).build(ganlab.ImageSpec(1, 8, 8))
    for name, network in networks.items():
        count = sum(parameter.numel() for parameter in network.parameters())
        assert f"network     {name}: {count:,} parameters" in ended.out
    assert "pictures    40 of 1 x 8 x 8" in ended.out
    assert "base_channels = 8" in ended.out
    assert not Path("runs").exists()


def test_device_and_progress_are_short_for_a_set(command: Command, recipe: Path) -> None:
    ended = command("run", recipe, "--dry-run", "--device", "auto", "--progress", "plain")
    assert 'device = "auto"\n' in ended.out
    assert '[observers.terminal]\nmode = "plain"\n' in ended.out


MISTAKES = [
    (["nosuch"], "nosuch: there is no such recipe"),
    (["quikstart"], "did you mean quickstart"),
    (["toy.toml", "--sett", "a=1"], "No such option '--sett'. Did you mean '--set'?"),
    (
        ["toy.toml", "--set", "model.latentdim=5"],
        '--set model.latentdim=5: model.latentdim is not an option of model "dcgan"; did you mean latent_dim?',
    ),
    (["toy.toml", "--set", "model.name=dgcan"], 'no model "dgcan" is installed; did you mean dcgan?'),
    (["toy.toml", "--set", "train.epochs=many"], "train.epochs"),
    (["toy.toml", "--set", "dataset.resolution=30"], "the nearest resolutions are 28, 32"),
    (["toy.toml", "--device", "cuda:9"], "train.device = cuda:9: this machine has"),
    (["toy.toml", "--progress", "loud"], "'loud' is not one of 'auto', 'rich', 'plain', 'json', 'off'"),
    (["toy.toml", "--nproc", "0"], "0 is not in the range x>=1"),
    (["toy.toml", "--nproc", "3"], "train.batch_size = 8"),
    (["toy.toml", "--out", "toy.toml"], "--out toy.toml is a file; name a directory"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(row[0]) for row in MISTAKES])
def test_a_mistake_ends_in_one_message_and_exit_2(
    command: Command, recipe: Path, arguments: list[str], sentence: str
) -> None:
    before = set(os.listdir())
    ended = command("run", *arguments)
    assert ended.code == 2
    assert sentence in ended.err
    assert len(ended.err.splitlines()) <= 12
    assert set(os.listdir()) <= before | {"cache"}


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    recipe = tmp_path / "long.toml"
    recipe.write_text(dumps(tiny(train={"iterations": 10**9}, snapshot={"every_iterations": 10**9})))
    process = outside("run", str(recipe), "--out", "a run", "--progress", "plain")
    while not Path("a run/metrics.jsonl").exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    found = re.search(r"stopped by Ctrl-C at iteration (\d+); everything is saved in a run\ngo on with: (.*)\n", err)
    assert found is not None, err
    assert found[2] == f"ganlab run {recipe} --out 'a run' --set observers.terminal.mode=plain"
    assert int(max(os.listdir("a run/checkpoints"))) == int(found[1])


def test_a_run_imports_nothing_of_torch_that_it_does_not_need() -> None:
    code = (
        "import sys; sys.argv[0] = 'ganlab'\n"
        "from ganlab.cli import main\n"
        "main()\n"
        "heavy = {'torchvision', 'torch._dynamo', 'torch._inductor', 'sympy', 'onnx'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    small = {
        "train.iterations": 1,
        "train.batch_size": 8,
        "model.base_channels": 4,
        "dataset.resolution": 28,  # as they are on the disk
        "moving_average.statistics_batches": 1,
        "snapshot.samples": 4,
    }
    settings = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    ran = [sys.executable, "-c", code, "run", "quickstart", *settings]
    subprocess.run(ran, check=True, stdout=subprocess.DEVNULL)
