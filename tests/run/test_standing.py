"""How a run stands: running, stopped, failed or finished, as runs have really ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import outside
from toys import tiny

import ganlab
from ganlab import Interrupted, Observer, RunInfo, Tick, hookimpl
from ganlab.errors import GanlabError, RunError
from ganlab.recipe.recipe import load_recipe
from ganlab.recipe.toml import dumps
from ganlab.registry import registry
from ganlab.run.directory import RunDirectory
from ganlab.run.standing import (
    SCORE,
    SESSION,
    LastScore,
    forget_score_after,
    last_session,
    read_note,
    read_score,
    state_of,
    write_note,
    write_score,
)

RUN = RunDirectory(Path("run"))


class Ender(Observer):
    """Looks how the run stands at its fifth iteration, and ends it there in a way of its own."""

    api = 1
    way: str = ""

    @hookimpl
    def tick(self, run: RunInfo, tick: Tick) -> None:
        if tick.iteration == 5:
            Path("seen").write_text(state_of(RunDirectory(run.directory)))
            if self.way == "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
            elif self.way == "fail":
                (run.directory / "checkpoints").rename(run.directory / "mine")
                (run.directory / "checkpoints").write_text("in the way")


@pytest.fixture(autouse=True)
def _ender() -> Iterator[None]:
    registry.add("observer", "ender", Ender)
    yield
    registry.remove("observer", "ender")


def ended(way: str) -> ganlab.Run:
    return ganlab.train(tiny(observers={"terminal": {"mode": "off"}, "ender": {"way": way}}), out="run")


def test_a_run_that_is_on_is_running_and_one_that_has_ended_is_finished() -> None:
    ended("")
    assert Path("seen").read_text() == "running"
    assert state_of(RUN) == "finished"
    assert ended("").already_done
    assert state_of(RUN) == "finished"


def test_an_interrupted_run_is_stopped_until_it_has_been_finished() -> None:
    with pytest.raises(Interrupted):
        ended("interrupt")
    assert state_of(RUN) == "stopped"
    ended("")
    assert (Path("seen").read_text(), state_of(RUN)) == ("running", "finished")


def test_a_run_that_could_not_save_has_failed_until_it_goes_on() -> None:
    with pytest.raises(RunError):
        ended("fail")
    assert state_of(RUN) == "failed"
    Path("run/checkpoints").unlink()
    Path("run/mine").rename("run/checkpoints")
    ended("")
    assert state_of(RUN) == "finished"


def test_a_killed_run_is_running_before_and_stopped_after() -> None:
    Path("toy.toml").write_text(dumps(tiny(train={"iterations": 1_000_000})))
    child = outside("run", "toy.toml", "--out", "run", "--progress", "json")
    assert child.stdout is not None
    while '"tick"' not in child.stdout.readline():
        assert child.poll() is None
    assert state_of(RUN) == "running"
    child.kill()
    child.communicate()
    assert state_of(RUN) == "stopped"


def test_a_run_that_was_finished_by_an_older_ganlab_is_unknown_until_it_is_asked() -> None:
    ended("")
    (RUN.path / SESSION).unlink()
    assert state_of(RUN) == "unknown"
    assert ended("").already_done
    assert state_of(RUN) == "finished"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[" * 100_000, '{"ended": "x"}', '{"ended": "failed", "overrides": 3}']
)
def test_a_damaged_record_says_nothing(text: str) -> None:
    ended("")
    (RUN.path / SESSION).write_text(text)
    assert (last_session(RUN), state_of(RUN)) == (None, "unknown")


def test_a_run_that_was_refused_stands_as_before() -> None:
    ended("")
    with pytest.raises(GanlabError):
        ganlab.train(tiny(train={"iterations": 1}), out="run")
    assert state_of(RUN) == "finished"


def overridden(*texts: str, recipe: str = "toy.toml") -> tuple[str, ...]:
    ganlab.train(load_recipe(Path(recipe), texts), out="run")
    session = last_session(RUN)
    assert session is not None
    return session.overrides


def test_what_was_changed_in_a_recipe_is_kept_with_the_run_and_follows_it() -> None:
    Path("toy.toml").write_text(dumps(tiny()))
    first = ("train.iterations=2", "train.iterations = 4", "model.base_channels=8")
    assert overridden(*first) == ("train.iterations = 4", "model.base_channels=8")
    # Its own recipe holds what was changed before; the file that it was begun with does not.
    longer = ("train.iterations=5", "model.base_channels=8", "train.tick_seconds=9")
    assert overridden("train.iterations=5", "train.tick_seconds=9", recipe="run/recipe.toml") == longer
    assert overridden("train.iterations=6", "model.base_channels=8") == ("train.iterations=6", "model.base_channels=8")


def test_what_differs_from_the_shipped_recipe_is_kept_and_follows_the_run() -> None:
    clothes = {"name": "fashion_mnist", "split": "shipped", "resolution": 16}
    table = tiny(dataset=clothes, observers={"terminal": False}) | {"extends": "quickstart"}
    Path("mine.toml").write_text(f'extends = "quickstart"\n{dumps(tiny(dataset=clothes))}')
    ganlab.train(table, out="other")
    overridden("train.iterations=2", "observers.gif=false", recipe="mine.toml")
    session, other = last_session(RUN), last_session(RunDirectory(Path("other")))
    assert session is not None
    assert other is not None
    assert session.shipped == other.shipped == "quickstart"
    assert "train.iterations=2" in session.changes
    assert "dataset.resolution=16" in session.changes
    assert not any(text.startswith("observers.") for text in session.changes)
    before = dict.fromkeys(session.changes)
    overridden("train.iterations=3", recipe="run/recipe.toml")
    session = last_session(RUN)
    assert session is not None
    assert (session.shipped, set(session.changes)) == (
        "quickstart",
        {*before, "train.iterations=3"} - {"train.iterations=2"},
    )


def test_the_last_score_is_read_as_it_was_written_and_forgotten_with_the_training() -> None:
    (RUN.path / ".ganlab").mkdir(parents=True)
    for score in (LastScore(9, "kid", 0.5, None), LastScore(12, "kid", -0.25, -0.5)):
        write_score(RUN, score)
        assert read_score(RUN) == score
    forget_score_after(RUN, 12)
    assert read_score(RUN) is not None
    forget_score_after(RUN, 11)
    assert read_score(RUN) is None
    forget_score_after(RUN, 0)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 100_000,
        "[]",
        '{"iteration": 1, "name": "kid", "value": 0.5}',
        '{"iteration": 1, "name": "kid", "value": NaN, "best": null}',
        '{"iteration": 1, "name": "kid", "value": 0.5, "best": Infinity}',
        '{"iteration": "1", "name": "kid", "value": 0.5, "best": null}',
        '{"iteration": 1, "name": 3, "value": 0.5, "best": null}',
        '{"iteration": 1, "name": "kid", "value": "0.5", "best": null}',
    ],
)
def test_a_damaged_score_is_none(text: str) -> None:
    (RUN.path / ".ganlab").mkdir(parents=True)
    (RUN.path / SCORE).write_text(text)
    assert read_score(RUN) is None


def test_what_is_changed_in_python_is_kept_as_the_command_line_would_say_it() -> None:
    ganlab.train(tiny(), overrides={"train.iterations": 1, "model.latent": "normal"}, out="run")
    session = last_session(RUN)
    assert session is not None
    assert session.overrides == ("train.iterations=1", 'model.latent="normal"')


def test_a_run_goes_on_under_its_own_name_by_its_own_recipe() -> None:
    Path("toy.toml").write_text(dumps(tiny()))
    undisturbed = ganlab.train(load_recipe(Path("toy.toml")), out="undisturbed").generator.read_bytes()
    ganlab.train(load_recipe(Path("toy.toml"), ["train.iterations=4"]), out="run")
    run = ganlab.train(load_recipe(Path("run/recipe.toml"), ["train.iterations=12"]), out="run")
    assert run.generator.read_bytes() == undisturbed


def test_a_note_is_kept_on_one_line_replaced_and_taken_away() -> None:
    ganlab.train(tiny(train={"iterations": 1}), out="run", note="  two\nwords ")
    assert read_note(RUN) == "two words"
    ganlab.train(tiny(train={"iterations": 2}), out="run")
    assert read_note(RUN) == "two words"
    write_note(RUN, "\ud800 other")
    assert read_note(RUN) == "\ud800 other"
    write_note(RUN, "")
    write_note(RUN, "")
    assert read_note(RUN) == ""
    with pytest.raises(GanlabError, match="the note has 1,001 letters; 1,000 at most"):
        ganlab.train(tiny(), out="other", note="x" * 1001)
    assert not Path("other").exists()
