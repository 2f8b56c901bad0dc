"""Processes that decode pictures: threads wait for Python's lock, a dozen times for each picture.

They are started here, not by multiprocessing: its ways either copy a process in which torch's threads hold locks, or
run the user's script again from its top. What is pickled goes from one process to another, and comes from no file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import ForkingPickler
from queue import Empty, SimpleQueue
from typing import NamedTuple

from ganlab.data.chunks import Chunk, decode_chunk
from ganlab.data.decode import Target
from ganlab.errors import RunError
from ganlab.interfaces import Source
from ganlab.messages import ended, printable

PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from ganlab.data.workers import serve; serve(int(sys.argv[1]))"
"""What a process runs: it finds modules where this one does, and nothing in its `__main__`."""
LIMITS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""numpy starts a thread a core when it is imported; here none of them would ever have work."""


class Settings(NamedTuple):
    """What a program can change in PIL, and some do, that decides which pictures are bad."""

    truncated: bool
    most_pixels: int | None


class Task(NamedTuple):
    """What a process is asked for."""

    part: Source
    pictures: int
    target: Target
    name: str
    settings: Settings


class Worker(NamedTuple):
    """A process, and this end of the way to it."""

    process: subprocess.Popen[bytes]
    connection: Connection[bytes, Chunk | None]


class Workers:
    """Decodes a source for several threads: each asks a process of its own, or decodes by itself where none is free."""

    def __init__(self, source: Source, target: Target, name: str) -> None:
        self._source, self._target, self._name = source, target, name
        self._all: list[Worker] = []
        self._free: SimpleQueue[Worker] = SimpleQueue()

    def start(self, count: int) -> None:
        """Start so many processes, fewer where the system allows no more; each ends with this one, however it ends.

        Nothing happens where the source cannot be read by others, and nothing the second time.
        """
        if self._all or self._source.part(range(1)) is None:
            return
        with _without_signals(), suppress(OSError):
            for _ in range(count):
                self._all.append(_started())
                self._free.put(self._all[-1])

    def decode(self, span: range) -> Chunk:
        """Return the pictures of `span`. Raise `DataError` as `decode_chunk` does, `RunError` for a killed process."""
        chunk = self.ask(span)
        return decode_chunk(self._source, self._target, self._name, span) if chunk is None else chunk

    def ask(self, span: range) -> Chunk | None:
        """Return the pictures of `span` as another process decodes them, None where none is free or it cannot."""
        try:
            worker = self._free.get_nowait()
        except Empty:
            return None
        task = self._task(span)
        chunk = None if task is None else self._asked(worker, task, span)
        # One that could not is not asked again: it lacks what it would lack for the next part, too.
        if chunk is not None:
            self._free.put(worker)
        return chunk

    def stop(self) -> None:
        """End all processes: a thread that waits for one learns that it has ended."""
        for worker in self._all:
            worker.process.kill()

    def close(self) -> None:
        """End all processes and give back what they took. No thread may be waiting for one any more."""
        self.stop()
        for worker in self._all:
            worker.process.wait()
            worker.connection.close()

    def _task(self, span: range) -> memoryview | None:
        part = self._source.part(span)
        if part is None:
            return None
        try:
            return ForkingPickler.dumps(Task(part, len(span), self._target, self._name, _settings()))
        # A stranger's class: there is no list of what pickling raises.
        except Exception:  # noqa: BLE001
            return None

    def _asked(self, worker: Worker, task: memoryview, span: range) -> Chunk | None:
        try:
            worker.connection.send_bytes(task)
            return worker.connection.recv()
        except (EOFError, ConnectionError) as error:
            first, last = (printable(self._source.name(index)) for index in (span[0], span[-1]))
            raise RunError(
                f'a process that decoded pictures of dataset "{self._name}" {ended(worker.process.wait())}, at one '
                f"from {first} to {last}; nothing was packed: start again, without these if they end it again"
            ) from error


def serve(descriptor: int) -> None:
    """Decode what is asked for at the other end of the socket `descriptor`, until nobody is there any more."""
    # As where pictures are packed: what PIL warns of makes a picture bad or does no harm.
    warnings.filterwarnings("ignore", module="PIL")
    connection: Connection[Chunk | None, bytes] = Connection(descriptor)
    with suppress(EOFError, ConnectionError):
        while True:
            connection.send(_answer(connection.recv_bytes()))


def _answer(data: bytes) -> Chunk | None:
    """Return what is asked for, or None where that cannot be: who asked decodes it then, and meets what is wrong."""
    try:
        task: Task = ForkingPickler.loads(data)
        _apply(task.settings)
        return decode_chunk(task.part, task.target, task.name, range(task.pictures))
    # A stranger's class, which this process may not even find; its traceback belongs into the process that asked.
    except Exception:  # noqa: BLE001
        return None


def _started() -> Worker:
    here, there = Pipe()
    with there:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, str(there.fileno()), *sys.path],
            env={**os.environ, **LIMITS},
            stdin=subprocess.DEVNULL,
            pass_fds=[there.fileno()],
        )
    return Worker(process, here)


@contextmanager
def _without_signals() -> Iterator[None]:
    """Let what is started here not hear of Ctrl-C and SIGTERM, which may go to all processes: it ends with this one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settings() -> Settings:
    from PIL import Image, ImageFile

    return Settings(ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)


def _apply(settings: Settings) -> None:
    from PIL import Image, ImageFile

    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = settings
