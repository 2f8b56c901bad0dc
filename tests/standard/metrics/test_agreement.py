"""Agreement with torch-fidelity, which computes the same numbers with code of its own: to 1e-3, relative.

It is given what ganlab is given: pictures, and the features of a network that both use.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch_fidelity
from comparisons import of_features
from inception_stand_in import publish, write_weights
from judged import spots, write_features
from PIL import Image
from their_features import NAME

from ganlab import Comparison
from ganlab.judging.features import Network, load_network
from ganlab.standard.metrics.fid import FID
from ganlab.standard.metrics.frechet import Frechet, frechet_distance
from ganlab.standard.metrics.inception import FEATURES, LOGITS, inception
from ganlab.standard.metrics.inception_score import InceptionScore
from ganlab.standard.metrics.kid import KID, _marked
from ganlab.standard.metrics.order import own_order
from ganlab.standard.metrics.prdc import PRDC

COUNT = 150


@pytest.fixture
def network() -> Network:
    return load_network(write_features(Path("net.onnx")), "cpu")


def folder(name: str, pictures: np.ndarray) -> str:
    """Write grey pictures as files, which torch-fidelity reads as RGB, in the order of their names."""
    Path(name).mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture[..., 0]).save(f"{name}/{number:05d}.png")
    return name


def theirs(real: np.ndarray, fake: np.ndarray, **wanted: Any) -> dict[str, float]:
    found: dict[str, float] = torch_fidelity.calculate_metrics(
        input1=folder("fake", fake),
        input2=folder("real", real),
        cuda=False,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
        **wanted,
    )
    return found


def by_ours(network: Network, **wanted: Any) -> dict[str, Any]:
    return {"feature_extractor": NAME, "feature_extractor_weights_path": "net.onnx", **wanted}


def compared(network: Network, real: np.ndarray, fake: np.ndarray) -> Comparison:
    features = tuple(network.features(pictures, lambda done: None).astype(np.float64) for pictures in (real, fake))
    return of_features(features[0], features[1], pictures=(real, fake))


@pytest.fixture
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Real pictures, and others that are a little darker."""
    return spots(range(COUNT)), (spots(range(1000, 1000 + COUNT)) * 0.9).astype(np.uint8)


def test_frechet_precision_and_recall(network: Network, pictures: tuple[np.ndarray, np.ndarray]) -> None:
    found = theirs(*pictures, **by_ours(network, fid=True, prc=True, prc_neighborhood=5))
    comparison = compared(network, *pictures)
    assert Frechet().compute(comparison)["fd_net"] == pytest.approx(found["frechet_inception_distance"], rel=1e-3)
    assert FID().compute(comparison)["fid"] == pytest.approx(found["frechet_inception_distance"], rel=1e-3)
    ours = PRDC(k=5).compute(comparison)
    assert 0 < ours["precision"] < 1
    assert 0 < ours["recall"] < 1
    assert (ours["precision"], ours["recall"]) == pytest.approx((found["precision"], found["recall"]), rel=1e-3)


def test_kid_of_the_same_subset(network: Network, pictures: tuple[np.ndarray, np.ndarray]) -> None:
    """torch-fidelity is given the pictures that ganlab has drawn."""
    size, comparison, random = 50, compared(network, *pictures), np.random.default_rng(0)
    chosen = []
    for some, features in zip(pictures, comparison.features(), strict=True):
        (mark,) = _marked(COUNT, size, 1, random).T
        chosen.append(some[own_order(features)][mark == 1])
    found = theirs(*chosen, **by_ours(network, kid=True, kid_subsets=1, kid_subset_size=size))
    ours = KID(subsets=1, subset_size=size).compute(comparison)
    assert ours["kid"] == pytest.approx(found["kernel_inception_distance_mean"], rel=1e-3)


def test_kid_of_other_subsets(network: Network, pictures: tuple[np.ndarray, np.ndarray]) -> None:
    """Each draws its own, and the means agree as far as such means spread."""
    found = theirs(*pictures, **by_ours(network, kid=True, kid_subsets=400, kid_subset_size=50))
    ours = KID(subsets=400, subset_size=50).compute(compared(network, *pictures))
    spread = found["kernel_inception_distance_std"]
    assert ours["kid"] == pytest.approx(found["kernel_inception_distance_mean"], abs=4 * spread * (2 / 400) ** 0.5)
    assert ours["kid_std"] == pytest.approx(spread, rel=0.2)


# With Inception, its weights stood in for by random ones


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = write_weights(tmp_path_factory.mktemp("inception") / "weights.pth")
    with pytest.MonkeyPatch.context() as patch:
        publish(path, patch)
        yield path


def of_inception(weights: Path, columns: slice, real: np.ndarray, fake: np.ndarray) -> Comparison:
    """Return what the host would compare."""
    brought = inception(weights, "cpu", columns)
    network = Network(brought.name, brought.digest, None, brought.compute, brought.resizer)
    comparison = compared(network, real, fake)
    features = tuple(rows[:, brought.columns] for rows in comparison.features())
    return of_features(features[0], features[1], pictures=(real, fake), network=brought.name)


def test_inception_score(weights: Path, pictures: tuple[np.ndarray, np.ndarray]) -> None:
    """torch-fidelity is given the pictures in the order in which ganlab divides them."""
    real, fake = pictures[0][:2], pictures[1][:12]
    comparison = of_inception(weights, LOGITS, real, fake)
    ours = InceptionScore(splits=3).compute(comparison)
    found = theirs(
        real,
        fake[own_order(fake)],
        isc=True,
        isc_splits=3,
        samples_shuffle=False,
        feature_extractor_weights_path=str(weights),
    )
    assert ours["is"] == pytest.approx(found["inception_score_mean"], rel=1e-3)
    assert ours["is_std"] == pytest.approx(found["inception_score_std"], rel=1e-3)
    assert ours["is"] > 1.001


@pytest.mark.long
def test_fid(weights: Path, pictures: tuple[np.ndarray, np.ndarray]) -> None:
    """Of fewer pictures than the metric takes, whose distance torch-fidelity computes all the same."""
    real, fake = pictures[0][:24], pictures[1][:24]
    found = theirs(real, fake, fid=True, feature_extractor_weights_path=str(weights))
    ours = frechet_distance(*of_inception(weights, FEATURES, real, fake).moments())
    assert ours == pytest.approx(found["frechet_inception_distance"], rel=1e-3)
    assert ours > 0.1
