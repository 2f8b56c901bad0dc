"""Dotted keys, and what two recipes differ in."""

from __future__ import annotations

from ganlab.recipe.keys import differing, dotted, value_shown


def test_tables_become_dotted_keys_and_schedules_stay_whole() -> None:
    lr = {"from": 1e-3, "to": 0.0, "progress": 1.0}
    table = {"seed": 1, "optimizer": {"lr": lr, "betas": (0.5, lr), "discriminator": {"lr": 2.0}}, "loss": {}}
    assert dotted(table) == {
        "seed": 1,
        "optimizer.lr": lr,
        "optimizer.betas": [0.5, lr],
        "optimizer.discriminator.lr": 2.0,
    }


def test_what_differs_is_what_changed_came_or_went() -> None:
    first = {"a": {"x": 1, "same": [1, 2]}, "gone": True}
    second = {"a": {"x": 1.5, "same": (1, 2)}, "new": "text"}
    assert differing(first, second) == {"a.x": (1, 1.5), "gone": (True, None), "new": (None, "text")}
    assert differing(first, first) == {}


def test_a_value_is_shown_as_a_recipe_has_it() -> None:
    assert [value_shown(value) for value in (None, True, 2e-4, "a", [1, "b"])] == [
        "unset", "true", "0.0002", '"a"', '[1, "b"]',
    ]  # fmt: skip
    assert value_shown({"progress": 1.0, "to": 0.0, "from": 1.0}) == "{ from = 1.0, to = 0.0, progress = 1.0 }"
    assert value_shown([None]) == "[None]"  # what no TOML holds, but a file may
    assert len(value_shown("x" * 1000)) == 160
