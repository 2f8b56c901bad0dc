"""What follows from what was measured: the floor, the shares, the limit, and the object that is printed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from measurement import REPORT

from ganlab.bench.report import Spread, limiting, spread


@pytest.mark.parametrize(
    ("data_share", "host_share", "cpu", "limit"),
    [
        (0.0, 0.0, True, "compute"),
        (0.19, 0.49, True, "compute"),
        (0.2, 0.9, True, "data"),
        (0.1, 0.5, True, "host"),
        (0.1, 0.5, False, "compute"),
        (0.1, 0.95, False, "host"),
        (0.3, None, False, "data"),
        (0.0, None, True, "compute"),
    ],
)
def test_what_limits_a_training_follows_from_the_shares(
    data_share: float, host_share: float | None, cpu: bool, limit: str
) -> None:
    assert limiting(data_share, host_share, cpu) == limit


def test_a_report_gives_the_floor_and_the_shares() -> None:
    assert REPORT.floor_seconds == 0.5
    assert REPORT.floor_share == 0.5
    assert REPORT.host_share == 0.1
    assert REPORT.limit == "compute"


def test_beside_others_nothing_else_is_told() -> None:
    crowded = dataclasses.replace(REPORT, crowded="other processes keep 1.9 of 2 cores busy")
    assert crowded.limit == crowded.as_json()["limit"] == "others"


def test_what_the_host_needs_may_not_be_known() -> None:
    unknown = dataclasses.replace(REPORT, host_seconds=None)
    assert unknown.host_share is None
    assert unknown.as_json()["host_milliseconds"] is None


def test_a_spread_has_the_middle_and_the_ends() -> None:
    assert spread([3.0, 1.0, 4.0, 1.5]) == Spread(median=2.25, lowest=1.0, highest=4.0)


KEYS = {
    "recipe": str,
    "device": str,
    "processor": str,
    "precision": str,
    "threads": int,
    "torch": str,
    "batch_size": int,
    "pictures": list,
    "images_per_second": dict,
    "milliseconds_per_iteration": dict,
    "blocks": int,
    "iterations": int,
    "gflop_per_iteration": float,
    "peak_gflop_per_second": float,
    "peak_of": str,
    "floor_milliseconds": float,
    "floor_share": float,
    "data_share": float,
    "host_milliseconds": float,
    "limit": str,
    "lower_precision": dict,
    "memory_bytes": int,
    "notes": list,
    "startup_seconds": dict,
}


def test_json_has_every_key_that_the_page_documents() -> None:
    found = json.loads(json.dumps(REPORT.as_json()))
    assert {key: type(value) for key, value in found.items()} == KEYS
    assert found["milliseconds_per_iteration"] == {"median": 1000.0, "lowest": 900.0, "highest": 1280.0}
    page = (Path(__file__).parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in page for key in KEYS)
