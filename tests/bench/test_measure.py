"""`ganlab bench`: what it counts is right, what it says follows from what it measured, and it keeps nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from click.testing import CliRunner
from ganlab_conditional import ConditionalDCGAN
from rich.console import Console
from torch import nn
from toys import tiny

from ganlab import Batch, Iteration, Loss, Update
from ganlab.bench.clock import Block, Clock
from ganlab.bench.measure import _Bench, _endless, _Fixed, measure
from ganlab.bench.peak import Peak, measure_peak
from ganlab.bench.report import Report, Startup, limiting, spread
from ganlab.cli import ganlab
from ganlab.cli.bench import show
from ganlab.data.packing import pack
from ganlab.errors import GanlabError
from ganlab.recipe.recipe import parse_recipe
from ganlab.registry import registry

CPU = torch.device("cpu")
REPORT = Report(
    recipe="faces",
    device="cpu",
    processor="a processor",
    precision="fp32",
    threads=2,
    torch="2.15.0",
    batch_size=64,
    pictures=(1000, 3, 64, 64),
    images_per_second=spread([50.0, 64.0, 70.0]),
    iteration_seconds=spread([1.28, 1.0, 0.9]),
    blocks=3,
    iterations=5,
    flops=100e9,
    peak=Peak(200e9, "convolution"),
    data_share=0.05,
    host_seconds=0.1,
    memory_bytes=900_000_000,
    notes=("iterations are computed eagerly",),
    startup=Startup(2.0, 0.1, 0.2, 1.5),
)


def quiet(*_: object) -> None:
    pass


def toy(tmp_path: Path) -> Path:
    """Write a recipe on pictures that come with ganlab, for a command in a process of its own."""
    path = tmp_path / "toy.toml"
    path.write_text(
        '[model]\nname = "dcgan"\nbase_channels = 4\n'
        '[dataset]\nname = "fashion_mnist"\nsplit = "shipped"\nresolution = 16\n'
        '[train]\nbatch_size = 16\ndevice = "cpu"\nthreads = 1\n'
    )
    return path


# What is counted


def test_a_dcgan_iteration_has_the_arithmetic_of_the_paper_count() -> None:
    # Multiplications a picture, layer by layer, of the 64 px networks of Radford et al. 2015 with 512 channels.
    G = [100 * 512 * 16] + [16 * 4 * 4 * 4**i * (512 >> i) * (256 >> i) for i in range(3)] + [16 * 32 * 32 * 64 * 3]
    D = [16 * 32 * 32 * 3 * 64] + [16 * 4 ** (4 - i) * (64 << i) * (128 << i) for i in range(3)] + [16 * 512]
    assert round(sum(G) / 1e6, 1) == 104.6
    assert round(sum(D) / 1e6, 1) == 103.8
    # D(real) and D(fake): forward and both gradients, but none for the pictures; D(fake) again: forward and input
    # gradient; G: forward and both gradients, but none for z.
    paper = 2 * (3 * sum(D) - D[0]) + 2 * sum(D) + 3 * sum(G) - G[0]
    tables = tiny(
        model={"name": "dcgan", "base_channels": 64, "latent_dim": 100},
        dataset={"name": "stripes", "resolution": 64, "channels": 3},
        train={"batch_size": 2},
    )
    assert bench_of(tables).count()[0] == 2 * 2 * paper


def test_the_batches_of_an_iteration_are_counted() -> None:
    bench = bench_of(tiny(loss={"name": "bce", "discriminator_steps": 3}))
    bench.count()
    assert bench.batches_per_iteration == 3


class TakingTurns(Loss):
    """Updates the discriminator and the generator in turns."""

    api = 1
    period: ClassVar[int] = 2

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        batch = next(batches)
        fake = networks["generator"](batch.z)
        if iteration.phase == 0:
            yield Update("discriminator", networks["discriminator"](fake.detach()).mean())
        else:
            yield Update("generator", -networks["discriminator"](fake).mean())


def test_what_an_iteration_costs_is_the_mean_over_the_period() -> None:
    registry.add("loss", "taking_turns", TakingTurns)
    try:
        bench = bench_of(tiny(loss={"name": "taking_turns"}))
        flops, _ = bench.count()
        assert bench._trainer.state.iteration == 4, "one period is timed, one is counted"
        assert flops * 2 == int(flops * 2) > 0
    finally:
        registry.remove("loss", "taking_turns")


def test_a_model_with_labels_is_measured() -> None:
    registry.add("model", "with_labels", ConditionalDCGAN)
    try:
        model = {"name": "with_labels", "base_channels": 4, "latent_dim": 6}
        tables = tiny(model=model, dataset={"resolution": 16, "classes": 3})
        assert measure(parse_recipe(tables), 1.0, quiet).flops > 0
    finally:
        registry.remove("model", "with_labels")


def bench_of(tables: dict[str, Any]) -> _Bench:
    recipe = parse_recipe(tables)
    packed = pack(recipe.dataset, "stripes", quiet)
    return _Bench(_endless(recipe), packed, CPU, "fp32", 0.01)


# What follows from it


@pytest.mark.parametrize(
    ("data_share", "host_share", "cpu", "limit"),
    [
        (0.0, 0.0, True, "compute"),
        (0.19, 0.49, True, "compute"),
        (0.2, 0.9, True, "data"),
        (0.1, 0.5, True, "host"),
        (0.1, 0.5, False, "compute"),
        (0.1, 0.95, False, "host"),
        (0.3, None, False, "data"),
        (0.0, None, True, "compute"),
    ],
)
def test_what_limits_a_training_follows_from_the_shares(
    data_share: float, host_share: float | None, cpu: bool, limit: str
) -> None:
    assert limiting(data_share, host_share, cpu) == limit


def test_a_report_gives_the_floor_and_the_shares() -> None:
    assert REPORT.floor_seconds == 0.5
    assert REPORT.floor_share == 0.5
    assert REPORT.host_share == 0.1
    assert REPORT.limit == "compute"


def test_a_clock_measures_blocks_and_leaves_out_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    state = bench_of(tiny())._trainer.state
    clock = Clock(state, CPU, seconds=10.0, block_seconds=2.0, period=1)
    stopped = []
    for iteration in range(1, 100):
        now += 0.5
        state.iteration = iteration
        stopped.append(clock.stop_requested())
        if stopped[-1]:
            break
    # Eight iterations are warm-up; then come blocks of four, until ten seconds are over.
    assert clock.blocks == [Block(4, 2.0)] * 3
    assert (len(stopped), sum(stopped)) == (20, 1)


def test_the_fixed_batch_stands_for_batches() -> None:
    bench = bench_of(tiny())
    fixed = _Fixed(bench._trainer.batches)
    batches = [next(fixed), next(fixed), fixed.made_of(fixed.draw())]
    assert all(batch is batches[0] for batch in batches)
    assert fixed.drawn == 3
    missing = {name for name in vars(type(bench._trainer.batches)) if not name.startswith("_")} - set(dir(fixed))
    assert not missing, "the loop may ask for these"


def test_the_peak_is_that_of_the_faster_operation() -> None:
    peak = measure_peak(CPU, "fp32", 0.0)
    assert peak.flops > 1e8
    assert peak.of in ("matmul", "convolution")


# What it measures


@pytest.mark.parametrize("tables", [tiny(), tiny(train={"batch_size": 20})], ids=["small", "large"])
def test_a_recipe_is_measured_and_nothing_is_kept(tables: dict[str, Any], tmp_path: Path) -> None:
    said: list[str] = []
    report = measure(parse_recipe(tables), 1.0, lambda work, done, total: said.append(work))
    assert report.images_per_second.lowest <= report.images_per_second.median <= report.images_per_second.highest
    assert report.pictures == (40, 1, 8, 8)
    assert 0 < report.floor_share < 1
    assert 0 <= report.data_share < 1
    assert (report.host_seconds is None) == (report.batch_size < 16)
    assert report.memory_bytes > 1e7
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}
    assert set(said) >= {"measuring", "measuring the peak"}


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(GanlabError, match="one process"):
        measure(parse_recipe(tiny()), 1.0, quiet)


# What it prints

KEYS = {
    "recipe": str,
    "device": str,
    "processor": str,
    "precision": str,
    "threads": int,
    "torch": str,
    "batch_size": int,
    "pictures": list,
    "images_per_second": dict,
    "milliseconds_per_iteration": dict,
    "blocks": int,
    "iterations": int,
    "gflop_per_iteration": float,
    "peak_gflop_per_second": float,
    "peak_of": str,
    "floor_milliseconds": float,
    "floor_share": float,
    "data_share": float,
    "host_milliseconds": float,
    "limit": str,
    "memory_bytes": int,
    "notes": list,
    "startup_seconds": dict,
}


def test_json_has_every_key_that_the_page_documents() -> None:
    found = json.loads(json.dumps(REPORT.as_json()))
    assert {key: type(value) for key, value in found.items()} == KEYS
    assert found["milliseconds_per_iteration"] == {"median": 1000.0, "lowest": 900.0, "highest": 1280.0}
    page = (Path(__file__).parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in page for key in KEYS)


@pytest.mark.parametrize("width", [40, 80])
def test_the_table_fits_the_terminal_and_loses_nothing(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    show(REPORT, Console(width=width, highlight=False))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    words = " ".join(shown.split())
    for part in ("64 (50 to 70)", "1,000 (900 to 1,280)", "50%", "convolution", "900 MB", "3.8 s", "eagerly"):
        assert all(word in words for word in part.split()), part


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ganlab", "bench", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_prints_json_and_writes_no_run(tmp_path: Path) -> None:
    done = run(str(toy(tmp_path)), "--seconds", "1", "--json", "--set", "train.batch_size=32")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["batch_size"] == 32
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "toy.toml"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.toml"], "nowhere.toml"),
        (["quickstart", "--set", "train.batchsize=3"], "did you mean batch_size?"),
        (["quickstart", "--device", "tpu"], "train.device"),
        (["quickstart", "--set", "train.batch_size=20000"], "only 10000 pictures"),
        (["quickstart", "--seconds", "0"], "--seconds"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], message: str) -> None:
    result = CliRunner().invoke(ganlab, ["bench", *words], prog_name="ganlab")
    assert result.exit_code != 0
    told = str(result.exception) if isinstance(result.exception, GanlabError) else result.output.splitlines()[-1]
    assert message in told
    assert len(told.splitlines()) == 1


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    recipe = toy(tmp_path)
    command = [sys.executable, "-m", "ganlab", "bench", str(recipe), "--seconds", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("measuring"):
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith("ganlab: stopped by SIGINT")
    assert "Traceback" not in errors
