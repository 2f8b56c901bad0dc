"""A file in the form of Inception's published weights, with random numbers in it: the real one cannot be shipped."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from ganlab import PublishedWeights
from ganlab.standard.metrics.inception import WEIGHTS


class Fresh(FeatureExtractorInceptionV3):  # type: ignore[misc]  # torch-fidelity has no annotations
    """torch-fidelity's network before weights are loaded."""

    def __init__(self) -> None:
        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        super().__init__("fresh", ["2048"], feature_extractor_weights_path=nothing)

    def load_state_dict(self, state: Any, strict: bool = True, assign: bool = False) -> Any:
        assert state == {}


def write_weights(path: Path, *, old: bool = False) -> Path:
    """Write weights that make features of usual size; `old` as torch wrote files before 2020."""
    network = Fresh()
    random = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=random)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, 0.0, 0.1, generator=random)
    nn.init.normal_(network.fc.weight, 0.0, 0.05, generator=random)
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=not old)
    return path


class Program:
    """What a pickle may hold: something that is called when it is read."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("was-here"),)


def write_program(path: Path) -> Path:
    """Write a file that looks like weights and runs a program where it is unpickled."""
    torch.save({"weights": Program()}, path, pickle_module=pickle)
    return path


def published_as(path: Path) -> PublishedWeights:
    """Return what would be said of a file if it were the published one."""
    data = path.read_bytes()
    return WEIGHTS._replace(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def publish(path: Path, patch: pytest.MonkeyPatch) -> PublishedWeights:
    """Let a file count as the published weights."""
    weights = published_as(path)
    patch.setattr("ganlab.standard.metrics.inception.WEIGHTS", weights)
    return weights
