"""A run that torchrun has started on one GPU."""

from __future__ import annotations

import socket

from fake_cuda.child import FakeGPUs
from fake_cuda.programs import ranks
from fake_cuda.programs.ranks import ITERATIONS


def test_a_group_of_one_rank_trains_through_nccl(fake_gpus: FakeGPUs) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "TORCHELASTIC_RUN_ID": "alone"}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    run = fake_gpus.ask(ranks.run, variables=place | address)
    assert run.generator
    assert run.refused == []
    assert run.exchanges["ncclAllReduce"] == 2 * ITERATIONS, "the gradients of both networks, and nothing else"
