"""The test's side of the server: starts runs, signals them, waits for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0


class Ended(NamedTuple):
    """How a process has ended: a negative code is the signal that killed it."""

    code: int
    out: str
    err: str


class Server:
    """A process that forks others."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._started = folder, 0
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), *sys.path]),
            "WARM_UP": str(folder),
            "GANLAB_CACHE": str(folder / "cache"),
            "GANLAB_CONFIG": str(folder / "config"),
            # A process with threads cannot be forked safely, and torch starts one for each device.
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
            "CUDA_VISIBLE_DEVICES": "",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "durable.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert self._answer() == {"ready": 1}, "a process with threads cannot be forked safely"

    def start(self, part: str, *arguments: Any, folder: Path, environment: Mapping[str, str] | None = None) -> Child:
        """Call the function `part` of `durable.parts` in a new process and session that works in `folder`."""
        self._started += 1
        out, err = (self._folder / f"{self._started:06d}.{name}" for name in ("out", "err"))
        out.touch()  # it may be killed before it opens them
        err.touch()
        places = {"GANLAB_CACHE": str(folder / "cache"), "GANLAB_CONFIG": str(folder / "config")}
        job = {
            "part": part,
            "arguments": arguments,
            "folder": str(folder),
            "out": str(out),
            "err": str(err),
            "environment": {**places, **(environment or {})},
        }
        return Child(self, self._ask({"start": job}), out, err)

    def call(self, part: str, *arguments: Any, folder: Path, environment: Mapping[str, str] | None = None) -> Ended:
        """Start, and wait for the end."""
        return self.start(part, *arguments, folder=folder, environment=environment).wait()

    def wait(self, pid: int, seconds: float) -> int | None:
        """Return a child's exit code, or None where it has not ended by then."""
        code: int | None = self._ask({"wait": pid, "seconds": seconds})
        return code

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


class Child:
    """One process that the server has forked."""

    def __init__(self, server: Server, pid: int, out: Path, err: Path) -> None:
        self.pid, self.out, self.err, self._server = pid, out, err, server

    def wait(self, seconds: float = PATIENCE_SECONDS) -> Ended:
        """Wait for the end; a process that does not come to it is killed, and is a failure."""
        code = self._server.wait(self.pid, seconds)
        if code is None:
            os.kill(self.pid, signal.SIGKILL)
            self._server.wait(self.pid, 10)
            raise AssertionError(f"still alive after {seconds} s:\n{self.err.read_text()}")
        ended = Ended(code, self.out.read_text(errors="replace"), self.err.read_text(errors="replace"))
        self.out.unlink()
        self.err.unlink()
        return ended

    def wait_for_words(self) -> None:
        """Return as soon as the process has printed anything, or has ended."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not (self.err.exists() and self.err.stat().st_size) and self.is_alive():
            assert time.monotonic() < end, "it said nothing"
            time.sleep(0.0005)

    def left_in_session(self) -> list[int]:
        """Return the ids of the processes that are still alive in the session that this one led."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == self.pid and fields[0] != "Z":
                    found.append(int(entry.name))
        return found

    def is_alive(self) -> bool:
        """Tell whether the process has not ended yet."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False
