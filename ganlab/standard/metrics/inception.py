"""The Inception network of 2015 with its own weights and resizing, by which published scores are computed."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ganlab import ArtefactError, FeatureNetwork, GanlabError, PublishedWeights, printable, read_published

NAME = "inception_2015"
WEIGHTS = PublishedWeights(
    file="pt_inception-2015-12-05-6726825d.pth",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    size=95_628_359,
    about="the Inception network of 2015 (Szegedy et al.), converted from TensorFlow's file, Apache-2.0",
)
DIMENSIONS = 2048
"""Features of a picture, the means of the last layer before the classes."""
FEATURES = slice(0, DIMENSIONS)
LOGITS = slice(DIMENSIONS, DIMENSIONS + 1008)
"""The classes' logits without the last layer's bias, as the inception score was defined by its code."""
PACKAGE = "torch-fidelity"


def inception(path: Path | None, device: str, columns: slice) -> FeatureNetwork:
    """Return the network with the weights of a file, or else of where `ganlab metrics fetch` keeps them.

    Raise `GanlabError` where torch-fidelity, which has the network, is not installed, or where the file is not there.
    """
    if find_spec("torch_fidelity") is None:
        raise GanlabError(f"the network {NAME} is not installed: pip install {PACKAGE}")
    data = read_published(WEIGHTS, path)
    import torch

    with warnings.catch_warnings():  # the package sets filters of its own
        import torch_fidelity
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    try:
        with _tensors_only():
            network = FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=io.BytesIO(data)
            )
    # torch and torch-fidelity raise whatever they meet in a file.
    except Exception as error:
        where = WEIGHTS.file if path is None else str(path)
        reason = printable(" ".join(str(error).split()))[:200]
        raise ArtefactError(f"{where}: has not the weights of {NAME}: {type(error).__name__}: {reason}") from error
    network.to(device)

    def compute(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        with torch.inference_mode():
            parts = network(torch.tensor(pixels, device=device))
            made: np.ndarray[Any, np.dtype[np.float32]] = torch.cat(parts, 1).float().cpu().numpy()
        return made

    resizer = f"bilinear to 299 x 299 as by TensorFlow 1, {PACKAGE} {torch_fidelity.__version__}"
    return FeatureNetwork(NAME, WEIGHTS.sha256, resizer, compute, columns)


@contextmanager
def _tensors_only() -> Iterator[None]:
    """Let torch read tensors and nothing else from a file, whatever whoever calls it asks for.

    torch-fidelity asks for all that a pickle may hold, and that can be any program.
    """
    names = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ[names[0]] = "1"
    try:
        yield
    finally:
        del os.environ[names[0]]
        os.environ.update(before)
