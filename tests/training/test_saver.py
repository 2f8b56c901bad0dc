"""Checkpoints that are written behind the training: whole, one at a time, and what goes wrong comes out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_state import ALONE, BEGUN, small_state

from ganlab.errors import RunError
from ganlab.training.checkpoint import STATE, Checkpoints, Content
from ganlab.training.saver import Saver
from ganlab.training.state import State, buffer_rows


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A gate at which all writes wait, closed at first."""
    gate, write = threading.Event(), Checkpoints.save

    def waiting(self: Checkpoints, content: Content) -> Path:
        assert gate.wait(60)
        return write(self, content)

    monkeypatch.setattr(Checkpoints, "save", waiting)
    yield gate
    gate.set()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.fixture
def saver(place: Path, gate: threading.Event) -> Iterator[Saver]:
    """What saves behind the training, into `place`, once the gate is open."""
    saver = Saver(place, 2, pytest.fail, behind=True)
    yield saver
    gate.set()
    saver.close()


def saved_at(saver: Saver, state: State, iteration: int) -> None:
    state.iteration = iteration
    saver.save(state, buffer_rows(state, ALONE), BEGUN)


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_the_training_goes_on_while_a_checkpoint_is_written(saver: Saver, place: Path, gate: threading.Event) -> None:
    state = small_state()
    saved_at(saver, state, 7)
    state.iteration = 8
    saver.look()
    assert (names(place), saver.saved) == ([], None)
    gate.set()
    saver.wait()
    assert (names(place), saver.saved) == (["00000007"], 7)


def test_what_is_asked_for_next_waits_for_what_is_being_written(
    saver: Saver, place: Path, gate: threading.Event
) -> None:
    state = small_state()
    saved_at(saver, state, 7)
    threading.Timer(0.05, gate.set).start()
    found = saver.newest()
    assert found is not None
    assert found.manifest.iteration == 7
    after = Saver(place, 2, pytest.fail, behind=True)
    after.newest()
    assert after.saved == 7
    for iteration in (8, 9, 10):
        saved_at(saver, state, iteration)
    saver.delete_old()
    assert names(place) == ["00000009", "00000010"]


def test_both_ways_write_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for behind in (False, True):
        place = tmp_path / str(behind) / "checkpoints"
        place.mkdir(parents=True)
        saver = Saver(place, 2, pytest.fail, behind)
        saved_at(saver, small_state(), 3)
        saver.close()
        written.append((place / "00000003" / STATE).read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("call", ["look", "wait", "newest", "delete_old", "save"])
def test_what_went_wrong_is_raised_by_the_next_call(
    saver: Saver, place: Path, gate: threading.Event, call: str
) -> None:
    state = small_state()
    saved_at(saver, state, 7)
    place.rmdir()
    place.write_text("no folder any more")
    gate.set()

    def asked() -> None:
        while call == "look":  # which does not wait
            saver.look()
        saved_at(saver, state, 8) if call == "save" else getattr(saver, call)()

    with pytest.raises(RunError, match="cannot"):
        asked()
    assert saver.saved is None
    saver.wait()  # it is told once


def test_closing_waits_and_raises_nothing(saver: Saver, place: Path, gate: threading.Event) -> None:
    saved_at(saver, small_state(), 7)
    threading.Timer(0.05, gate.set).start()
    saver.close()
    assert names(place) == ["00000007"]
    saver.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("checkpoint")]


def test_a_directory_that_moves_under_a_write_gets_its_checkpoint(
    saver: Saver, place: Path, gate: threading.Event
) -> None:
    saved_at(saver, small_state(), 7)
    run = place.parent
    moved = run.rename(run.with_name("moved")) / "checkpoints"
    run.write_text("in the way, so that nothing is made there anew")
    gate.set()
    saver.move_to(moved)
    assert (names(moved), saver.saved) == (["00000007"], 7)
    run.unlink()


def test_notes_come_from_whoever_calls_and_not_from_a_thread(place: Path, gate: threading.Event) -> None:
    told: list[tuple[str, str]] = []
    saver = Saver(place, 2, lambda text: told.append((text, threading.current_thread().name)), behind=True)
    (place / "00000003").mkdir()
    saved_at(saver, small_state(), 7)
    gate.set()
    saver.close()
    stranger = f"{place / '00000003'} was not written by this run: it is no checkpoint of it, and is left alone"
    assert told == [(stranger, threading.current_thread().name)]
