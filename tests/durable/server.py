"""Forks runs from one process that has imported torch, instead of importing it in each of them.

Reads one JSON request a line from stdin, and answers each with a line: {"start": job} with the process's id,
{"wait": id, "seconds": limit} with its exit code, or null where it is still alive then.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

from durable import parts


def serve() -> None:
    """Import what a run imports, then answer requests until stdin ends."""
    for name in _modules_of_a_run():
        importlib.import_module(name)
    parts.register()
    print(json.dumps({"ready": len(os.listdir("/proc/self/task"))}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer: int | None = _fork(request["start"])
        else:
            answer = _wait(request["wait"], request["seconds"])
        print(json.dumps(answer), flush=True)


def _modules_of_a_run() -> list[str]:
    """Let a child train, and return what it has imported: the server itself must never compute, to be forked safely."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        before = set(sys.modules)
        os.chdir(os.environ["WARM_UP"])
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        parts.register()
        parts.warm_up()
        with os.fdopen(writer, "w") as stream:
            # Submodules that some package makes of nothing have no file, and are there with it.
            found = [
                name for name, module in sys.modules.items() if name not in before and vars(module).get("__file__")
            ]
            json.dump(found, stream)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        found = json.load(stream)
    os.waitpid(pid, 0)
    return found


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
