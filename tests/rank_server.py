"""Forks the ranks of test runs from one process that has imported torch, instead of importing it in each of them.

Reads jobs from stdin, a JSON object by name, and answers with one when all their ranks have ended.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
import tomllib
import traceback
from pathlib import Path
from typing import Any, NoReturn

AT_ONCE = 4
"""How many jobs run at the same time."""
LIMIT_SECONDS = 180.0
"""How long a job may take before it hangs, on a machine that is busy."""


def serve() -> None:
    import rank_parts
    import torch.distributed.run  # noqa: F401
    from PIL import Image  # noqa: F401

    import ganlab.generator.file
    import ganlab.generator.network
    import ganlab.run.session  # noqa: F401
    from ganlab.data import batches, packing  # noqa: F401
    from ganlab.recipe.recipe import parse_recipe
    from ganlab.training import sampling, trainer  # noqa: F401

    parse_recipe(tomllib.loads(rank_parts.RECIPE))
    print(json.dumps(run(json.load(sys.stdin))))


def run(jobs: dict[str, dict[str, Any]]) -> dict[str, list[int]]:
    """Run jobs and return for each the exit codes of its ranks."""
    waiting, began = list(jobs), dict[str, float]()
    running, first = dict[int, tuple[str, int]](), dict[str, float]()
    codes = {name: [0] * job["world"] for name, job in jobs.items()}
    while waiting or running:
        busy = {name for name, _ in running.values()}
        ready = [name for name in waiting if jobs[name]["after"] not in {*waiting, *busy}]
        for name in ready[: AT_ONCE - len(busy)]:
            waiting.remove(name)
            running |= {pid: (name, rank) for rank, pid in enumerate(start(jobs[name]))}
            began[name] = time.monotonic()
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            name, rank = running.pop(pid)
            codes[name][rank] = os.waitstatus_to_exitcode(status)
            first.setdefault(name, time.monotonic())
            continue
        for pid, (name, _) in running.items():
            # As torchrun does in the end with what has not ended by itself soon after the first.
            now = time.monotonic()
            if now > min(first.get(name, now) + jobs[name]["grace"], began[name] + LIMIT_SECONDS):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return codes


def start(job: dict[str, Any]) -> list[int]:
    if job["goes_on"]:
        shutil.copytree(job["goes_on"], Path(job["folder"]) / "d")
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    return [fork(job, rank, port) for rank in range(job["world"])]


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
        os.environ |= job["environment"][rank]
        if job["grouped"]:
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
        command(job["program"], job["arguments"][rank])
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


def command(program: str, arguments: list[str]) -> None:
    """Do what a program does that is called with these arguments."""
    import torch.distributed.run

    from ganlab.__main__ import main
    from ganlab.distributed.launch import launch

    sys.argv = ["ganlab", *arguments]
    match program:
        case "ganlab":
            main()
        case "launch":
            sys.exit(launch(2, arguments))
        case "torchrun":
            torch.distributed.run.main(["--nproc-per-node", "2", *arguments])


if __name__ == "__main__":
    serve()
