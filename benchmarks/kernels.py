"""Where a GPU's time goes in a captured iteration: `python benchmarks/kernels.py`, half a minute on one GPU.

Trains DCGAN at 64 and 32 px as the benchmark does, lets torch's profiler watch five replays, and prints the time and
the number of kernels of each kind. `--out FILE` keeps each kernel with its beginning and end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import faces
import ours
import torch
from ours import Setting
from turns import Turn

KINDS = {
    "BatchNorm": ("batch_norm", "FillFunctor<int>", "FunctorOnSelf_add<long>"),
    "convolutions": ("xmma", "cudnn", "convolve", "ImplicitGemm", "nhwc", "memset", "Memset"),
    "matrix products": ("gemm", "nvjet", "splitKreduce"),
    "activations": ("leaky_relu", "clamp", "threshold", "tanh", "triton"),
    "optimizer": ("FusedOptimizer",),
    "moving average and gradient norms": ("multi_tensor_apply", "lpnorm"),
    "casts and copies": ("copy", "CatArray", "memcpy", "Memcpy"),
}
"""What the names of kernels hold, the first that fits. torch counts and clears for BatchNorm in kernels of others, and
what torch.compile has fused is mostly activations."""
REST = "losses and the rest"
REPLAYS = 5


class Kernel(NamedTuple):
    """A kernel, copy or fill, in microseconds since the profile began."""

    name: str
    begin: float
    end: float


def kind_of(name: str) -> str:
    """Return which kind of work a kernel does."""
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), REST)


def table(kernels: Sequence[Kernel], iterations: int) -> dict[str, tuple[float, float]]:
    """Return microseconds and kernels an iteration, by kind, the longest first."""
    found: dict[str, tuple[float, float]] = {}
    for kernel in kernels:
        time, number = found.get(kind_of(kernel.name), (0.0, 0.0))
        found[kind_of(kernel.name)] = time + (kernel.end - kernel.begin) / iterations, number + 1 / iterations
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def main() -> None:
    """Profile both sizes, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--compile", action="store_true", help="with networks that torch.compile has built")
    parser.add_argument("--out", type=Path, help="a JSON file for all kernels")
    wanted = parser.parse_args()
    device = torch.device("cuda", 0)
    torch.cuda.set_device(device)
    kept = {}
    for resolution in (64, 32):
        turn = Turn("ganlab", _loop(resolution, {"train": {"compile": True}} if wanted.compile else {}), device)
        turn.block(0.5, 30)
        seconds = turn.block(0.5).seconds
        kernels = _profiled(turn)
        turn.close()
        kept[resolution] = kernels
        print(f"\n{resolution} px, RGB, batches of 128: {1e6 * seconds:,.0f} us an iteration")
        for kind, (time, number) in table(kernels, REPLAYS).items():
            print(f"  {time:7.0f} us {number:6.0f} kernels  {kind}")
    if wanted.out:
        wanted.out.write_text(json.dumps(kept))


def _loop(resolution: int, variant: dict[str, Any]) -> Callable[[Callable[[], bool]], None]:
    pixels = faces.pixels(4096, resolution, 3)

    def loop(beat: Callable[[], bool]) -> None:
        setting = Setting(resolution, 3, 128, 64, "cuda:0")
        ours.train(ours.trainer(ours.recipe(setting, variant), ours.packed(pixels)), beat, noted=print)

    return loop


def _profiled(turn: Turn) -> list[Kernel]:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        turn.block(0.0, REPLAYS)
    events: list[Any] = [event for event in profiler.events() if event.device_type.name == "CUDA"]
    return [Kernel(event.name, event.time_range.start, event.time_range.end) for event in events]


if __name__ == "__main__":
    main()
