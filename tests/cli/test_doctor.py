"""`ganlab doctor`, for a recipe and for a run."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner
from standard.observers.events import a_finding
from toys import tiny

import ganlab
from ganlab.cli import ganlab as command
from ganlab.recipe.recipe import parse_recipe
from ganlab.standard.observers.wording import finding_values


def doctor(*words: str) -> str:
    done = CliRunner().invoke(command, ["doctor", *words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_a_recipe_is_looked_at_with_changes() -> None:
    Path("toy.toml").write_text(parse_recipe(tiny()).dump())
    said = doctor("toy.toml", "--set", "optimizer.lr=0.05", "--seconds", "1")
    assert "pictures    40 of 1 x 8 x 8" in said
    assert "- the learning rate of the generator, 0.05, is high" in said
    found = json.loads(doctor("toy.toml", "--seconds", "1", "--device", "cpu", "--json"))
    assert set(found) == {"figures", "doubts"}
    assert not Path("runs").exists()


def test_a_run_says_what_it_suffers_from() -> None:
    run = ganlab.train(tiny(), out="run").directory
    assert doctor("run") == "nothing was found\n"
    told = [a_finding(4)._replace(numbers={"period": 3.0}), a_finding(8, ended=True)._replace(numbers={})]
    told.append(a_finding(10)._replace(name="saturation", numbers={"samples": 0.9}))
    (run / "findings.jsonl").write_text("".join(f"{json.dumps(finding_values(one))}\n" for one in told))
    assert doctor("run").splitlines() == [
        "oscillation, at iteration 4, and ended later",
        "  seen        it goes round",
        "oscillation, at iteration 8, has ended",
        "  seen        it goes round",
        "saturation, at iteration 10",
        "  seen        it goes round",
        "  threshold   often",
        "  may help    optimizer.lr = 0.0001: half of the learning rate",
    ]
    found = json.loads(doctor("run", "--json"))
    assert [(one["name"], one["ended"]) for one in found["findings"]] == [
        ("oscillation", False),
        ("oscillation", True),
        ("saturation", False),
    ]


def test_a_run_takes_no_changes() -> None:
    ganlab.train(tiny(), out="run")
    done = CliRunner().invoke(command, ["doctor", "run", "--set", "seed=1"])
    assert done.exit_code == 1
    assert "run is a run, of which nothing can be changed; --set goes with a recipe" in str(done.exception)


def test_what_is_neither_is_refused() -> None:
    done = CliRunner().invoke(command, ["doctor", "quickstrat"])
    assert "did you mean quickstart?" in str(done.exception)
