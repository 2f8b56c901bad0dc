"""What the server's processes do, and the components of the runs that they train."""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toys import Stripes, tiny

from durable.damage import mutated_bytes
from durable.file_calls import FileCalls, Way
from durable.runs import bits, end
from ganlab import Batch, DataError, Iteration, Observer, Source, Tick, Update, hookimpl
from ganlab.registry import registry
from ganlab.run.heartbeat import Heartbeat
from ganlab.standard.losses.bce import BCE

if TYPE_CHECKING:
    from torch import nn

HARD: dict[str, Any] = {
    "model": {"generator_dropout": 0.3, "discriminator_dropout": 0.2},
    "dataset": {"flip": True},
    "loss": {"discriminator_steps": 3, "generator_first": True, "real_label": 0.9},
    "optimizer": {"lr": {"from": 2e-4, "to": 0.0, "after": 0.3, "progress": 0.7}, "discriminator": {"lr": 1e-3}},
}
"""Everything that a continued run could get wrong."""
QUIET = dict.fromkeys(("metrics", "log", "samples", "plot", "gif", "health", "report"), False)


def short(**tables: Any) -> dict[str, Any]:
    """Return a recipe of four iterations and three checkpoints, watched by nobody."""
    tables["observers"] = {**QUIET, "terminal": {"mode": "off"}} | tables.get("observers", {})
    return tiny(
        **{
            "model": {"base_channels": 2, "latent_dim": 3},
            "moving_average": {"statistics_batches": 1},
            "train": {"iterations": 4, "batch_size": 4} | tables.pop("train", {}),
            "snapshot": {"every_iterations": 2, "samples": 1} | tables.pop("snapshot", {}),
            **tables,
        }
    )


class SlowStripes(Stripes):
    """Stripes that take their time to be drawn, so that packing can be interrupted."""

    api = 1

    milliseconds: float = 2.0
    """For each picture."""

    def open(self) -> Source:
        return _Slow(super().open(), self.milliseconds / 1000)


class _Slow(Source):
    def __init__(self, source: Source, seconds: float) -> None:
        self._source, self._seconds = source, seconds
        self.classes = source.classes

    def __len__(self) -> int:
        return len(self._source)

    def image(self, index: int) -> Any:
        time.sleep(self._seconds)
        return self._source.image(index)

    def name(self, index: int) -> str:
        return self._source.name(index)

    def label(self, index: int) -> int:
        return self._source.label(index)


def register() -> None:
    """Make the components known."""
    registry.add("dataset", "stripes", Stripes)
    registry.add("dataset", "slow_stripes", SlowStripes)
    registry.add("observer", "stop", Stop)
    registry.add("loss", "stalling", Stalling)


def warm_up(folder: Path) -> None:
    """Do everything once."""
    from ganlab.recipe.toml import dumps

    os.chdir(folder)
    Path("toy.toml").write_text(dumps(tiny()))
    for words in (["run", "toy.toml", "--out", "toy"], ["sample", "toy"], ["info", "toy"]):
        code, said = ended(*words)
        assert code == 0, said


def command(*words: str) -> None:
    """Run the command line."""
    from ganlab.__main__ import main

    sys.argv = ["ganlab", *words]
    main()


def command_at(terminal: str, *words: str) -> None:
    """Run the command line as somebody who sits at that terminal."""
    os.dup2(os.open(terminal, os.O_WRONLY | os.O_NOCTTY), 2)
    sys.stderr = sys.__stderr__ = open(2, "w", buffering=1, closefd=False)  # type: ignore[misc]  # noqa: SIM115  # as in a new process
    command(*words)


def hurt(at: int, way: Way, *words: str) -> None:
    """Run the command line with `--out run`, and kill the process at one of its file calls below that folder."""
    calls = FileCalls()
    calls.watch()
    calls.expect(Path("run"), at, way)
    try:
        command(*words, "--out", "run")
    finally:
        Path("calls.json").write_text(json.dumps(calls.seen))


def refuse(cases: list[tuple[str, int, int]], *words: str) -> None:
    """In each folder let one file call of the command line fail, and then give the command again.

    A case is a folder, the number of the call and the error. What happened is written to `refused.json`.
    """
    calls = FileCalls()
    calls.watch()
    happened = []
    for folder, at, error in cases:
        os.chdir(folder)
        calls.expect(Path("run"), at, "fail", error)
        first = ended(*words, "--out", "run")
        failed = calls.seen[at - 1] if at <= len(calls.seen) else None
        calls.expect(Path("run"))
        between = bits(Path("run"))
        second = ended(*words, "--out", "run")
        happened.append({"failed": failed, "first": first, "between": between, "second": second})
    Path("refused.json").write_text(json.dumps(happened))


def repeat(folders: list[str], *words: str) -> None:
    """Give the same command in many folders."""
    codes = []
    for folder in folders:
        os.chdir(folder)
        codes.append(ended(*words))
    Path("ended.json").write_text(json.dumps(codes))


