"""A feature network: what it is fed, how features come out, and what is refused."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from judged import DIMENSIONS, feature_graph, matrix, spots, write_features
from onnx import TensorProto, helper
from PIL import Image

from ganlab.errors import ArtefactError, GanlabError
from ganlab.judging.features import load_network


def by_hand(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the features of `feature_graph`, a picture and a patch at a time."""
    rows = []
    for picture in pictures:
        grey = picture[..., 0] if picture.shape[2] == 1 else picture
        large = np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC)).astype(float)
        colour = large[..., None].repeat(3, 2) if large.ndim == 2 else large
        patches = colour.reshape(4, height // 4, 4, width // 4, 3).mean((1, 3))
        rows.append(patches.transpose(2, 0, 1).reshape(48) @ matrix(48))
    return np.array(rows)


def test_small_pictures_are_enlarged_and_grey_becomes_three_channels(tmp_path: Path) -> None:
    network = load_network(write_features(tmp_path / "My net-2.onnx"))
    done: list[int] = []
    found = network.features(spots(range(70)), done.append)
    assert found.dtype == np.float32
    assert found.shape == (70, DIMENSIONS)
    assert found == pytest.approx(by_hand(spots(range(70)), 96, 96), rel=1e-4, abs=1e-2)
    assert done[-1] == 70
    assert network.name == "my_net_2"
    assert network.digest == hashlib.sha256((tmp_path / "My net-2.onnx").read_bytes()).hexdigest()
    assert re.fullmatch(r"bicubic to 96 x 96, Pillow [\d.]+", network.resizer(16, 16))


def test_large_pictures_stay_and_others_keep_their_proportions(tmp_path: Path) -> None:
    network = load_network(write_features(tmp_path / "net.onnx"))
    assert network.resizer(96, 128) == "none"
    assert network.target(48, 64) == (96, 128)
    colour = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), np.uint8)
    assert network.features(colour, lambda done: None) == pytest.approx(by_hand(colour, 96, 96), rel=1e-4, abs=1e-2)


def test_a_network_of_one_size_gets_that(tmp_path: Path) -> None:
    network = load_network(write_features(tmp_path / "net.onnx", 32))
    found = network.features(spots(range(5)), lambda done: None)
    assert found == pytest.approx(by_hand(spots(range(5)), 32, 32), rel=1e-4, abs=1e-2)
    assert network.resizer(16, 16).startswith("bicubic to 32 x 32")
    assert network.resizer(32, 32) == "none"


CONTRACT = (
    "a feature network takes uint8 (N, 3, height, width), RGB, and makes float32 (N, D), with any N; this one has "
)
WRONG = {
    "floats": {"type": TensorProto.FLOAT},
    "grey": {"channels": 1},
    "one batch": {"batch": 1},
    "two outputs": {"others": [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, None)]},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG.keys())
def test_a_network_of_another_shape_is_refused_with_what_it_has(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = write_features(tmp_path / "net.onnx", 32, **changes)
    with pytest.raises(ArtefactError) as caught:
        load_network(path)
    assert str(caught.value).startswith(f"{path}: {CONTRACT}pixels: tensor(")


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"nonsense")
    with pytest.raises(ArtefactError, match=r"net\.onnx: onnxruntime refuses it: "):
        load_network(tmp_path / "net.onnx")
    with pytest.raises(ArtefactError, match=r"none\.onnx: cannot be read: No such file or directory$"):
        load_network(tmp_path / "none.onnx")
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ArtefactError, match=r"pipe\.onnx: cannot be read: it is a pipe or a device, not a file$"):
        load_network(tmp_path / "pipe.onnx")


def test_features_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    weights = np.full((48, 2), np.inf, np.float32)
    network = load_network(write_features(tmp_path / "net.onnx", weights=weights))
    with pytest.raises(ArtefactError, match=r"^net: makes features that are not finite$"):
        network.features(spots(range(3)), lambda done: None)


def test_pictures_of_four_channels_have_no_features(tmp_path: Path) -> None:
    network = load_network(write_features(tmp_path / "net.onnx"))
    with pytest.raises(GanlabError, match=r"^pictures of 4 channels have no features: networks take grey and RGB; "):
        network.features(np.zeros((2, 8, 8, 4), np.uint8), lambda done: None)


def test_weights_outside_the_file_are_not_read(tmp_path: Path) -> None:
    model = feature_graph()
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").exists()
    with pytest.raises(ArtefactError, match=r"net\.onnx: onnxruntime refuses it: "):
        load_network(tmp_path / "net.onnx")
