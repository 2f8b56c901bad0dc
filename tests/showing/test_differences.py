"""In what recipes differ."""

from __future__ import annotations

from ganlab.showing.differences import differences


def test_keys_whose_values_are_not_equal_are_named_with_all_values() -> None:
    first = {"seed": 0, "model": {"name": "dcgan", "width": 8}, "optimizer": {"lr": 1e-3}}
    second = {"seed": 1, "model": {"name": "dcgan", "width": 8, "deep": True}, "optimizer": {"lr": 1e-3}}
    assert [(one.key, list(one.values)) for one in differences([first, second, first])] == [
        ("seed", ["0", "1", "0"]),
        ("model.deep", ["unset", "true", "unset"]),
    ]


def test_how_runs_are_watched_is_no_difference() -> None:
    assert differences([{"observers": {"gif": False}}, {"observers": {"gif": True}}]) == []
    assert differences([{"a": 1}]) == []
