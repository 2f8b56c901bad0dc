"""Pictures packed a second, by the number of processes: `python benchmarks/packing.py`, about 2 minutes on 16 cores.

Packs made-up faces of CelebA's size, a thousand JPEG files under many names, at 64 px: by threads of one process, by
1, 2, 4 and more processes, and as `ganlab run` does it, which starts a process a core where that is worth it.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import faces

from ganlab.data.packing import pack
from ganlab.hardware.cores import available_cores
from ganlab.standard.datasets.celeba import CelebA

FILES, PICTURES, RESOLUTION = 1000, 40_000, 64


def main() -> None:
    """Measure all ways and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=PICTURES, help=f"how many ({PICTURES:,})")
    parser.add_argument("--quick", action="store_true", help="few pictures: to see that it works")
    chosen = parser.parse_args()
    count, files = (256, 64) if chosen.quick else (chosen.pictures, FILES)
    cores = available_cores()
    print(f"{count:,} pictures, {cores} cores")
    with tempfile.TemporaryDirectory() as work:
        dataset = CelebA(root=_pictures(Path(work), count, files), resolution=RESOLUTION)
        os.environ["GANLAB_CACHE"] = str(Path(work) / "cache")
        fingerprints = set()
        for processes in ways(cores):
            shutil.rmtree(os.environ["GANLAB_CACHE"], ignore_errors=True)
            start = time.perf_counter()
            fingerprints.add(pack(dataset, "celeba", lambda *_: None, processes).fingerprint)
            speed = count / (time.perf_counter() - start)
            called = {None: "as ganlab run", 0: "threads alone"}.get(processes, f"processes: {processes}")
            print(f"{called:<14} {speed:8,.0f} pictures/s", flush=True)
    assert len(fingerprints) == 1, "the packed pictures differ"
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"each process took {largest:.0f} MiB at most")


def ways(cores: int) -> Iterator[int | None]:
    """Yield numbers of processes: none, powers of two and one a core; None is what `pack` chooses."""
    yield 0
    yield from sorted({2**power for power in range(cores.bit_length()) if 2**power < cores} | {cores})
    yield None


def _pictures(work: Path, count: int, files: int) -> Path:
    """Write so many files and let them lie under `count` names; return their folder."""
    made = sorted((faces.write(work / "made", files) / faces.FOLDER).iterdir())
    folder = work / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    for index in range(count):
        os.link(made[index % files], folder / f"{index + 1:06d}.jpg")
    return folder.parent


if __name__ == "__main__":
    main()
