"""`ganlab run --nproc N`: the same command in several processes on this machine, with torchrun's engine."""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Sequence


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run `ganlab` with these arguments in that many processes and return the exit code of all of them.

    They end together: when one fails, the others are stopped. Rank 0 speaks for all.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # Its reports are about processes and rendezvous; what went wrong is said by the rank that knows it.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "ganlab", *arguments)
    except SignalException as error:
        return 128 + int(error.sigval)
    except ChildFailedError as error:
        # Of those that ended by themselves, the first: the others were stopped because of it.
        codes = [failure.exitcode for _, failure in sorted(error.failures.items())]
        return next((code for code in codes if code > 0), 128 - codes[0])
    return 0
