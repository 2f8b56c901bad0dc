"""Networks that metrics bring along: computed once for all that share one, named in the protocol, and told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from judged import Spots, generator_of, spots, write_features

import ganlab
from ganlab import Comparison, FeatureNetwork, GanlabError, Metric, PluginError
from ganlab.data.packing import pack
from ganlab.judging.choice import choose_metrics
from ganlab.judging.evaluation import evaluate
from ganlab.judging.features import load_network
from ganlab.judging.networks import open_own_networks
from ganlab.judging.reals import choose_reals
from ganlab.judging.report import Evaluation
from ganlab.registry import registry
from ganlab.run.scores import candidate_of

PASSES: list[int] = []
"""How many pictures went through the network, pass by pass."""
COUNT = 40


def means(pixels: np.ndarray) -> np.ndarray:
    """Return the mean of each channel, and its double."""
    PASSES.append(len(pixels))
    assert pixels.dtype == np.uint8
    assert pixels.shape[1:] == (3, 16, 16)  # in its own size, grey as three channels
    assert torch.get_default_dtype() == torch.float32
    found = pixels.mean((2, 3)).astype(np.float32)
    return np.concatenate([found, 2 * found], 1)


class Means(Metric):
    """The distance of means."""

    api = 1
    better: ClassVar = "lower"
    brings_network: ClassVar[bool] = True

    place: Path | None = None
    """Where something lies."""
    factor: int = 1
    """Times."""

    def network(self, device: str) -> FeatureNetwork:
        if self.place == Path("missing"):
            raise GanlabError("its file is missing")
        return FeatureNetwork("means", "0" * 64, "not at all", means, slice(0, 3))

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        assert comparison.network == "means"
        real, fake = comparison.features()
        assert real.shape[1] == 3
        return {"means": self.factor * float(np.abs(real.mean(0) - fake.mean(0)).sum())}


class Doubles(Means):
    """The same of the other half."""

    api = 1

    def network(self, device: str) -> FeatureNetwork:
        return super().network(device)._replace(columns=slice(3, 6))

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        return {"doubles": super().compute(comparison)["means"]}


class Silly(Means):
    """Brings nothing."""

    api = 1

    def network(self, device: str) -> FeatureNetwork:
        return 3  # type: ignore[return-value]  # that is its fault


@pytest.fixture(autouse=True)
def _components() -> Iterator[None]:
    PASSES.clear()
    for name, cls in {"means": Means, "doubles": Doubles, "silly": Silly}.items():
        registry.add("metric", name, cls)
    yield
    for name in ("means", "doubles", "silly"):
        registry.remove("metric", name)


def quiet(*_: object) -> None:
    pass


def judged(given: Mapping[str, Metric] | None, names: list[str] | None, path: Path) -> Evaluation:
    chosen = choose_metrics(names, given)
    chosen.metrics = {name: metric for name, metric in chosen.metrics.items() if name in ("means", "doubles", "kid")}
    own = open_own_networks(chosen, "cpu")
    reals = choose_reals(pack(Spots(), "spots", quiet), COUNT, "spots")
    candidate = candidate_of(ganlab.load_generator(path), "it", None)
    network = load_network(write_features(Path("net.onnx")))
    return evaluate(
        [candidate], reals, ("spots", {}), chosen.metrics, network, 2, quiet, asked=chosen.asked, own_networks=own
    )


def test_metrics_that_share_a_network_share_its_passes(tmp_path: Path) -> None:
    path = generator_of(tmp_path / "good.onnx", spots(range(1000, 1100)))
    found = judged({"means": Means(place=tmp_path, factor=3)}, ["means", "doubles", "kid"], path)
    assert sum(PASSES) == 4 * COUNT  # real ones twice, and two blocks
    scores = found.columns[0].scores
    assert scores["doubles"].values == pytest.approx([2 / 3 * value for value in scores["means"].values])
    real, fake = (
        pictures.mean()
        for pictures in (
            choose_reals(pack(Spots(), "spots", quiet), COUNT, "spots").first,
            ganlab.load_generator(path).sample(COUNT),
        )
    )
    assert scores["means"].values[0] == pytest.approx(3 * 3 * abs(real - fake), rel=1e-4)
    assert "kid" in scores  # of the other network

    # Where something lies is not in the protocol; what it is, a digest says.
    protocol: Any = found.as_json()["protocol"]
    about = {"network": "means", "network_digest": "0" * 64, "resizer": "not at all"}
    assert protocol["own_networks"] == {"means": about, "doubles": about}
    assert protocol["metrics"]["means"] == {"factor": 3}
    assert protocol["network"] == "net"

    # The features of real pictures are kept.
    PASSES.clear()
    assert judged({"means": Means(factor=3)}, ["means", "doubles", "kid"], path).columns == found.columns
    assert sum(PASSES) == 2 * COUNT


def test_unnamed_they_are_computed_only_where_they_are_given_options(tmp_path: Path) -> None:
    assert not choose_metrics(None).metrics.keys() & {"means", "doubles", "silly", "fid", "is"}
    assert "kid" in choose_metrics(None).metrics
    assert "means" in choose_metrics(None, {"means": Means()}).metrics
    assert list(choose_metrics(["means"]).metrics) == ["means"]


def test_a_network_that_cannot_be_had_is_said() -> None:
    missing = {"means": Means(place=Path("missing"))}
    chosen = choose_metrics(None, missing)
    assert open_own_networks(chosen, "cpu") == {}
    assert chosen.left_out["means"] == "its file is missing"
    assert "means" not in chosen.metrics
    with pytest.raises(GanlabError, match=r"^its file is missing$"):
        open_own_networks(choose_metrics(["means"], missing), "cpu")
    with pytest.raises(PluginError, match=r'^metric "silly" \(this process\) brings 3: network\(\) must return a Feat'):
        open_own_networks(choose_metrics(["silly"]), "cpu")
