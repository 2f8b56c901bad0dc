"""Features of an ONNX file for torch-fidelity: importing this registers them there, under `NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch_fidelity

from ganlab.judging.features import load_network

NAME = "of-an-onnx-file"


class Ours(torch_fidelity.FeatureExtractorBase):  # type: ignore[misc]  # torch-fidelity has no annotations
    """The feature network of an ONNX file, fed as ganlab feeds it."""

    def __init__(
        self, name: str, features_list: Any, feature_extractor_weights_path: Any = None, **others: Any
    ) -> None:
        super().__init__(name, features_list)
        self.network = load_network(Path(feature_extractor_weights_path), "cpu")

    @staticmethod
    def get_provided_features_list() -> tuple[str]:
        return ("features",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "features"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> None:
        return None

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor]:
        features = self.network.features(pictures.permute(0, 2, 3, 1).numpy(), lambda done: None)
        return (torch.from_numpy(features),)


torch_fidelity.register_feature_extractor(NAME, Ours)
