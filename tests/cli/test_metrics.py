"""`ganlab metrics fetch`: what it says before it downloads, and that nothing else downloads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from command_line import Command

from ganlab import Comparison, Metric, PublishedWeights
from ganlab.judging.published import place_of
from ganlab.registry import registry

DATA = b"some numbers"
WEIGHTS = PublishedWeights(
    "numbers.pth", "http://127.0.0.1:9/numbers", hashlib.sha256(DATA).hexdigest(), len(DATA), "numbers, of the public"
)


class Needing(Metric):
    """Needs weights."""

    api = 1
    better: ClassVar = "lower"
    published: ClassVar[PublishedWeights | None] = WEIGHTS

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        return {}


@pytest.fixture(autouse=True)
def _needing() -> Iterator[None]:
    registry.add("metric", "needing", Needing)
    yield
    registry.remove("metric", "needing")


def test_all_of_it_is_said_before_anything_is_fetched(command: Command) -> None:
    ended = command("metrics", "fetch", "needing")
    assert ended.out == (
        "numbers.pth, for needing: numbers, of the public\n"
        "  from     http://127.0.0.1:9/numbers\n"
        f"  to       {place_of(WEIGHTS)}\n"
        "  size     0.0 MB\n"
        f"  SHA-256  {WEIGHTS.sha256}\n"
    )
    assert ended.code == 1
    assert "cannot download http://127.0.0.1:9/numbers: " in ended.err
    assert not place_of(WEIGHTS).exists()


def test_what_is_there_is_not_fetched_again(command: Command) -> None:
    place_of(WEIGHTS).parent.mkdir()
    place_of(WEIGHTS).write_bytes(DATA)
    ended = command("metrics", "fetch", "needing")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith(f"{WEIGHTS.sha256}\n  is there already\n")
    Path("mine.pth").write_bytes(DATA[::-1])  # something else is no obstacle
    assert command("metrics", "fetch", "needing", "--out", "mine.pth").code == 1


def test_the_weights_of_our_own_are_fetched_once_for_both(command: Command) -> None:
    """The address is one at which nobody answers, and of two files none can be both."""
    ended = command("metrics", "fetch", "fid", "is", "--url", "http://127.0.0.1:9/", "--out", "weights.pth")
    assert ended.code == 1
    assert ended.out.startswith("pt_inception-2015-12-05-6726825d.pth, for fid and is: the Inception network of 2015 ")
    assert "  from     http://127.0.0.1:9/\n" in ended.out
    assert "  size     95.6 MB\n" in ended.out
    assert not Path("weights.pth").exists()


MISTAKES = {
    ("kid",): 'metric "kid" needs no weights',
    ("fidd",): 'no metric "fidd" is installed; did you mean fid? (installed: ',
    ("--out", "x.pth"): "--out and --url are for one file, and there are 2: name one METRIC",
    ("fid", "--out", "."): "--out . exists and is not a file; name another one",
    ("fid", "--url", "file:///x"): "file:///x: is no address of the web; name one that begins with https://",
}


@pytest.mark.parametrize(("words", "sentence"), MISTAKES.items(), ids=[" ".join(words) for words in MISTAKES])
def test_a_mistake_is_one_sentence(command: Command, words: tuple[str, ...], sentence: str) -> None:
    ended = command("metrics", "fetch", *words)
    assert ended.code == 2
    assert ended.err.startswith(f"ganlab: {sentence}")
    assert ended.err.count("\n") == 1


def test_evaluate_asks_for_weights_and_fetches_none(command: Command, trained: Path) -> None:
    ended = command("evaluate", trained, "--count", 20, "--metrics", "is")
    assert ended.code == 2
    assert ended.err.endswith(
        "ganlab: the weights pt_inception-2015-12-05-6726825d.pth are not here: ganlab metrics fetch downloads them, "
        "or name the file that you have as the metric's option weights, as in --set fid.weights=PATH\n"
    )
