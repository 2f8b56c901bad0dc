"""The command line as a user types it: what it prints, what it leaves, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from ganlab_dcgan import DCGAN
from PIL import Image
from toys import tiny

import ganlab
from ganlab.cli import main
from ganlab.recipe.toml import dumps


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs `ganlab` with arguments in this process."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ganlab", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        assert isinstance(code, int)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "toy.toml"
    path.write_text(dumps(tiny()))
    return path


def test_run_then_every_verb_without_an_argument(command: Command, recipe: Path) -> None:
    ended = command("run", recipe)
    assert ended.code == 0
    assert re.search(r"^Trained 12 iterations on 96 pictures in \d+ s\.$", ended.out, re.MULTILINE)
    for line in ("runs/toy/0001/samples", "runs/toy/0001/generator.safetensors", "ganlab sample --count", "--onnx"):
        assert line in ended.out

    ended = command("export", "--onnx")
    assert ended.code == 0
    assert ended.out.startswith("runs/toy/0001/generator.onnx  0.0 MB, differs from torch by at most ")
    assert "newest run: runs/toy/0001 (toy, saved just now)" in ended.err
    assert command("export", "--safetensors", "--out", "copy.safetensors").code == 0
    assert Path("copy.safetensors").read_bytes() == Path("runs/toy/0001/generator.safetensors").read_bytes()

    for form in ("fp16", "int8"):
        ended = command("export", "--onnx", f"--{form}")
        assert re.fullmatch(
            rf"runs/toy/0001/generator\.{form}\.onnx  0\.0 MB, differs from torch by at most \S+ \(allowed \S+\)\n"
            r"  by \d+\.\d\d% on the whole; one picture in \d+\.\d\d ms, 64 in \d+\.\d ms; "
            r"in fp32: 0\.0 MB, \d+\.\d\d ms, \d+\.\d ms\n",
            ended.out,
        )
        shown = command("info", f"runs/toy/0001/generator.{form}.onnx").out
        assert re.search(rf"^  precision +{form}$", shown, re.MULTILINE)
        assert command("sample", f"runs/toy/0001/generator.{form}.onnx", "--count", 3, "--out", "few.npy").code == 0
    assert re.search(r"^  precision +fp32$", command("info").out, re.MULTILINE)

    ended = command("sample", "--count", 6, "--seed", 7)
    assert ended.out == "runs/toy/0001/sample.png\n"
    grid = np.asarray(Image.open("runs/toy/0001/sample.png"))
    assert grid.shape == (2 * 10 + 2, 3 * 10 + 2)
    picture = ganlab.load_generator("runs/toy/0001/generator.onnx").sample([8])[0, :, :, 0]
    assert np.abs(grid[2:10, 12:20].astype(int) - picture.astype(int)).max() <= 1

    assert command("sample", "--seeds", "7-8,12", "--separate", "--out", "single").code == 0
    assert sorted(os.listdir("single")) == ["seed00000007.png", "seed00000008.png", "seed00000012.png"]

    ended = command("sample", "--seeds", "7-8,12", "--out", "pixels.npy")
    assert ended.out == "3 pictures in pixels.npy\n"
    pixels = np.load("pixels.npy")
    assert pixels.shape == (3, 8, 8, 1)
    for picture, seed in zip(pixels, (7, 8, 12), strict=True):
        assert np.array_equal(picture[:, :, 0], np.asarray(Image.open(f"single/seed{seed:08d}.png")))

    assert "model.options.base_channels  4" in command("info").out
    assert "dcgan" in command("plugins").out
    assert "dcgan_celeba" in command("recipes").out


def test_the_same_command_continues_and_says_when_there_is_nothing_left(command: Command, recipe: Path) -> None:
    assert command("run", recipe, "--out", "run", "--set", "train.iterations=4").code == 0
    assert "Trained 12 iterations" in command("run", recipe, "--out", "run").out
    ended = command("run", recipe, "--out", "run")
    assert ended.code == 0
    assert "The run in run was finished before: 12 iterations." in ended.out


def test_json_progress_is_json_lines(command: Command, recipe: Path) -> None:
    ended = command("run", recipe, "--progress", "json")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert {"run_start", "tick", "snapshot", "run_end"} <= {event["event"] for event in events}
    assert "Trained 12 iterations" in ended.err


def test_dry_run_shows_networks_and_sizes_and_leaves_nothing(command: Command, recipe: Path) -> None:
    ended = command("run", recipe, "--dry-run", "--set", "model.base_channels=8")
    assert ended.code == 0
    networks = DCGAN(base_channels=8, latent_dim=6).build(ganlab.ImageSpec(1, 8, 8))
    for name, network in networks.items():
        count = sum(parameter.numel() for parameter in network.parameters())
        assert f"network     {name}: {count:,} parameters" in ended.out
    assert "pictures    40 of 1 x 8 x 8" in ended.out
    assert "base_channels = 8" in ended.out
    assert not Path("runs").exists()


def test_recipes_show_check_and_copy(command: Command, tmp_path: Path) -> None:
    assert command("recipes", "check", "dcgan_mnist").out.endswith("dcgan_mnist.toml: no mistakes found\n")
    assert "batch_size = 128" in command("recipes", "show", "dcgan_mnist").out
    assert command("recipes", "copy", "dcgan_mnist", ".").out.startswith("dcgan_mnist.toml: edit it, then ganlab run")
    assert command("recipes", "check", "dcgan_mnist.toml").code == 0
    ended = command("recipes", "copy", "dcgan_mnist", ".")
    assert (ended.code, ended.err) == (2, "ganlab: dcgan_mnist.toml exists; name another file\n")


MISTAKES = [
    (["run", "nosuch"], "nosuch: there is no such recipe"),
    (["run", "quikstart"], "did you mean quickstart"),
    (["rum", "toy.toml"], "No such command 'rum'. Did you mean 'run'?"),
    (["run", "toy.toml", "--sett", "a=1"], "No such option '--sett'. Did you mean '--set'?"),
    (
        ["run", "toy.toml", "--set", "model.latentdim=5"],
        '--set model.latentdim=5: model.latentdim is not an option of model "dcgan"; did you mean latent_dim?',
    ),
    (["run", "toy.toml", "--set", "model.name=dgcan"], 'no model "dgcan" is installed; did you mean dcgan?'),
    (["run", "toy.toml", "--set", "train.epochs=many"], "train.epochs"),
    (["run", "toy.toml", "--set", "dataset.resolution=30"], "the nearest resolutions are 28, 32"),
    (["run", "toy.toml", "--device", "cuda:9"], "train.device = cuda:9: this machine has"),
    (["run", "toy.toml", "--out", "toy.toml"], "--out toy.toml is a file; name a directory"),
    (["export"], "name a format: --onnx, --safetensors, or --to NAME"),
    (["export", "--onnx", "--fp16", "--int8"], "--fp16 and --int8 are two files; export one at a time"),
    (["export", "--fp16"], "--fp16 is a form of ONNX; write --onnx --fp16"),
    (["export", "--safetensors", "--int8"], "--int8 is a form of ONNX; write --onnx --int8"),
    (["export", "--onnx"], "no run with a generator is known in runs/ here; train one with ganlab run RECIPE"),
    (["export", "nothing", "--onnx"], "nothing does not exist; name a generator file or a run's directory"),
    (["sample", "toy.toml"], "toy.toml"),
    (["sample", "--seeds", "3-1"], "the range 3-1 runs backwards"),
    (["sample", "--seeds", "a"], '"a" is neither a seed nor a range; write 0-63 or 3,14,15-17'),
    (["sample", "--seeds", "1", "--count", "2"], "--seeds says which pictures to draw; leave --count and --seed away"),
    (["sample", "--seeds", "0-4294967296"], "4294967296 is not a seed: seeds are whole numbers from 0 to 4294967295"),
    (["info", "."], ". has no generator.safetensors; name a run's directory or a generator file"),
    (["plugins", "show", "model", "dgcan"], "did you mean dcgan"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(row[0]) for row in MISTAKES])
def test_a_mistake_ends_in_one_message_and_exit_2(
    command: Command, recipe: Path, arguments: list[str], sentence: str
) -> None:
    before = set(os.listdir())
    ended = command(*arguments)
    assert ended.code == 2
    assert sentence in ended.err
    assert len(ended.err.splitlines()) <= 12
    assert set(os.listdir()) <= before | {"cache"}


def test_a_pickle_is_never_loaded(command: Command) -> None:
    import torch

    class Canary:
        def __reduce__(self) -> object:
            return (Path("canary").touch, ())

    torch.save(Canary(), "generator.pt")
    for arguments in (["info"], ["sample"], ["export", "--onnx"]):
        ended = command(arguments[0], "generator.pt", *arguments[1:])
        assert ended.code == 2
        assert "ganlab never loads pickles" in ended.err
    assert not Path("canary").exists()


def run_outside(*arguments: str, **options: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    toys = "from toys import Stripes; from ganlab.registry import registry; registry.add('dataset', 'stripes', Stripes)"
    code = f"{toys}; import sys; sys.argv = ['ganlab', *sys.argv[1:]]; from ganlab.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_ctrl_c_saves_and_says_how_to_go_on(command: Command, tmp_path: Path) -> None:
    recipe = tmp_path / "long.toml"
    recipe.write_text(dumps(tiny(train={"iterations": 100_000}, snapshot={"every_iterations": 50_000})))
    process = run_outside("run", str(recipe), "--out", "a run", "--progress", "plain")
    deadline = time.monotonic() + 120
    while not Path("a run/metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    found = re.search(r"stopped by Ctrl-C at iteration (\d+); everything is saved in a run\ngo on with: (.*)\n", err)
    assert found is not None, err
    assert found[2] == f"ganlab run {recipe} --out 'a run' --set observers.terminal.mode=plain"
    assert int(max(os.listdir("a run/checkpoints"))) == int(found[1])


def test_a_closed_pipe_is_no_error() -> None:
    process = run_outside("plugins")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) in (0, 1)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


LIGHT = [["--help"], ["run", "--help"], ["plugins"], ["recipes"], ["recipes", "check", "dcgan_celeba"]]


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_torch_is_not_imported_where_it_is_not_needed(arguments: list[str]) -> None:
    code = (
        "import sys; sys.argv[0] = 'ganlab'\n"
        "from ganlab.cli import main\n"
        "try: main()\n"
        "except SystemExit as error: assert not error.code, error.code\n"
        "heavy = {'torch', 'torchvision', 'onnx', 'onnxruntime', 'PIL'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)


def test_a_run_imports_nothing_of_torch_that_it_does_not_need() -> None:
    code = (
        "import sys; sys.argv[0] = 'ganlab'\n"
        "from ganlab.cli import main\n"
        "main()\n"
        "heavy = {'torchvision', 'torch._dynamo', 'torch._inductor', 'sympy', 'onnx'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    arguments = ["run", "quickstart", "--set", "train.iterations=1", "--set", "moving_average.statistics_batches=1"]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)


def test_ten_thousand_pictures_need_no_more_memory_than_a_thousand(command: Command, recipe: Path) -> None:
    # Of 64 x 64, so that the pictures themselves would be seen: 10,000 are 41 MB.
    command("run", recipe, "--set", "train.iterations=1", "--set", "dataset.resolution=64")
    code = (
        "import resource, sys; from ganlab.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command("export", "--onnx")
    peaks = []
    for count in (1_000, 10_000):
        arguments = ["sample", "runs/toy/0001/generator.onnx", "--count", str(count), "--out", f"{count}.npy"]
        ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        peaks.append(int(ended.stdout.splitlines()[-1]))
    assert np.load("10000.npy", mmap_mode="r").shape == (10_000, 64, 64, 1)
    assert peaks[1] < peaks[0] + 20_000, "in KiB: ten times the pictures, the same memory"
