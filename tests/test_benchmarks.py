"""The benchmark against textbooks: its gate holds and can fail, its legs run, its page shows what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import arithmetic
import faces
import gate
import kernels
import ours
import pages
import processes
import pytest
import textbook
import torch
import whole
from ours import Setting
from torch.utils.flop_counter import FlopCounterMode
from turns import Flags, Turn

from ganlab.bench.measure import _Bench, endless
from ganlab.hardware.device import tf32

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
TINY = Setting(32, 3, 16, gate.NARROW)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_textbook_and_ganlab_compute_the_same(channels: int) -> None:
    found = gate.gate(TINY._replace(channels=channels), iterations=5)
    assert found.passed, found
    assert max(found.median) <= 1e-5


def test_the_gate_fails_where_the_mathematics_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textbook, "BETAS", (0.5, 0.99))
    assert not gate.gate(TINY, iterations=3).passed


def test_the_arithmetic_on_paper_is_what_torch_counts() -> None:
    pixels, cpu = faces.pixels(32, 32, 3), torch.device("cpu")
    recipe = endless(ours.recipe(TINY, ours.EXACT))
    mine = _Bench(recipe, ours.packed(pixels), cpu, "fp32", 0.1)
    assert mine.count()[0] == arithmetic.flops(TINY)
    G, D = gate.networks(TINY)
    batches = textbook.in_memory(torch.from_numpy(pixels).float().div(127.5).sub(1.0), TINY.batch_size)
    with FlopCounterMode(display=False) as counter:
        textbook.train(G, D, *textbook.optimizers(G, D), batches, cpu, lambda _: True)
    assert counter.get_total_flops() == arithmetic.textbook_flops(TINY)


def test_the_arithmetic_of_the_published_networks() -> None:
    assert round(arithmetic.flops(Setting(batch_size=128)) / 1e9, 1) == 291.2
    assert round(arithmetic.textbook_flops(Setting(batch_size=128)) / 1e9, 1) == 317.7
    assert round(arithmetic.flops(Setting(32, 3, 128)) / 1e9, 1) == 49.3


def test_pictures_are_those_of_their_seed(tmp_path: Path) -> None:
    root = faces.write(tmp_path / "faces", 3)
    sizes = [path.stat().st_size for path in sorted((root / faces.FOLDER).iterdir())]
    assert len(sizes) == 3
    assert all(4_000 < size < 25_000 for size in sizes)  # CelebA's are 4 to 20 kB
    assert (faces.pixels(5, 16, 1)[:3] == faces.pixels(3, 16, 1)).all()
    assert faces.pixels(600, 8, 3).shape == (600, 3, 8, 8)


@pytest.mark.long
@pytest.mark.parametrize("leg", ["R-mem", "R-e2e", "G-fast", "G-e2e"])
def test_a_leg_runs_in_a_process_of_its_own(leg: str, tmp_path: Path) -> None:
    options = {"setting": TINY._asdict(), "pictures": 32, "faces": faces.write(tmp_path / "faces", 32)}
    options |= {"warm_up": 1, "iterations": 2, "tick_seconds": 1e-9}
    found = processes.leg(leg, tmp_path / "cache", threads=1, **options)
    assert found["iterations"] == 2
    assert found["images_per_second"] == pytest.approx(16 / found["seconds"])


@pytest.mark.long
def test_whole_processes_are_compared_and_leave_whole_runs(tmp_path: Path) -> None:
    pictures = faces.write(tmp_path / "faces", 32)
    (found,) = whole.measure(tmp_path, pictures, {32: 1}, bf16=False, quick=True)
    assert [leg["leg"] for leg in found["legs"]] == ["R-e2e", "ganlab run"]
    assert all(leg["seconds"] > 0.5 and leg["peak_bytes"] > 1e8 for leg in found["legs"])
    (ratio,) = found["ratios"]
    slow, fast = found["legs"]
    assert (ratio["base"], ratio["median"]) == ("R-e2e", slow["seconds"] / fast["seconds"])
    metrics = (tmp_path / "whole-32-fp32-0" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(metrics[-1])["iteration"] == found["iterations"] == 4


def test_loops_take_turns() -> None:
    recipe, pictures = ours.recipe(TINY, ours.FAST), ours.packed(faces.pixels(32, 32, 3))
    turns = [
        Turn(name, lambda beat: ours.train(ours.trainer(recipe, pictures), beat), torch.device("cpu")) for name in "ab"
    ]
    assert [turn.block(0.0, 2).iterations for turn in (*turns, *reversed(turns))] == [2, 2, 2, 2]
    for turn in turns:
        turn.close()


def test_loops_find_their_own_arithmetic_again_and_leave_none_behind() -> None:
    """Loops of exact and of fast matrix products in turns, as on a GPU; torch refuses to go on from a mixture."""
    found: list[tuple[bool, str]] = []

    def loop(beat: Callable[[], bool], fast: bool) -> None:
        with tf32(fast):
            while not beat():
                found.append((fast, torch.get_float32_matmul_precision()))

    before = Flags.now()
    turns = [Turn(str(fast), partial(loop, fast=fast), torch.device("cpu")) for fast in (True, False, True)]
    for turn in (*turns, *turns):
        turn.block(0.0, 2)
        assert Flags.now() == before
    for turn in turns:
        turn.close()
        assert Flags.now() == before
    assert set(found) == {(True, "high"), (False, "highest")}


def test_rounds_alternate_and_ratios_are_those_of_pairs() -> None:
    assert [name for _, name in processes.rounds("AB", 3)] == list("ABBAAB")
    times = {"A": [3.0, 4.0, 9.0], "B": [2.0, 2.0, 3.0]}
    legs: list[dict[str, Any]] = [
        {"round": number, "leg": name, "seconds": times[name][number], "others_share": 0.1 * (number == 2)}
        for number, name in processes.rounds("AB", 3)
    ]
    found = processes.ratios(legs, "A", "B")
    assert (found["median"], found["lowest"], found["highest"]) == (2.0, 1.5, 3.0)
    assert (found["least_to_least"], found["disturbed"], found["median_of_calm"]) == (1.5, 1, 1.75)


def test_packing_is_measured_for_threads_and_for_each_number_of_processes() -> None:
    command = [sys.executable, str(BENCHMARKS / "packing.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *speeds, last = done.stdout.splitlines()
    assert first.startswith("256 pictures, ")
    assert [line[:14].strip() for line in speeds[:2]] == ["threads alone", "processes: 1"]
    assert speeds[-1].startswith("as ganlab run ")
    assert last.startswith("each process took ")


def test_the_page_shows_the_results() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "pages.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_tables_are_written_from_results(tmp_path: Path) -> None:
    page = "<!-- results: cpu -->\nold\n<!-- end of results -->\n"
    assert "Not measured yet" in pages.filled(page, tmp_path)
    machine = {"date": "today", "command": "c", "minutes": 1.0, "processor": "p", "cores": 2, "cpu": "p"}
    machine |= {"cpu_capability": "AVX2", "memory_gib": 8, "system": "s", "python": "3", "packages": {}, "commit": "c"}
    (tmp_path / "cpu-1.json").write_text(json.dumps({"machine": machine, "gate": []}))
    (tmp_path / "cpu-2-quick.json").write_text("{}")
    filled = pages.filled(page, tmp_path)
    assert "| date | today |" in filled
    assert "old" not in filled
    assert pages.filled(filled, tmp_path) == filled


def test_each_part_is_the_newest_with_the_machine_of_its_own(tmp_path: Path) -> None:
    older = {"machine": {"date": "2026-01-01"}, "gate": ["old"], "scaling": ["kept"]}
    newer = {"machine": {"date": "2026-01-02"}, "gate": ["new"]}
    (tmp_path / "cpu-b.json").write_text(json.dumps(older))
    (tmp_path / "cpu-a.json").write_text(json.dumps(newer))
    found = pages.newest(tmp_path, "cpu")
    assert found == {
        "gate": ["new"],
        "scaling": ["kept"],
        "machines": {"gate": {"date": "2026-01-02"}, "scaling": {"date": "2026-01-01"}},
    }


def test_kernels_are_told_apart_by_their_names() -> None:
    names = {
        "void at::native::batch_norm_collect_statistics_channels_last_kernel<at::native::Var>": "BatchNorm",
        "sm90_xmma_dgrad_implicit_gemm_indexed_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize256x64x64": "convolutions",
        "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_bf16_128x64_64x3_nn_align2>": "matrix products",
        "void at::native::vectorized_elementwise_kernel<8, at::native::leaky_relu_kernel(at::Tensor)>": "activations",
        "Memcpy DtoD (Device -> Device)": "casts and copies",
        "void at::native::vectorized_elementwise_kernel<4, at::native::sigmoid_kernel_cuda>": kernels.REST,
    }
    assert {name: kernels.kind_of(name) for name in names} == names
    one, other = kernels.Kernel("batch_norm", 0.0, 3.0), kernels.Kernel("gemm", 3.0, 10.0)
    assert kernels.table([one, other, one], 2) == {"matrix products": (3.5, 0.5), "BatchNorm": (3.0, 1.0)}
