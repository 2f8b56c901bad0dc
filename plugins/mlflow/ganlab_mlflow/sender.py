"""A run's end of the line to MLflow: messages wait in a process of its own, and a training does not wait for them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from typing import IO, Any, NoReturn

START_SECONDS = 10.0
"""How long a run waits for MLflow's first answer; what comes later is heard at the next event."""
END_SECONDS = 60.0
"""How long a run waits at its end until MLflow has taken everything."""
LAST_WORD_SECONDS = 5.0
"""How long a process that has just broken down may take to say why."""


class TrackingError(Exception):
    """MLflow does not take what it is told."""


class Sender:
    """Passes messages to a process that tells them to MLflow, in their order (`ganlab_mlflow.telling`).

    Not a thread: MLflow's client sets up logging, warns, draws random numbers and waits for minutes, as variables of
    the environment say. None of that is the training's.
    """

    def __init__(self, opening: dict[str, Any]) -> None:
        """Begin with the message that says where to, which run it is, and what is known of it."""
        self.run_id = ""
        """What MLflow calls the run; empty until it has answered."""
        self._done = False
        self._heard = b""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process is there
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ganlab_mlflow"],  # -P: a file mlflow.py in the current folder is not MLflow
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            env={
                "MLFLOW_DISABLE_TELEMETRY": "true",  # a run is told to the server that its user names, and to no other
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # it finds what is found here
            },
            start_new_session=True,  # Ctrl-C is for this process to hear
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self.send(opening)

    def wait_for_run(self) -> None:
        """Wait until MLflow has answered, but not for long. Raise `TrackingError` where it refuses."""
        last = time.monotonic() + START_SECONDS
        while not self.run_id and (left := last - time.monotonic()) > 0:
            self._hear(left)

    def send(self, message: dict[str, Any]) -> None:
        """Pass a message on. Raise `TrackingError` where an earlier one was refused."""
        self._hear(0.0)
        rest = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while rest:
                rest = rest[self._to.write(rest) :]
        except BrokenPipeError:
            self._hear(LAST_WORD_SECONDS)
            self._break_down()

    def end(self, status: str) -> None:
        """Wait until MLflow has taken everything, and the status. Raise `TrackingError` where it does not."""
        self.send({"about": "end", "status": status})
        self._to.close()
        last = time.monotonic() + END_SECONDS
        while not self._done:
            if (left := last - time.monotonic()) <= 0:
                self._fail(
                    f"MLflow has not taken everything within {END_SECONDS:.0f} seconds; what it misses is in "
                    "metrics.jsonl and samples/ of the run"
                )
            self._hear(left)
        self._close()

    def _hear(self, seconds: float) -> None:
        """Take what the process says; wait for it at most so long."""
        if not select.select([self._from], [], [], seconds)[0]:
            return
        said = os.read(self._from.fileno(), 65536)
        if not said:
            self._break_down()
        *lines, self._heard = (self._heard + said).split(b"\n")
        for answer in map(json.loads, lines):
            if "failure" in answer:
                self._fail(answer["failure"])
            self.run_id = answer.get("run_id", self.run_id)
            self._done = self._done or "done" in answer

    def _break_down(self) -> NoReturn:
        """Say how the process has ended that has said nothing."""
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "without a word")
        self._fail(f"the process that tells MLflow has ended with exit code {code}: {last}")

    def _fail(self, text: str) -> NoReturn:
        self._close()
        raise TrackingError(text)

    def _close(self) -> None:
        """End the process, which has nothing left to do or does not get on with it."""
        self._process.kill()
        self._process.wait()
        self._to.close()
        self._from.close()
        self._errors.close()
