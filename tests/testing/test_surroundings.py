"""What a component shares with the rest of the process: seen when it moves, and put back."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ganlab.testing.surroundings import modes, moved, own_folder, random_states, undisturbed


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (lambda: None, []),
        (random.random, ["Python's random"]),
        (np.random.rand, ["numpy.random"]),
        (lambda: torch.rand(1), ["torch's default generator"]),
        (lambda: torch.manual_seed(5), ["the seed of torch"]),
        (lambda: (random.random(), np.random.rand(), torch.rand(1)), ["Python's random", "numpy.random", "torch's"]),
    ],
)
def test_what_has_moved_is_named(move: Callable[[], object], words: list[str]) -> None:
    with undisturbed():
        before = random_states()
        move()
        found = moved(before, torch_may_draw=False)
        assert [text.startswith(word) for text, word in zip(found, words, strict=True)] == [True] * len(words)
        assert [text for text in moved(before, torch_may_draw=True) if "default generator" in text] == []


def test_everything_begins_the_same_and_is_put_back() -> None:
    torch.manual_seed(3)
    before, before_modes = random_states(), modes()
    drawn = []
    for _ in range(2):
        with undisturbed():
            drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
            torch.set_grad_enabled(False)
            torch.set_default_dtype(torch.float64)
            torch.set_autocast_enabled("cpu", True)
            torch.set_num_threads(2)
            torch.use_deterministic_algorithms(True)
            assert modes() != before_modes
    assert drawn[0] == drawn[1]
    assert random_states() == before
    assert modes() == before_modes


def test_it_is_put_back_after_an_error_too() -> None:
    before = random_states()
    with pytest.raises(ValueError, match="of a check"), undisturbed():
        raise ValueError(f"of a check, after {random.random()}")
    assert random_states() == before


def test_a_folder_of_its_own_goes_with_what_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", "the user's")
    monkeypatch.delenv("GANLAB_CONFIG", raising=False)
    before = dict(os.environ)
    with own_folder() as folder:
        cache, config = (Path(os.environ[name]) for name in ("GANLAB_CACHE", "GANLAB_CONFIG"))
        assert cache.parent == config.parent == folder
        cache.mkdir()
        (cache / "file").write_text("")
    assert not folder.exists()
    assert dict(os.environ) == before