def ended(*words: str) -> tuple[int, str]:
    """Run the command line; return its exit code and what it has said on stderr."""
    # Not __main__'s, which takes the signals to the process's end: pytest's goes on.
    from ganlab.cli import main

    sys.argv = ["ganlab", *words]
    said = io.StringIO()
    code: object = 0
    with redirect_stderr(said):
        try:
            main()
        except SystemExit as error:
            code = error.code
        except BaseException:  # noqa: BLE001  # as the interpreter does at its end
            traceback.print_exc()
            code = 70
    assert isinstance(code, int)
    return code, said.getvalue()


def with_umask(umask: int, *words: str) -> None:
    """Run the command line as somebody with that umask."""
    os.umask(umask)
    command(*words)


class Stop(Observer):
    """Sends its own process SIGTERM at one iteration."""

    api = 1

    at: int
    """The iteration."""

    @hookimpl
    def tick(self, tick: Tick) -> None:
        if tick.iteration == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


class Stalling(BCE):
    """Spends the third iteration in one call that hears no signal, as a large computation or a slow disk may.

    `STALL` in the environment says how long, in rounds of which a processor makes a million a second or so.
    """

    api = 1

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        rounds = int(os.environ.get("STALL", "0"))
        if rounds and round(float(iteration.progress) * 4) == 2:
            Path("stalled").touch()
            hashlib.pbkdf2_hmac("sha256", b"", b"", rounds)
        yield from super().updates(networks, batches, iteration)


def with_a_fast_heart(seconds: float, *words: str) -> None:
    """Run the command line with signs of life after that many seconds of silence."""
    Heartbeat.__init__.__defaults__ = (seconds,)
    command(*words)


def pack_and_weigh(root: str, max_pixels: int) -> None:
    """Pack pictures, all of them where they are good; print how many are good and bad, and the memory it took."""
    from ganlab.data.packing import pack
    from ganlab.standard.datasets.image_folder import ImageFolder

    dataset = ImageFolder(root=Path(root), resolution=8, max_pixels=max_pixels, on_bad="skip")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        packed = pack(dataset, "image_folder", lambda *_: None)
    except DataError as error:  # not one is good
        good, bad = 0, int(str(error).split()[0])
    else:
        good, bad = len(packed.images), len(packed.skipped)
        assert all(reason and "\n" not in reason and len(reason) <= 200 for _, reason in packed.skipped)
    print(good, bad, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))


def each(commands: list[list[str]]) -> None:
    """Run many command lines, one after the other, and write how each ended."""
    for number, words in enumerate(commands):
        Path(f"each{number}.json").write_text(json.dumps(ended(*words)))


def mutate_onnx(name: str, count: int, seed: int) -> None:
    """Load mutated copies of an ONNX file, half of them with a checksum that fits; print how many were refused."""
    from ganlab import load_generator
    from ganlab.errors import GanlabError
    from ganlab.generator.file import read_metadata, seal
    from ganlab.generator.metadata import UNSEALED

    dice = random.Random(seed)
    good = Path(name).read_bytes()
    plain = good.replace(read_metadata(name).digest.encode(), UNSEALED.encode())
    refused = 0
    for _ in range(count):
        changed = mutated_bytes(plain, dice)
        if changed.count(UNSEALED.encode()) == 1:
            changed = seal(changed)
        Path("mutated.onnx").write_bytes(changed)
        try:
            generator = load_generator("mutated.onnx", "cpu")
            generator.sample(range(2))
        except GanlabError:
            refused += 1
    print(refused)


def in_folder(folder: str, *words: str) -> None:
    """Run the command line in another folder."""
    os.chdir(folder)
    command(*words)


def with_small_files(limit: int, *words: str) -> None:
    """Run the command line where no file may be longer."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    command(*words)


def on_a_small_disk(place: str, size: int, *words: str) -> None:
    """Run the command line on a disk of that size, and again with all the space it wants.

    Prints the exit code of the first, and what the second has ended with.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    new_namespace, new_user = 0x00020000, 0x10000000
    if libc.unshare(new_namespace) and libc.unshare(new_namespace | new_user):
        print(f"cannot make a disk: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return
    libc.mount(b"none", b"/", None, 1 << 18 | 1 << 14, None)  # what is mounted here stays in here: private, and below
    if libc.mount(b"tmpfs", place.encode(), b"tmpfs", 0, f"size={max(size, 65536)}".encode()):
        print(f"cannot make a disk: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return
    code, said = ended(*words, "--out", f"{place}/run")
    print(said, file=sys.stderr)
    libc.mount(b"tmpfs", place.encode(), b"tmpfs", 1 << 5, b"size=1g")  # remounted, larger
    again, said = ended(*words, "--out", f"{place}/run")
    assert again == 0, said
    print(code)
    print(end(Path(place, "run")))
