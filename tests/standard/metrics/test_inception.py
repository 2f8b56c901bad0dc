"""The Inception network: features of torch-fidelity, from weights that are believed only by their digest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from inception_stand_in import publish, write_program, write_weights
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from ganlab import ArtefactError, GanlabError
from ganlab.judging.published import place_of
from ganlab.standard.metrics import inception as inception_module
from ganlab.standard.metrics.inception import FEATURES, LOGITS, WEIGHTS, inception

EVERYTHING = slice(None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = write_weights(tmp_path_factory.mktemp("inception") / "weights.pth")
    with pytest.MonkeyPatch.context() as patch:
        publish(path, patch)
        yield path


def pixels(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 256, (count, 3, side, side), np.uint8)


@pytest.mark.parametrize("side", [8, 300])
def test_it_makes_the_features_of_torch_fidelity(weights: Path, side: int) -> None:
    network = inception(weights, "cpu", FEATURES)
    theirs = FeatureExtractorInceptionV3(
        "theirs", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
    )
    given = pixels(2, side)
    made = network.compute(given)
    with torch.inference_mode():
        features, logits = theirs(torch.from_numpy(given))
    assert made.dtype == np.float32
    assert np.array_equal(made[:, FEATURES], features.numpy())
    assert np.array_equal(made[:, LOGITS], logits.numpy())
    assert made[:, FEATURES].std() > 1e-3
    assert made[:, LOGITS].std(0).min() > 0
    assert "299 x 299" in network.resizer


def test_what_is_pinned_is_what_torch_fidelity_names() -> None:
    """The name of a published file ends in the first digits of its digest."""
    assert WEIGHTS.url == URL_INCEPTION_V3
    for name in (WEIGHTS.file, WEIGHTS.url):
        found = re.search(r"-([0-9a-f]{8})\.pth$", name)
        assert found is not None
        assert WEIGHTS.sha256.startswith(found[1])


def test_weights_of_an_older_torch_are_read_too(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = inception(weights, "cpu", EVERYTHING).compute(pixels(1, 8))
    old = write_weights(tmp_path / "old.pth", old=True)
    publish(old, monkeypatch)
    assert np.array_equal(inception(old, "cpu", EVERYTHING).compute(pixels(1, 8)), expected)


def test_without_a_path_they_lie_where_fetch_puts_them(weights: Path) -> None:
    with pytest.raises(GanlabError) as caught:
        inception(None, "cpu", EVERYTHING)
    assert str(caught.value) == (
        "the weights pt_inception-2015-12-05-6726825d.pth are not here: ganlab metrics fetch downloads them, or name "
        "the file that you have as the metric's option weights, as in --set fid.weights=PATH"
    )
    place = place_of(inception_module.WEIGHTS)
    place.parent.mkdir()
    place.symlink_to(weights)
    assert inception(None, "cpu", EVERYTHING).digest == inception_module.WEIGHTS.sha256


def test_without_torch_fidelity_the_remedy_is_said(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        inception_module, "find_spec", lambda name: None if name == "torch_fidelity" else find_spec(name)
    )
    with pytest.raises(GanlabError, match=r"^the network inception_2015 is not installed: pip install torch-fidelity$"):
        inception(weights, "cpu", EVERYTHING)


def test_a_program_in_the_place_of_weights_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_program(tmp_path / "program.pth")
    with pytest.raises(ArtefactError, match=r"program\.pth: is not pt_inception-2015-12-05-6726825d\.pth: its SHA-256"):
        inception(path, "cpu", EVERYTHING)
    # Not even where its digest were the published one.
    publish(path, monkeypatch)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(
        ArtefactError, match=r"^\S+program\.pth: has not the weights of inception_2015: UnpicklingError: "
    ):
        inception(path, "cpu", EVERYTHING)
    assert not Path("was-here").exists()
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    torch.load(path, weights_only=False)
    assert Path("was-here").exists()  # so it is a program


def test_weights_of_another_network_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    publish(path, monkeypatch)
    with pytest.raises(
        ArtefactError, match=r"other\.pth: has not the weights of inception_2015: RuntimeError: "
    ) as caught:
        inception(path, "cpu", EVERYTHING)
    assert "\n" not in str(caught.value)
