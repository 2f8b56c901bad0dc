"""Captured iterations, counted: nodes of the graphs, and what a replay asks for beside them."""

from __future__ import annotations

import pytest

from fake_cuda.child import FakeGPUs
from fake_cuda.device import by_kind
from fake_cuda.programs import captures
from fake_cuda.programs.captures import Case, Plugins

NODES = {
    "plain 64": 269,
    "steady 64": 269,
    "plain 32": 214,
    "steady 32": 214,
    "demanding 64": 490,
    "demanding 32": 391,
    "hidden 64": 303,
    "hidden 32": 248,
    "fp16 64": 338,
    "fp16 32": 277,
    "fp32 64": 235,
    "fp32 32": 185,
    "deterministic 64": 254,
    "deterministic 32": 200,
}
"""At most so many nodes has DCGAN's iteration, with 64 channels and 128 pictures a batch."""
PLUGIN_NODES = {
    "ada_fashion_mnist": [1267],
    "began_fashion_mnist": [429],
    "conditional_fashion_mnist": [171],
    "diffaugment_fashion_mnist": [338],
    "flow_fashion_mnist": [322],
    "hinge_fashion_mnist": [147],
    "infogan_fashion_mnist": [356],
    "least_squares_fashion_mnist": [159],
    "logistic, every fourth": [187, 130, 130, 130],
    "logistic_fashion_mnist": [187],
    "mlflow_fashion_mnist": [184],
    "r3gan_cifar10": [3667],
    "r3gan_fashion_mnist": [1005],
    "relativistic_fashion_mnist": [235],
    "sngan_fashion_mnist": [1507],
    "vae_fashion_mnist": [127],
    "wasserstein_fashion_mnist": [720],
}
"""At most so many have the iterations of the plugins' recipes, narrow, in each phase of the loss."""
LAUNCHES = {"plain": 3, "steady": 2, "demanding": 9, "hidden": 3, "fp16": 3, "fp32": 3, "deterministic": 3}
"""At most so many kernels and copies does the host start for a replay: latents, which pictures, and what changes, such
as a learning rate, or the weight of an average that is still warming up."""


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


@pytest.mark.parametrize(("resolution", "layers"), [(64, 4), (32, 3)])
@pytest.mark.parametrize(("name", "passes"), [("plain", 1), ("deterministic", 2)])
def test_no_convolution_is_computed_but_what_the_mathematics_ask_for(
    dcgan: dict[str, Case], name: str, passes: int, resolution: int, layers: int
) -> None:
    """Real and generated pictures go through D in one pass where no bits are promised. Its head, as G's projection, is
    a product, so neither counts among the layers."""
    forward = layers + passes * layers + layers  # G, then D of both, then D of generated pictures again
    for_discriminator = passes * (layers + layers - 1)  # its weights, and what enters its layers but the pictures
    for_generator = layers + layers + layers  # through all of D, and G's weights and what enters its layers
    nodes = by_kind(dcgan[f"{name} {resolution}"].graphs[0])
    assert nodes["convolution"] == forward + for_discriminator + for_generator


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


def test_iterations_of_every_plugin_are_captured(plugins: Plugins) -> None:
    """One graph for each phase of the loss, and no replay waits for the device."""
    assert plugins.left == []
    assert plugins.cases.keys() == PLUGIN_NODES.keys()
    for name, case in plugins.cases.items():
        assert case.notes == [], name
        assert case.refused == [], name
        nodes = [sum(by_kind(graph).values()) for graph in case.graphs]
        assert len(nodes) == case.period, name
        assert all(one <= most for one, most in zip(nodes, PLUGIN_NODES[name], strict=True)), (name, nodes)
        assert case.replayed.keys() == {"graph", "kernel", "copy"}, name
        assert case.replayed["graph"] == 1, name


def test_a_lazy_penalty_has_a_graph_of_its_own(plugins: Plugins) -> None:
    with_penalty, *without = (sum(by_kind(nodes).values()) for nodes in plugins.cases["logistic, every fourth"].graphs)
    assert len(without) == 3
    assert len(set(without)) == 1
    assert with_penalty > without[0]
