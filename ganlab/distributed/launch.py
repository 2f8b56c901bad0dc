"""`ganlab run --nproc N`: the same command in several processes on this machine, with torchrun's engine."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from ganlab.distributed.speaker import SAID
from ganlab.errors import RunError
from ganlab.messages import ended

SAVING_SECONDS = 120
"""How long the processes have to save after a signal, before they are killed."""


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run `ganlab` with these arguments in that many processes and return the exit code of all of them.

    They end together: when one fails, the others are stopped. Raise `RunError` where one has ended without a word.
    """
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # Its reports are about processes and rendezvous; what went wrong is said by the rank that knows it.
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SAVING_SECONDS))
    with TemporaryDirectory(prefix="ganlab-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",  # the machine's name may lead nowhere
            max_restarts=0,
            monitor_interval=0.1,
        )
        try:
            # -P: what lies in the current folder is not imported.
            elastic_launch(config, sys.executable)("-P", "-m", "ganlab", *arguments)
        except SignalException as error:
            return 128 + int(error.sigval)
        except ChildFailedError as error:
            return exit_code(error.failures, any(Path(folder).rglob(SAID)))
    return 0


class Failure(Protocol):
    """What is read of torch's report on a process that has failed."""

    @property
    def exitcode(self) -> int:
        """Negative: the signal that ended it."""


def exit_code(failures: Mapping[int, Failure], spoken: bool) -> int:
    """Return the exit code of all, from the failures by rank in the order in which they were found.

    The first is the cause; the others were stopped because of it. Raise `RunError` where nobody has `spoken` of it.
    """
    rank, failure = next(iter(failures.items()))
    if failure.exitcode in (-signal.SIGINT, -signal.SIGTERM):  # before it could handle them
        return 128 - failure.exitcode
    if spoken:
        return max(failure.exitcode, 1)
    raise RunError(
        f"rank {rank} {ended(failure.exitcode)}; the same command with --out goes on from the last checkpoint"
    )
