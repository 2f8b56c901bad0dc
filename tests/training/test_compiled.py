"""Compiled networks: they compute the same, copies and other modes are left alone, and it can be undone."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ganlab.training.compiled import Compiled, uncompiled
from ganlab.training.operators import Operators

CPU = torch.device("cpu")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2), nn.Linear(8, 1))


def graphs() -> int:
    """Return how many graphs the compiler has been given."""
    import torch._dynamo.utils

    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def test_compiled_networks_compute_the_same_until_it_is_undone() -> None:
    plain, tried = network(), network()
    pictures = torch.randn(5, 4)
    compiled = Compiled([tried], backend="aot_eager")
    before = graphs()
    outcomes = []
    for one in (plain, tried):
        with compiled.building():
            made = one(pictures)
        made.square().sum().backward()
        outcomes.append([made, *(parameter.grad for parameter in one.parameters()), *one.buffers()])
    torch.testing.assert_close(*outcomes)
    assert graphs() == before + 1

    # Watched, it is called as it is, and afterwards compiled again: nothing is built anew.
    with uncompiled(), Operators(CPU, ()) as operators:
        tried(pictures)
    assert any(call.operator.startswith("aten::native_batch_norm") for call in operators.work().calls)
    assert copy.deepcopy(tried)._compiled_call_impl is None
    tried(pictures)
    assert graphs() == before + 1

    compiled.undo()
    tried(torch.randn(7, 4))
    assert graphs() == before + 1
