"""Observers: called one by one, refused where their hooks are wrong, and unable to harm a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ganlab import Interrupted, Observer, PluginError, hookimpl
from ganlab.run.observers import Observers

HEARD: list[str] = []


@pytest.fixture(autouse=True)
def _silence() -> None:
    HEARD.clear()


class Listener(Observer):
    """Remembers the notes."""

    api = 1
    prefix: str = ""

    @hookimpl
    def note(self, text: str) -> None:
        HEARD.append(self.prefix + text)


class Broken(Observer):
    """Raises when a phase moves."""

    api = 1
    exits: bool = False

    @hookimpl
    def phase(self, done: int) -> None:
        if self.exits:
            sys.exit(3)
        raise ZeroDivisionError(f"at {done}")

    @hookimpl
    def note(self, text: str) -> None:
        HEARD.append("broken " + text)


class Misspelt(Observer):
    """Has a hook that is none."""

    api = 1

    @hookimpl
    def ticks(self) -> None: ...


class Greedy(Observer):
    """Wants an argument that no tick has."""

    api = 1

    @hookimpl
    def tick(self, weather: str) -> None: ...


class Wrapping(Observer):
    """Wants to be called around the others."""

    api = 1

    @hookimpl(wrapper=True)
    def note(self) -> Iterator[None]:
        yield


class Stopped(Observer):
    """A signal arrives in the middle of it."""

    api = 1

    @hookimpl
    def phase(self) -> None:
        raise Interrupted("stopped", 2)


def test_observers_are_called_in_the_order_of_registration() -> None:
    observers = Observers()
    for prefix in "ab":
        observers.register(Listener(prefix=prefix), prefix, "dist 1")
    observers.note("x")
    assert HEARD == ["ax", "bx"]


@pytest.mark.parametrize("exits", [False, True])
def test_one_that_raises_is_reported_once_and_switched_off(exits: bool) -> None:
    observers = Observers()
    observers.register(Broken(exits=exits), "broken", "ganlab-broken 2.1")
    observers.register(Listener(), "listener", "ganlab 1")
    observers.phase("packing", 1, 2)
    observers.phase("packing", 2, 2)
    what = "SystemExit: 3" if exits else "ZeroDivisionError: at 1"
    assert [f'observer "broken" (ganlab-broken 2.1) failed at phase and is switched off: {what}'] == HEARD


@pytest.mark.parametrize(
    ("observer", "sentence"),
    [
        (
            Misspelt(),
            "ticks is not an event; the events are phase, note, run_start, tick, snapshot, scored, finding, run_end",
        ),
        (Greedy(), "Argument(s) {'weather'} are declared in the hookimpl but can not be found in the hookspec"),
        (Wrapping(), "note: observers are called one by one; @hookimpl takes no wrapper"),
    ],
)
def test_wrong_hooks_are_refused_naming_the_distribution(observer: Observer, sentence: str) -> None:
    observers = Observers()
    observers.register(Listener(), "listener", "ganlab 1")
    with pytest.raises(PluginError) as caught:
        observers.register(observer, "wrong", "ganlab-wrong 0.3")
    assert sentence in str(caught.value)
    assert 'observer "wrong" (ganlab-wrong 0.3)' in str(caught.value)
    observers.note("still here")
    assert HEARD == ["still here"], "a refused observer must not stay registered"


def test_a_signal_is_not_taken_for_an_observers_fault() -> None:
    observers = Observers()
    observers.register(Stopped(), "stopped", "dist 1")
    with pytest.raises(Interrupted):
        observers.phase("packing", 1, 2)


def test_the_guard_is_around_every_call() -> None:
    entered = []

    @contextmanager
    def guard() -> Iterator[None]:
        entered.append("in")
        yield
        entered.append("out")

    observers = Observers(guard)
    observers.register(Listener(prefix="a"), "a", "dist 1")
    observers.register(Listener(prefix="b"), "b", "dist 1")
    observers.note("x")
    assert entered == ["in", "out", "in", "out"]


def test_the_same_observer_twice_is_refused() -> None:
    observers = Observers()
    observers.register(Listener(), "a", "dist 1")
    with pytest.raises(PluginError, match=r'observer "b" \(dist 1\) is there already, with the same options'):
        observers.register(Listener(), "b", "dist 1")
