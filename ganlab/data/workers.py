"""Processes that decode pictures: threads wait for Python's lock, a dozen times for each picture.

They are started here, not by multiprocessing: its ways either copy a process in which torch's threads hold locks, or
run the user's script again from its top. Numbers, words and the bytes of pictures go to and fro, never an object: what
lies in a file is opened there by code of ganlab's own, and nothing is looked up by a name that was sent.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple, TypeVar

import numpy as np
from pydantic import TypeAdapter

from ganlab.data.chunks import Chunk, Outcome, chunk_of, decode_chunk, outcome, reason
from ganlab.data.decode import Target
from ganlab.data.findings import Findings
from ganlab.data.formats import open_picture
from ganlab.errors import RunError
from ganlab.interfaces import Source
from ganlab.messages import ended, printable

PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from ganlab.data.workers import serve; serve(int(sys.argv[1]))"
"""What a process runs: it finds modules where this one does, and nothing in its `__main__`."""
LIMITS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""numpy starts a thread a core when it is imported; here none of them would ever have work."""
SIZES = struct.Struct(">IQ")
"""What begins a message: the bytes of its head, which is JSON, and those of what follows the head."""


Head = TypeVar("Head")


class Task(NamedTuple):
    """What a process is asked for. Messages with one picture each follow, headed by true, and one headed by false."""

    target: Target
    truncated: bool
    """This and the next are what a program can set in PIL, and some do: they decide which pictures are bad."""
    most_pixels: int | None


class Answer(NamedTuple):
    """What became of the pictures; the pixels of the good ones follow."""

    reasons: list[str | None]
    """Why each picture is bad, None where it is good."""
    findings: tuple[int, int, float, float, int, int]
    """The fields of `Findings`."""


TASK, MORE, ANSWER = TypeAdapter(Task), TypeAdapter(bool), TypeAdapter(Answer)


class Worker(NamedTuple):
    """A process, and this end of the way to it."""

    process: subprocess.Popen[bytes]
    way: socket.socket


class Workers:
    """Decodes a source for several threads: each asks a process of its own, or decodes by itself where none is free."""

    def __init__(self, source: Source, target: Target, name: str) -> None:
        self._source, self._target, self._name = source, target, name
        self._all: list[Worker] = []
        self._free: SimpleQueue[Worker] = SimpleQueue()

    def start(self, count: int) -> None:
        """Start so many processes, fewer where the system allows no more; each ends with this one, however it ends.

        Nothing happens where the source gives no files, and nothing the second time.
        """
        if self._all or not self._gives_files():
            return
        with _without_signals(), suppress(OSError):
            for _ in range(count):
                self._all.append(_started())
                self._free.put(self._all[-1])

    def decode(self, span: range) -> Chunk:
        """Return the pictures of `span`. Raise `DataError` as `chunk_of` does, `RunError` for a killed process."""
        try:
            worker = self._free.get_nowait()
        except Empty:
            return decode_chunk(self._source, self._target, self._name, span)
        chunk = self._asked(worker, span)
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
            worker.way.close()

    def _gives_files(self) -> bool:
        try:
            return self._source.encoded(0) is not None
        # What cannot be read is a bad picture, of which there may be others.
        except Exception:  # noqa: BLE001
            return True

    def _asked(self, worker: Worker, span: range) -> Chunk:
        findings = Findings()
        try:
            _send(worker.way, _task(self._target))
            # One at a time, so that no more than one picture's file is in memory here, and one there.
            outcomes = [self._sent(worker.way, index, findings) for index in span]
            _send(worker.way, False)
            answer, pixels = _received(worker.way, ANSWER)
        except (EOFError, ConnectionError) as error:
            first, last = (printable(self._source.name(index)) for index in (span[0], span[-1]))
            raise RunError(
                f'a process that decoded pictures of dataset "{self._name}" {ended(worker.process.wait())}, at one '
                f"from {first} to {last}; nothing was packed: start again, without these if they end it again"
            ) from error
        findings.add(Findings(*answer.findings))
        sent = [place for place, made in enumerate(outcomes) if made is None]
        known = dict(zip(sent, _outcomes(answer, pixels, self._target), strict=True))
        made = [known[place] if made is None else made for place, made in enumerate(outcomes)]
        return chunk_of(self._source, self._target, self._name, span, made, findings)

    def _sent(self, way: socket.socket, index: int, findings: Findings) -> Outcome | None:
        """Send a picture's file and return None, or what becomes of the picture where there is no file to be sent."""
        try:
            data = self._source.encoded(index)
        # A stranger's file, and perhaps a stranger's code.
        except Exception as error:  # noqa: BLE001
            return reason(error)
        if data is None:
            return outcome(partial(self._source.image, index), self._target, findings)
        _send(way, True, data)
        return None


def serve(descriptor: int) -> None:
    """Decode what comes through the socket `descriptor`, until nobody is at its other end any more."""
    # As where pictures are packed: what PIL warns of makes a picture bad or does no harm.
    warnings.filterwarnings("ignore", module="PIL")
    with socket.socket(fileno=descriptor) as way, suppress(EOFError, ConnectionError):
        while True:
            _answer(way)


def _answer(way: socket.socket) -> None:
    task, _ = _received(way, TASK)
    _apply(task)
    outcomes, findings = list[Outcome](), Findings()
    while (message := _received(way, MORE))[0]:
        outcomes.append(outcome(partial(open_picture, message[1]), task.target, findings))
    reasons = [made if isinstance(made, str) else None for made in outcomes]
    pixels = b"".join(made.tobytes() for made in outcomes if not isinstance(made, str))
    _send(way, Answer(reasons, astuple(findings)), pixels)


def _outcomes(answer: Answer, pixels: bytes, target: Target) -> list[Outcome]:
    count = answer.reasons.count(None)
    good = iter(np.frombuffer(pixels, np.uint8).reshape(count, target.channels, target.height, target.width))
    return [next(good) if said is None else said for said in answer.reasons]


def _send(way: socket.socket, head: Task | Answer | bool, data: bytes = b"") -> None:
    text = json.dumps(head).encode()
    way.sendall(b"".join((SIZES.pack(len(text), len(data)), text, data)))


def _received(way: socket.socket, kind: TypeAdapter[Head]) -> tuple[Head, bytes]:
    size, data_size = SIZES.unpack(_exactly(way, SIZES.size))
    body = _exactly(way, size + data_size)
    return kind.validate_json(body[:size], strict=True), body[size:]


def _exactly(way: socket.socket, count: int) -> bytes:
    """Return so many bytes. Raise `EOFError` where there are no more."""
    data = b""
    while len(data) < count:
        part = way.recv(count - len(data), socket.MSG_WAITALL)
        if not part:
            raise EOFError
        data += part
    return data


def _started() -> Worker:
    here, there = socket.socketpair()
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


def _task(target: Target) -> Task:
    from PIL import Image, ImageFile

    return Task(target, bool(ImageFile.LOAD_TRUNCATED_IMAGES), Image.MAX_IMAGE_PIXELS)


def _apply(task: Task) -> None:
    from PIL import Image, ImageFile

    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = task.truncated, task.most_pixels
