"""Evaluations of made-up scores, for what compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ganlab.interfaces import Better
from ganlab.judging.report import REFERENCE, Column, Evaluation, Origin, Protocol, Score

PROTOCOL = Protocol(
    dataset="clothes",
    options={"split": "test"},
    fingerprint="ab" * 32,
    pictures=(1, 8, 8),
    real=100,
    fake=100,
    seeds=3,
    network="lite0",
    network_digest="cd" * 32,
    resizer="bicubic to 96 x 96, Pillow 11.0",
    metrics={"kid": {"subsets": 10}, "prdc": {"k": 5}, "ms_ssim": {"pairs": 50}},
    ganlab="1.0",
)
RECIPE = {
    "seed": 0,
    "model": {"name": "dcgan", "base_channels": 64},
    "optimizer": {"lr": {"from": 2e-4, "to": 0.0, "progress": 1.0}},
    "train": {"epochs": 30},
    "observers": {"gif": True},
}
ORIGIN = Origin(RECIPE["model"], RECIPE, 1000, "clothes", "ab" * 32)  # type: ignore[arg-type]
BETTER: dict[str, Better] = {"kid": "lower", "recall": "higher", "ms_ssim": "neither"}


def evaluation(
    *scores: Mapping[str, tuple[float, ...]], origin: Origin | None = ORIGIN, digest: str = "sha256:0", **changes: Any
) -> Evaluation:
    """Return the evaluation of generators with these values, under the protocol with `changes`."""
    columns = [
        Column(
            f"runs/clothes/000{number}",
            {name: Score(values) for name, values in found.items()},
            True,
            f"{digest}{number}",
            True,
            origin,
        )
        for number, found in enumerate(scores, 1)
    ]
    return Evaluation(replace(PROTOCOL, **changes), BETTER, Column(REFERENCE, {}), tuple(columns), {"mind": "no need"})
