"""Datasets from a .npy file that note what is read of them, and processes that pack them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from stand_ins import pictures, png_bytes

from ganlab import Dataset, Source
from ganlab.data import cache

ROOT = Path(__file__).parents[1]


class Sheet(Dataset):
    """Pictures from a .npy file, each a line in a log when it is read."""

    api = 1

    file: Path
    """The array `(N, H, W, C)`."""
    resolution: int = 8
    """Height and width."""
    classes: int = 0
    """Number of classes."""
    log: Path | None = None
    """Where reading a picture is noted."""
    seconds: float = 0.0
    """How long reading a picture takes."""
    gate: Path | None = None
    """From the hundredth picture on, reading waits until this file is there."""

    def sources(self) -> Iterable[Path]:
        return [self.file]

    def open(self) -> Source:
        return SheetSource(self)


class SheetSource(Source):
    def __init__(self, options: Sheet) -> None:
        self.options, self.classes = options, options.classes
        self.pixels = np.load(options.file)

    def __len__(self) -> int:
        return len(self.pixels)

    def image(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return self.read(index, "image")

    def read(self, index: int, what: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return a picture, and note that it was read, and as what."""
        if self.options.log is not None:
            with self.options.log.open("a") as log:
                log.write(f"{index} {what}\n")
        time.sleep(self.options.seconds * (index % 3))
        for _ in range(60_000):
            if self.options.gate is None or index < 100 or self.options.gate.exists():
                break
            time.sleep(0.01)
        picture: np.ndarray[Any, np.dtype[np.uint8]] = self.pixels[index]
        if picture.max() == 0:
            raise OSError(f"black as night ({index})")
        return picture

    def name(self, index: int) -> str:
        return f"picture {index}"

    def label(self, index: int) -> int:
        return index % 11


class Shared(Sheet):
    """A sheet whose pictures other processes decode, from PNG files; reading one is noted with the word file."""

    api = 1

    deadly: int = -1
    """The picture whose reading sends `number` to the processes that decode."""
    number: int = signal.SIGKILL
    """The number of a signal."""

    def open(self) -> Source:
        return SharedSource(self)


class SharedSource(SheetSource):
    def __init__(self, options: Shared) -> None:
        super().__init__(options)
        self.deadly, self.number = options.deadly, options.number

    def encoded(self, index: int) -> bytes | None:
        if index == self.deadly:
            for process in decoders():
                os.kill(process, self.number)
        return png_bytes(self.read(index, "file"))


class Named(SheetSource):
    """A sheet whose classes have names."""

    def __init__(self, options: Sheet, class_names: Any) -> None:
        super().__init__(options)
        self.class_names = class_names

    def label(self, index: int) -> int:
        return index % self.classes


def named(file: Path, class_names: Any, classes: int, **options: Any) -> Dataset:
    """Return a sheet of so many classes, which come in turn, with these names."""

    class Names(Sheet):
        """A sheet with names."""

        api = 1

        def open(self) -> Source:
            return Named(self, class_names)

    return Names(file=file, classes=classes, **options)


class Reports(list[tuple[str, int, int]]):
    """Notes what packing reports."""

    def __call__(self, name: str, done: int, total: int) -> None:
        self.append((name, done, total))

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for name, _, _ in self))


def sheet(path: Path, count: int = 70, black: Iterable[int] = ()) -> Path:
    """Write the file of a sheet."""
    pixels = pictures(count, 8, 8)
    pixels[list(black)] = 0
    np.save(path, pixels)
    return path.with_suffix(".npy")


def reads(log: Path) -> int:
    """Return how many pictures were read."""
    return len(log.read_text().splitlines()) if log.exists() else 0


def read_as(log: Path) -> set[str]:
    """Return what pictures were read as: as an image, which is decoded here, or as a file, for another process."""
    return {line.split()[1] for line in log.read_text().splitlines()}


def decoders() -> list[int]:
    """Return the processes that this one has started to decode pictures."""
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [int(row[0]) for row in rows if int(row[1]) == os.getpid() and "ganlab.data.workers" in row[-1]]


def cache_file() -> Path:
    """Return the one file of the cache."""
    (path,) = cache.directory().glob("*.safetensors")
    return path


def left() -> list[str]:
    """Return the endings of what lies in the cache."""
    return sorted(path.suffix for path in cache.directory().iterdir() if path.name != "CACHEDIR.TAG")


def child(body: str, **environment: str) -> subprocess.Popen[str]:
    """Start a program that has `pack` and what this module holds at hand."""
    begin = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # whatever this process does
        "from pathlib import Path\nfrom ganlab.data.packing import pack\nfrom sheets import Reports, Shared, Sheet\n"
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", begin + textwrap.dedent(body)],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a group of its own, which a terminal would signal as a whole
    )


def packing(file: Path, log: Path, gate: Path) -> str:
    """Return a program that packs a sheet and prints the fingerprint and what was reported.

    Once it waits for another, it opens the gate.
    """
    return f"""
        dataset = Sheet(file=Path({str(file)!r}), log=Path({str(log)!r}), gate=Path({str(gate)!r}))
        reports = Reports()
        def report(name, done, total):
            reports(name, done, total)
            if name.startswith("waiting"):
                dataset.gate.touch()
        packed = pack(dataset, "sheet", report)
        print(packed.fingerprint, *reports.names(), sep="|")
    """


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until it is so, as long as the process lives."""
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
