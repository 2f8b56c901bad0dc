"""Which real pictures generators are judged by, and that their features are computed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged import Spots, spots, write_features

from ganlab.data.packing import pack
from ganlab.errors import DataError
from ganlab.judging.features import Network, load_network
from ganlab.judging.reals import Reals, choose_reals, features_of_reals


def quiet(*_: object) -> None:
    pass


def chosen(wanted: int, **options: Any) -> Reals:
    return choose_reals(pack(Spots(**options), "spots", quiet), wanted, "spots")


def rows(pictures: np.ndarray) -> set[bytes]:
    return {picture.tobytes() for picture in pictures}


def test_two_samples_share_no_picture_and_are_always_the_same() -> None:
    reals = chosen(50)
    assert reals.first.shape == reals.second.shape == (50, 16, 16, 1)
    everything = rows(spots(range(400)))
    assert len(rows(reals.first) | rows(reals.second)) == 100
    assert rows(reals.first) | rows(reals.second) <= everything
    again = chosen(50)
    assert np.array_equal(reals.first, again.first)
    assert np.array_equal(reals.second, again.second)
    with pytest.raises(ValueError, match="read-only"):
        reals.first[0] = 0


def test_few_pictures_are_halved_and_too_few_refused() -> None:
    assert len(chosen(50, count=61).first) == 30
    sentence = (
        r'^dataset "spots" has 39 pictures, too few to judge a generator by: it takes 40, half of them to compare the '
        r"other half with$"
    )
    with pytest.raises(DataError, match=sentence):
        chosen(50, count=39)


def counting(network: Network, fed: list[int]) -> Network:
    def compute(pixels: np.ndarray) -> np.ndarray:
        fed.append(len(pixels))
        return network.compute(pixels)

    return network._replace(compute=compute)


def test_features_are_computed_once_for_the_same_pictures_and_network(tmp_path: Path) -> None:
    network, fed = load_network(write_features(tmp_path / "net.onnx")), list[int]()
    counted, reals = counting(network, fed), chosen(50)
    first = features_of_reals(reals, counted, quiet)
    assert sum(fed) == 100
    for found, pictures in zip(first, (reals.first, reals.second), strict=True):
        assert np.array_equal(found, network.features(pictures, quiet))
    again = features_of_reals(chosen(50), counted, quiet)
    assert sum(fed) == 100
    assert all(map(np.array_equal, first, again))
    features_of_reals(chosen(49), counted, quiet)
    assert sum(fed) == 100 + 98
    features_of_reals(chosen(50, first=1), counted, quiet)
    assert sum(fed) == 100 + 98 + 100
    write_features(tmp_path / "net.onnx", weights=np.ones((48, 3), np.float32))
    other = counting(load_network(tmp_path / "net.onnx"), fed)
    assert features_of_reals(reals, other, quiet)[0].shape == (50, 3)


@pytest.mark.parametrize("damage", ["cut", "nonsense", "empty"])
def test_features_that_were_damaged_are_computed_again(tmp_path: Path, damage: str) -> None:
    network, reals = load_network(write_features(tmp_path / "net.onnx")), chosen(30)
    first = features_of_reals(reals, network, quiet)
    (kept,) = (tmp_path / "cache").glob("features-net-*.safetensors")
    data = kept.read_bytes()
    kept.write_bytes({"cut": data[:-9], "nonsense": b"\xff" * 99, "empty": b""}[damage])
    assert all(map(np.array_equal, first, features_of_reals(reals, network, quiet)))
    assert kept.read_bytes() == data
