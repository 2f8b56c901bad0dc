"""Everything that is measured on a GPU, in one command: `python benchmarks/gpu.py`, about 5 minutes on an H100.

The correctness gate first; then ganlab and the textbook in turns, in one process, each loop warm; whole runs;
inference; losses; batch sizes. With `--celeba` CelebA's recipe whole, too, on as many made-up faces: 3 minutes more.
Prints a table and writes benchmarks/results/gpu-<date>.json after each part. With `--device cpu --quick` it only shows
that it works.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import faces
import gate
import ours
import textbook
import torch
from arithmetic import flops
from legs import timed
from machine import RESULTS, describe
from ours import Setting
from processes import ratios, rounds, watched
from turns import Loop, Turn, kernels

import ganlab.training.trainer as training
from ganlab import load_generator
from ganlab.bench.peak import measure_peak
from ganlab.events import Tick
from ganlab.hardware.device import arithmetic, choose_device, synchronize
from ganlab.training.cuda_graphs import Captured

VARIANTS: dict[str, Mapping[str, Any]] = {
    "G-exact": ours.EXACT,
    "G-fp32": {"train": {"precision": "fp32"}},
    "G-eager": ours.FAST,
    "G-fast": ours.FAST,
    "G-compiled": {"train": {"compile": True}},
}
"""What ganlab offers: the textbook's mathematics, exact arithmetic, no option set, without and with CUDA graphs, and
kernels of torch.compile."""
BYTES = {(64, "bf16"): 1.99e9, (64, "tf32"): 3.75e9, (32, "bf16"): 0.473e9, (32, "tf32"): 0.886e9}
"""What an iteration of 128 RGB pictures must move, BatchNorm and activation as one: calculated, see the page."""
AHEAD = 2 * textbook.WORKERS + 2
"""Batches that the textbook's workers have made ready while others had their turn, and two more."""
CURVE = 500
FILES, PICTURES = 1000, 20_000
"""JPEG files, and under how many names they lie."""


class Scale(NamedTuple):
    """How much is measured."""

    width: int
    batch_size: int
    rounds: int
    seconds: float
    """Of a block."""
    pictures: int
    iterations: int
    """Of a whole run at 64 px."""
    faces: int
    """In the run of a whole recipe."""


FULL, QUICK = Scale(64, 128, 4, 0.7, PICTURES, 2000, 202_599), Scale(gate.NARROW, 16, 2, 0.2, 200, 20, 256)


