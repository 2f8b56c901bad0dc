"""Forks runs from one process that has imported torch and done everything once, instead of that in each of them.

Reads one JSON request a line from stdin, and answers each with a line: {"start": job} with the process's id,
{"wait": id, "seconds": limit} with its exit code, or null where it is still alive then.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

from durable import parts


def serve() -> None:
    """Train once, then answer requests until stdin ends."""
    parts.register()
    with redirect_stdout(io.StringIO()):
        parts.warm_up(Path(os.environ["WARM_UP"]))
    for number in (signal.SIGINT, signal.SIGTERM):  # the command's handlers are for its process alone
        signal.signal(number, signal.SIG_DFL)
    print(json.dumps({"ready": len(os.listdir("/proc/self/task"))}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer: int | None = _fork(request["start"])
        else:
            answer = _wait(request["wait"], request["seconds"])
        print(json.dumps(answer), flush=True)


def _fork(job: Mapping[str, Any]) -> int:
    sys.stdout.flush()
    if (pid := os.fork()) == 0:
        _become(job)
    return pid


def _become(job: Mapping[str, Any]) -> NoReturn:
    """Do the job as a process of its own that ends like Python does."""
    code = 70
    try:
        os.setsid()
        os.chdir(job["folder"])
        os.environ.update(job["environment"])
        for descriptor, name in ((1, "out"), (2, "err")):
            file = os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(file, descriptor)
            os.close(file)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), line_buffering=True)
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w", closefd=False)), line_buffering=True)
        code = _ended(job)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _ended(job: Mapping[str, Any]) -> int:
    try:
        vars(parts)[job["part"]](*job["arguments"])
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001  # as the interpreter does at its end
        traceback.print_exc()
        return 70
    return 0


def _wait(pid: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    pause = 0.0005
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            return None
        time.sleep(pause)
        pause = min(2 * pause, 0.01)


if __name__ == "__main__":
    serve()
