"""Names and values as MLflow takes them, by its own rules."""

from __future__ import annotations

import pytest
from ganlab_mlflow.names import is_name, metric_names, parameters
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = st.text() | st.text("aD_x/.:()[]- é\n", max_size=12) | st.text("ab", min_size=240, max_size=260)


def taken(name: str) -> bool:
    """Tell whether MLflow takes a name: of these letters, a path that leads nowhere else, and not too long."""
    letters = all(letter.isalnum() or letter in "_-. :/" for letter in name)
    steps = [step not in ("", ".", "..") for step in name.split("/")]
    return letters and all(steps) and not name.startswith("..") and len(name.encode()) <= 250


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # the first text takes its time
@given(st.lists(NAMES, unique=True, max_size=8), st.lists(st.sampled_from(["epoch", "score"]), unique=True))
def test_mlflow_takes_every_name_and_no_two_are_one(names: list[str], others: list[str]) -> None:
    found = metric_names(names, others)
    assert list(found) == list(dict.fromkeys(found))
    assert found.keys() == set(names)
    assert len(set(found.values())) == len(names)
    assert not set(found.values()) & set(others)
    assert all(taken(name) and is_name(name) for name in found.values()), found


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(NAMES)
def test_what_mlflow_takes_keeps_its_name(name: str) -> None:
    assert is_name(name) == taken(name)
    if taken(name):
        assert metric_names([name]) == {name: name}


def test_names_of_others_stay_theirs() -> None:
    names = ["epoch", "epoch(", "score", "score/kid", "scores", "stat_epoch"]
    called = ["stat_epoch", "epoch_2", "stat_score", "stat_score/kid", "scores", "stat_epoch_2"]
    assert metric_names(names, ["epoch", "score"]) == dict(zip(names, called, strict=True))


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("loss_generator", "loss_generator"),
        ("D(G(z))", "D_G_z"),
        ("sign(D(x))", "sign_D_x"),
        ("pass/fail", "pass/fail"),
        ("../../etc", "_.._etc"),
        ("/", "_"),
        ("", "_"),
        ("\x1b[31m", "_31m"),
    ],
)
def test_names_are_the_nearest_ones(name: str, called: str) -> None:
    assert metric_names([name]) == {name: called}


def test_a_recipe_is_parameters_but_for_observers() -> None:
    recipe = {"seed": 3, "a": {"x": [0.5, 1], "on": False, "b": {"text": "plain"}}, "observers": {"gif": {"fps": 1}}}
    assert parameters(recipe) == {"seed": "3", "a.x": "[0.5, 1]", "a.on": "false", "a.b.text": "plain"}
    assert parameters({"a(b)": "x" * 501}) == {"a_b": "x" * 496 + " ..."}