def main() -> None:
    """Measure all parts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to see that it works (cuda)")
    parser.add_argument("--quick", action="store_true", help="tiny networks and few rounds: to see that it works")
    parser.add_argument("--celeba", action="store_true", help="train CelebA's recipe whole, too, on made-up faces")
    parser.add_argument("--out", type=Path, help="the JSON file to write")
    chosen = parser.parse_args()
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("this machine has no usable CUDA device; --device cpu --quick shows that the script works")
    device = choose_device(chosen.device, "--device")
    scale = QUICK if chosen.quick else FULL
    name = f"gpu-{time.strftime('%Y-%m-%d', time.gmtime())}{'-quick' * chosen.quick}.json"
    out = chosen.out or RESULTS / name
    begun = time.perf_counter()
    results: dict[str, Any] = {"machine": describe(str(device)), "quick": chosen.quick}
    with tempfile.TemporaryDirectory() as temporary:
        bench = _Bench(device, scale, Path(temporary))
        parts: dict[str, Callable[[], Any]] = {
            "gate": bench.gates,
            "device": bench.peaks,
            "comparisons": bench.comparisons,
            "runs": bench.runs,
            "inference": bench.inference,
            "curves": bench.curves,
            "batch_size": bench.batch_sizes,
        }
        if chosen.celeba:
            parts["celeba"] = bench.celeba
        for part, measure in parts.items():
            print(f"{time.perf_counter() - begun:4.0f} s  {part}", file=sys.stderr, flush=True)
            results[part] = measure()
            results["machine"]["minutes"] = round((time.perf_counter() - begun) / 60, 1)
            out.parent.mkdir(exist_ok=True)
            out.write_text(json.dumps(results, indent=1) + "\n")
    _show(results)
    print(f"{out}: now python benchmarks/pages.py")


class _Bench:
    """The parts of the benchmark."""

    def __init__(self, device: torch.device, scale: Scale, work: Path) -> None:
        self._device, self._scale, self._work = device, scale, work
        self._notes: list[str] = []
        self._cuda = device.type == "cuda"
        self._variants = {name: VARIANTS[name] for name in (VARIANTS if self._cuda else ("G-exact", "G-fast"))}
        if self._cuda:
            torch.cuda.set_device(device)
        self._faces = faces.write(work / "faces", min(FILES, scale.pictures))
        # Enough files that the textbook's workers are not started anew all the time: the same ones under other names.
        for copy in range(1, scale.pictures // FILES):
            (self._faces / f"copy-{copy}").mkdir()
            for path in (self._faces / faces.FOLDER).iterdir():
                os.link(path, self._faces / f"copy-{copy}" / path.name)

    def setting(self, resolution: int, channels: int = 3, batch_size: int | None = None) -> Setting:
        """Return what both sides train."""
        batch_size = batch_size or self._scale.batch_size
        return Setting(resolution, channels, batch_size, self._scale.width, str(self._device))

    def gates(self) -> list[dict[str, Any]]:
        """Compare both sides' mathematics; end here where they differ."""
        device = str(self._device)
        wanted = [(Setting(*size, 16, gate.NARROW, device), 20, "fp32") for size in ((32, 1), (32, 3), (64, 3))]
        if self._cuda:
            wanted += [(self.setting(size), 10, "tf32") for size in (32, 64)]
        found = [gate.gate(*one) for one in wanted]
        for one in found:
            print(f"  {'passed' if one.passed else 'FAILED'} {one}", file=sys.stderr)
        if not all(one.passed for one in found):
            raise SystemExit("the gate has failed: the two sides do not compute the same, so their speeds say nothing")
        return [one.as_json() for one in found]

    def peaks(self) -> dict[str, Any]:
        """Measure the device's arithmetic in each precision and the bandwidth of its memory."""
        found: dict[str, Any] = {}
        for precision in ("bf16", "tf32", "fp32") if self._cuda else ("fp32",):
            with arithmetic(self._device, precision):
                found[f"{precision}_flops"] = measure_peak(self._device, precision, self._scale.seconds).flops
        source = torch.randn(2**28 if self._cuda else 2**22, device=self._device)
        target = torch.empty_like(source)
        times = []
        for _ in range(10):
            synchronize(self._device)
            start = time.perf_counter()
            for _ in range(10):
                target.copy_(source)
            synchronize(self._device)
            times.append((time.perf_counter() - start) / 10)
        self._peaks = {**found, "bytes_per_second": 2 * source.nbytes / min(times)}
        return self._peaks

    def comparisons(self) -> list[dict[str, Any]]:
        """Let the textbook and ganlab's variants take turns on pictures in memory, and the textbook on files."""
        found = []
        for resolution, channels in ((64, 3), (32, 3), (32, 1)):
            setting = self.setting(resolution, channels)
            pixels = faces.pixels(4096 if self._cuda else 64, resolution, channels)
            loops: dict[str, Loop] = {"R-mem": self._textbook(setting, pixels)}
            for name, variant in self._variants.items():
                if channels == 3 or name in ("G-exact", "G-fast"):
                    loops[name] = self._ganlab(setting, variant, pixels, eager=name == "G-eager")
            if channels == 3:
                loops["R-e2e"] = self._textbook(setting, None)
            found.append(
                {"title": f"{resolution} px, {'RGB' if channels == 3 else 'greyscale'}"} | self._race(setting, loops)
            )
        return found

    def _race(self, setting: Setting, loops: Mapping[str, Loop]) -> dict[str, Any]:
        turns, about = {}, {}
        for name, loop in loops.items():
            turns[name], about[name] = self._warm(name, loop)
        measured = []
        for number, name in rounds(tuple(turns), self._scale.rounds):
            if name == "R-e2e":
                turns[name].block(0.0, AHEAD)
            block = turns[name].block(self._scale.seconds * (2 if name == "R-e2e" else 1))
            speed = {"images_per_second": setting.batch_size / block.seconds, "others_share": 0.0}
            measured.append({"round": number, "leg": name, **block._asdict(), **speed})
        for name, turn in turns.items():
            about[name]["kernels"] = kernels(turn) if self._cuda else None
            about[name]["floor_seconds"] = self._floor(setting, name)
            turn.close()
        wanted = [("R-mem", name) for name in self._variants if name in turns]
        wanted += [("R-e2e", "G-fast")] if "R-e2e" in turns else []
        return {
            "setting": setting._asdict(),
            "flops": flops(setting),
            "legs": measured,
            "about": about,
            "ratios": [ratios(measured, base, name) for base, name in wanted],
        }

    def _warm(self, name: str, loop: Loop) -> tuple[Turn, dict[str, Any]]:
        """Start a loop; return it once it is warm, with how long that took."""
        start = time.perf_counter()
        turn = Turn(name, loop, self._device)
        first = turn.block(0.0).seconds
        turn.block(self._scale.seconds, 20 if name != "R-e2e" else 2)
        notes, self._notes[:] = list(self._notes), []
        warm = time.perf_counter() - start
        return turn, {"first_seconds": first, "warm_seconds": warm, "notes": notes}

    def _floor(self, setting: Setting, name: str) -> float | None:
        """Return the least time of an iteration: its arithmetic, or what it must move, whichever takes longer."""
        precision = {"G-fast": "bf16", "G-eager": "bf16", "G-compiled": "bf16", "G-fp32": "fp32"}.get(name, "tf32")
        if not self._cuda:
            return None
        arithmetic_seconds = flops(setting) / self._peaks[f"{precision}_flops"]
        moved = BYTES.get((setting.resolution, "bf16" if precision == "bf16" else "tf32"), 0.0)
        return max(arithmetic_seconds, moved * setting.batch_size / 128 / self._peaks["bytes_per_second"])

    def _textbook(self, setting: Setting, pixels: faces.Pixels | None) -> Loop:
        """Return the textbook's loop, on pictures in the device's memory or on files."""

        def loop(beat: Callable[[], bool]) -> None:
            torch.backends.cudnn.benchmark = True
            G, D = (network.to(self._device) for network in gate.networks(setting))
            if pixels is None:
                batches = textbook.from_files(self._faces, setting.resolution, setting.batch_size)
            else:
                pictures = torch.from_numpy(pixels).to(self._device).float().div(127.5).sub(1.0)
                batches = textbook.in_memory(pictures, setting.batch_size)
            textbook.train(G, D, *textbook.optimizers(G, D), batches, self._device, lambda _: beat())
            batches.close()

        return loop

    def _ganlab(self, setting: Setting, variant: Mapping[str, Any], pixels: faces.Pixels, eager: bool = False) -> Loop:
        """Return ganlab's loop; an eager one is kept from capturing its iterations."""

        def loop(beat: Callable[[], bool]) -> None:
            if eager:
                training.Captured = lambda iteration, *_: iteration  # type: ignore[assignment,attr-defined]  # where Trainer looks it up

            def told() -> bool:
                training.Captured = Captured  # type: ignore[attr-defined]
                return beat()

            run = ours.trainer(ours.recipe(setting, variant), ours.packed(pixels))
            ours.train(run, told, noted=self._notes.append)

        return loop

    def curves(self) -> dict[str, Any]:
        """Compare where the losses of ganlab's default stand after a while with the textbook's of three seeds."""
        iterations = CURVE if self._cuda else 10
        setting = self.setting(32)
        pixels = faces.pixels(4096 if self._cuda else 64, 32, 3)
        pictures = torch.from_numpy(pixels).to(self._device).float().div(127.5).sub(1.0)
        seeds = [self._textbook_curve(setting, pictures, seed, iterations) for seed in range(3)]
        ticks: list[Tick] = []
        run = ours.trainer(ours.recipe(setting, {**ours.FAST, **ours.EVERY_TICK}), ours.packed(pixels))
        ours.train(run, lambda: len(ticks) >= iterations, ticks.append)
        mine = [_settled([tick.stats[f"loss_{name}"] for tick in ticks]) for name in ("discriminator", "generator")]
        inside = []
        for value, *values in zip(mine, *seeds, strict=True):
            width = max(values) - min(values)  # three seeds show about half of what many would
            inside.append(min(values) - width <= value <= max(values) + width)
        return {"iterations": iterations, "textbook": seeds, "ganlab": mine, "inside": all(inside)}

    def _textbook_curve(self, setting: Setting, pictures: torch.Tensor, seed: int, iterations: int) -> list[float]:
        torch.manual_seed(seed)
        G, D = (network.to(self._device) for network in gate.networks(setting))
        reports: list[textbook.Report] = []

        def told(report: textbook.Report) -> bool:
            reports.append(report)
            return len(reports) == iterations

        batches = textbook.in_memory(pictures, setting.batch_size)
        textbook.train(G, D, *textbook.optimizers(G, D), batches, self._device, told)
        return [
            _settled([one.loss_discriminator for one in reports]),
            _settled([one.loss_generator for one in reports]),
        ]

    def batch_sizes(self) -> list[dict[str, Any]]:
        """Measure ganlab's default at other batch sizes."""
        found = []
        for resolution, sizes in ((64, (256, 1024)), (32, (512, 2048))):
            for size in sizes if self._cuda else (8, 16):
                setting = self.setting(resolution, batch_size=size)
                pixels = faces.pixels(max(4096 if self._cuda else 64, size), resolution, 3)
                turn, about = self._warm("G-fast", self._ganlab(setting, ours.FAST, pixels))
                blocks = [turn.block(self._scale.seconds) for _ in range(2)]
                turn.close()
                seconds = statistics.median(block.seconds for block in blocks)
                speed = {"milliseconds": 1e3 * seconds, "images_per_second": size / seconds}
                found.append({"resolution": resolution, "value": size, **speed, **about})
        return found

    def runs(self) -> list[dict[str, Any]]:
        """Let `ganlab run` train from JPEG files, twice: pictures packed first, and packed already."""
        found = []
        for resolution in (64, 32):
            iterations = self._scale.iterations * (64 // resolution)
            recipe = self._work / f"faces_{resolution}.toml"
            recipe.write_text(
                f'[model]\nname = "dcgan"\nbase_channels = {self._scale.width}\n[dataset]\nname = "image_folder"\n'
                f"root = '{self._faces}'\nlabels = false\nresolution = {resolution}\n[train]\n"
                f'batch_size = {self._scale.batch_size}\niterations = {iterations}\ndevice = "{self._device}"\n'
                f"tick_seconds = {0.5 if self._cuda else 0.01}\n[snapshot]\nevery_iterations = {iterations}\n"
            )
            for packed in (False, True):
                out = self._work / f"run-{resolution}-{packed}"
                about = {"resolution": resolution, "packed": packed, "iterations": iterations}
                found.append(about | self._trained([str(recipe)], out))
        return found

    def celeba(self) -> dict[str, Any]:
        """Train the recipe of CelebA whole, on made-up faces of its number and size."""
        folder = self._work / "celeba" / "img_align_celeba"
        folder.mkdir(parents=True)
        made = sorted((self._faces / faces.FOLDER).iterdir())
        for index in range(self._scale.faces):
            os.link(made[index % len(made)], folder / f"{index + 1:06d}.jpg")
        options = [f"dataset.root={folder}", f"model.base_channels={self._scale.width}", f"train.device={self._device}"]
        if not self._cuda:
            options += ["train.epochs=1"]
        words = ["dcgan_celeba", *(word for option in options for word in ("--set", option))]
        return {"faces": self._scale.faces} | self._trained(words, self._work / "celeba-run")

    def _trained(self, words: Sequence[str], out: Path) -> dict[str, Any]:
        """Let `ganlab run` train; return its speed by its own metrics, and by the clock of its process."""
        words = [sys.executable, "-m", "ganlab", "run", *words, "--out", str(out), "--progress", "off"]
        environment = {**os.environ, "GANLAB_CACHE": str(self._work / "cache")}
        start = time.perf_counter()
        subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - start
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        gained = lines[-1]["images"] - lines[0]["images"]
        return {
            "process_seconds": wall,
            "images": lines[-1]["images"],
            "images_per_second": gained / (lines[-1]["seconds"] - lines[0]["seconds"]) if gained else None,
            "images_per_second_of_process": lines[-1]["images"] / wall,
        }

    def inference(self) -> list[dict[str, Any]]:
        """Compare the run's generator in torch on the device and in onnxruntime on what that finds."""
        import onnxruntime

        run = self._work / "run-64-True"
        subprocess.run([sys.executable, "-m", "ganlab", "export", str(run), "--onnx"], check=True, stdout=2)
        providers = onnxruntime.get_available_providers()
        there = "cuda" if self._cuda and "CUDAExecutionProvider" in providers else "cpu"
        legs = {
            "torch": load_generator(run / "generator.safetensors", str(self._device)),
            "onnxruntime": load_generator(run / "generator.onnx", there),
        }
        found = []
        for batch_size in (1, 64, 1024) if self._cuda else (1, 8):
            measured = []
            for number, name in rounds(tuple(legs), 2):
                z = legs[name].draw(range(batch_size))
                with watched() as about:
                    result = timed(partial(legs[name], z), warm_up=5, iterations=30)
                device = there if name == "onnxruntime" else str(self._device)
                measured.append({**result, **about, "round": number, "leg": name, "device": device})
            found.append(
                {"batch_size": batch_size, "legs": measured, "ratios": [ratios(measured, "torch", "onnxruntime")]}
            )
        return found


def _settled(losses: list[float]) -> float:
    """Return the mean of the second half."""
    return statistics.fmean(losses[len(losses) // 2 :])


def _show(results: Mapping[str, Any]) -> None:
    """Print what has come out, a line each."""
    for comparison in results["comparisons"]:
        print(f"\n{comparison['title']}, batches of {comparison['setting']['batch_size']}")
        for name, about in comparison["about"].items():
            blocks = [one for one in comparison["legs"] if one["leg"] == name]
            speed = statistics.median(one["images_per_second"] for one in blocks)
            seconds = statistics.median(one["seconds"] for one in blocks)
            floor = f"{about['floor_seconds'] / seconds:6.0%} of floor" if about["floor_seconds"] else ""
            started = f"{about['kernels']:5.0f} kernels" if about["kernels"] is not None else ""
            print(f"  {name:8} {speed:12,.0f} images/s {1e3 * seconds:9.3f} ms {floor} {started}")
            for note in about["notes"]:
                print(f"           {note}")
        for one in comparison["ratios"]:
            print(f"  {one['leg']} / {one['base']}: {one['median']:.2f}x ({one['lowest']:.2f} to {one['highest']:.2f})")
    for run in results["runs"]:
        print(
            f"ganlab run, {run['resolution']} px, packed {run['packed']}: {run['images_per_second'] or 0:,.0f} images/s"
        )
    if whole := results.get("celeba"):
        print(f"ganlab run dcgan_celeba: {whole['images']:,} images in {whole['process_seconds']:.0f} s")


if __name__ == "__main__":
    main()
