"""Forks the ranks of test runs from one process that has imported torch, instead of importing it in each of them.

Reads lists of jobs from stdin, one JSON line each, and answers with a line when all their ranks have ended. The jobs
of a list run at the same time.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn


def serve() -> None:
    import torch._dynamo  # noqa: F401  # making an optimizer imports it

    import ganlab.session  # noqa: F401
    from ganlab.data import batches, packing  # noqa: F401
    from ganlab.registry import registry
    from ganlab.training import loop, sampling  # noqa: F401
    from rank_parts import PARTS

    for (kind, name), part in PARTS.items():
        registry.add(kind, name, part)  # type: ignore[arg-type]
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


def run(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run jobs and return for each the exit codes of its ranks and how many seconds each took."""
    running = {}
    for number, job in enumerate(jobs):
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        for rank in range(job["world"]):
            running[fork(job, rank, port)] = (number, rank)
    began = time.monotonic()
    ended = [{"codes": [0] * job["world"], "seconds": [0.0] * job["world"]} for job in jobs]
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        seconds = time.monotonic() - began
        if pid:
            number, rank = running.pop(pid)
            ended[number]["codes"][rank] = os.waitstatus_to_exitcode(status)
            ended[number]["seconds"][rank] = seconds
            continue
        for pid, (number, _) in running.items():
            if seconds > jobs[number]["limit"]:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return ended


def fork(job: dict[str, Any], rank: int, port: int) -> int:
    pid = os.fork()
    if pid == 0:
        be_rank(job, rank, port)
    return pid


def be_rank(job: dict[str, Any], rank: int, port: int) -> NoReturn:
    """Be a rank of a job, from the first line of `ganlab` to its exit code."""
    code = 70
    try:
        logs = Path(job["logs"])
        (logs / str(rank)).mkdir()
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(logs / str(rank) / name, os.O_WRONLY | os.O_CREAT), descriptor)
        os.environ |= job["environment"]
        if job["world"] > 1:
            os.environ |= {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(job["world"]),
                "MASTER_ADDR": "localhost",
                "MASTER_PORT": str(port),
                "TORCHELASTIC_RUN_ID": "forked",
                "TORCHELASTIC_ERROR_FILE": str(logs / str(rank) / "error.json"),
            }
        os.chdir(job["folder"])
        sys.argv = ["ganlab", *job["arguments"]]
        from ganlab.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001  # as the interpreter does at its end
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
