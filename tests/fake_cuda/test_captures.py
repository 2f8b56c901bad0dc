"""Captured iterations, counted: nodes of the graphs, and what a replay asks for beside them."""

from __future__ import annotations

import pytest

from fake_cuda.child import FakeGPUs
from fake_cuda.device import by_kind
from fake_cuda.programs import captures
from fake_cuda.programs.captures import Case, Plugins

NODES = {
    "plain 64": 305,
    "plain 32": 246,
    "demanding 64": 559,
    "demanding 32": 448,
    "fp32 64": 269,
    "fp32 32": 215,
}
"""At most so many nodes has DCGAN's iteration, with 64 channels and 128 pictures a batch."""
LAUNCHES = {"plain": 6, "demanding": 13, "fp32": 6}
"""At most so many kernels and copies does the host start for a replay: numbers it writes to where the graph reads."""


@pytest.fixture(scope="module")
def dcgan(fake_gpus: FakeGPUs) -> dict[str, Case]:
    return fake_gpus.ask(captures.dcgan)


@pytest.fixture(scope="module")
def plugins(fake_gpus: FakeGPUs) -> Plugins:
    return fake_gpus.ask(captures.plugins)


@pytest.mark.parametrize("name", NODES)
def test_an_iteration_of_dcgan_is_one_graph_of_few_nodes(dcgan: dict[str, Case], name: str) -> None:
    case = dcgan[name]
    assert case.notes == []
    assert case.refused == []
    (nodes,) = case.graphs
    assert sum(by_kind(nodes).values()) <= NODES[name], nodes


@pytest.mark.parametrize(("resolution", "layers"), [(64, 5), (32, 4)])
def test_no_convolution_is_computed_but_what_the_mathematics_ask_for(
    dcgan: dict[str, Case], resolution: int, layers: int
) -> None:
    forward = layers + 2 * layers + layers  # G, then D of real and of generated pictures, then D of the latter again
    for_discriminator = 2 * (
        layers + layers - 1
    )  # its weights, and what enters its layers but the pictures, both times
    for_generator = layers + layers + layers - 1  # through all of D, and the same for G
    assert by_kind(dcgan[f"plain {resolution}"].graphs[0])["convolution"] == forward + for_discriminator + for_generator


@pytest.mark.parametrize("name", NODES)
def test_a_replay_never_waits_and_asks_for_no_memory(dcgan: dict[str, Case], name: str) -> None:
    asked = dict(dcgan[name].replayed)
    assert asked.pop("graph") == 1
    assert asked.pop("kernel") + asked.pop("copy") <= LAUNCHES[name.partition(" ")[0]]
    assert asked == {}


def test_an_eager_iteration_does_not_wait_either(dcgan: dict[str, Case], plugins: Plugins) -> None:
    for name, case in (dcgan | plugins.cases).items():
        assert case.eager["kernel"] > case.replayed["kernel"], name
        assert "wait" not in case.eager, name


@pytest.mark.parametrize("resolution", [64, 32])
def test_an_iteration_that_repeats_its_bits_asks_for_no_more_work(dcgan: dict[str, Case], resolution: int) -> None:
    deterministic, usual = dcgan[f"deterministic {resolution}"], dcgan[f"fp32 {resolution}"]
    assert by_kind(deterministic.graphs[0]) == by_kind(usual.graphs[0])
    assert deterministic.replayed == usual.replayed


def test_iterations_of_every_plugin_are_captured(plugins: Plugins) -> None:
    """One graph for each phase of the loss, and no replay waits for the device."""
    assert plugins.left == []
    for name, case in plugins.cases.items():
        assert case.notes == [], name
        assert case.refused == [], name
        assert len(case.graphs) == case.period, name
        assert case.replayed.keys() == {"graph", "kernel", "copy"}, name
        assert case.replayed["graph"] == 1, name


def test_a_lazy_penalty_has_a_graph_of_its_own(plugins: Plugins) -> None:
    with_penalty, *without = (sum(by_kind(nodes).values()) for nodes in plugins.cases["logistic, every fourth"].graphs)
    assert len(without) == 3
    assert len(set(without)) == 1
    assert with_penalty > without[0]
