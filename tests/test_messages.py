"""Words for people: the name that someone probably meant, lists, and text of strangers made safe to print."""

from __future__ import annotations

import os
import random
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganlab.data.findings import Findings
from ganlab.errors import PluginError
from ganlab.interfaces import Dataset, Model, Optimizer
from ganlab.messages import (
    at_command_line,
    counted,
    did_you_mean,
    distance,
    in_words,
    line_of,
    listed,
    nearest,
    one_line,
    option,
    place_in,
    quoted,
    same_again,
    setting,
    shell_word,
    short,
    shown,
    told,
    with_article,
)
from ganlab.recipe.recipe import TABLES
from ganlab.recipe.settings import MovingAverage, Settings, Snapshots, Train
from ganlab.registry import registry
from ganlab.registry.loading import BASES
from ganlab.run.outlook import Outlook


def real_names() -> list[str]:
    names = set(TABLES)
    for cls in (Settings, Train, MovingAverage, Snapshots, Model, Dataset, Optimizer):
        names |= set(cls.model_fields)
    for kind in BASES:
        for name in registry.names(kind):
            try:
                names |= {name, *registry.get(kind, name).model_fields}
            except PluginError:
                names.add(name)
    return sorted(names)


def misspelt(word: str, slips: int, dice: random.Random) -> str:
    """Make independent slips: leave out, add, change or swap letters."""
    for _ in range(slips):
        at = dice.randrange(len(word))
        letter = dice.choice(string.ascii_lowercase + "_")
        match dice.randrange(4):
            case 0:
                word = word[:at] + word[at + 1 :]
            case 1:
                word = word[:at] + letter + word[at:]
            case 2:
                word = word[:at] + letter + word[at + 1 :]
            case 3:
                word = word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]
    return word


@pytest.mark.parametrize("slips", [1, 2])
def test_at_least_95_of_100_misspelt_options_are_recognised(slips: int) -> None:
    dice = random.Random(7)
    names = real_names()
    long = [name for name in names if len(name) >= 5]
    assert len(long) > 30
    right = total = 0
    for name in long:
        for _ in range(10):
            typo = misspelt(name, slips, dice)
            if typo not in names:
                total += 1
                right += nearest(typo, names) == name
    assert total > 300
    assert right / total >= 0.95


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("latentdim", "latent_dim"),
        ("latent-dim", "latent_dim"),
        ("LATENT_DIM", "latent_dim"),
        ("epcohs", "epochs"),
        ("l", "lr"),
        ("rl", "lr"),
        ("xy", None),
        ("learning", None),
        ("", None),
        ("e" * 100_000, None),
    ],
)
def test_nearest(word: str, found: str | None) -> None:
    assert nearest(word, ["latent_dim", "epochs", "lr"]) == found


def test_the_first_letter_decides_between_equals() -> None:
    assert nearest("batas", ["datas", "betas"]) == "betas"


def test_a_hint_is_a_clause_or_nothing() -> None:
    assert did_you_mean("epoch", ["epochs"]) == "; did you mean epochs?"
    assert did_you_mean("zebra", ["epochs"]) == ""


@pytest.mark.parametrize(
    ("first", "second", "slips"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 1), ("ca", "abc", 3), ("train", "trian", 1)],
)
def test_distance_against_published_values(first: str, second: str, slips: int) -> None:
    assert distance(first, second) == distance(second, first) == slips


def test_a_list_is_cut_and_the_others_counted() -> None:
    assert listed([]) == ""
    assert listed(["a", "b"]) == "a; b"
    assert listed(list("abcde")) == "a; b; c; d; e"
    assert listed(list("abcdefg")) == "a; b; c; d; e; and 2 more"
    assert listed(list("abc"), limit=1) == "a; and 2 more"
    assert listed(["a" * 1000]) == "a" * 197 + "..."


def test_a_few_words_are_joined_as_a_sentence_has_them() -> None:
    assert in_words([]) == ""
    assert in_words(["a"]) == "a"
    assert in_words(["a", "b"]) == "a and b"
    assert in_words(["a", "b", "c"], "or") == "a, b or c"


@pytest.mark.parametrize(("length", "limit"), [(0, 60), (60, 60), (61, 60), (1_000_000, 60), (11, 10)])
def test_a_text_is_cut_to_its_limit(length: int, limit: int) -> None:
    text = short("x" * length, limit)
    assert len(text) == min(length, limit)
    assert text.endswith("...") == (length > limit)


def test_a_text_of_a_stranger_becomes_one_printable_line() -> None:
    assert one_line("a\n\tb  \x1b[2J ") == r"a b \x1b[2J"
    assert len(one_line("\x1b" * 1_000_000)) == 200
    assert one_line("x" * 300, 250) == "x" * 247 + "..."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6, "6"),
        ("6", "'6'"),
        ("a\x1b[2J\né", "'a\\x1b[2J\\n\\xe9'"),
        ("x" * 58, f"'{'x' * 58}'"),
        ("x" * 59, f"'{'x' * 56}..."),
        (["\u202e"], "['\\u202e']"),
    ],
)
def test_a_value_is_shown_on_one_short_printable_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_name_is_quoted_and_cut_where_it_is_long() -> None:
    assert quoted("a b") == '"a b"'
    assert quoted("x" * 80) == f'"{"x" * 80}"'
    assert quoted("x" * 1_000_000) == f'"{"x" * 77}..."'


class Mean(Exception):  # noqa: N818  # a stranger's
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("it  is\n\tTuesday"), "ValueError: it is Tuesday"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (KeyError("a"), "KeyError: 'a'"),
        (Mean(), "Mean"),
        (ValueError("\x1b[2J\x00\u202e"), r"ValueError: \x1b[2J\x00\u202e"),
        (ValueError("x" * 100_000), f"ValueError: {'x' * 285}..."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_stranger_raises_is_told_on_one_printable_line(error: BaseException, text: str) -> None:
    assert told(error) == text
    assert text.isprintable()
    assert len(text) <= 300


@pytest.mark.parametrize("word", ["a model", "an exporter", "an int", "an augmentation", "an observer", "a loss"])
def test_words_get_their_article(word: str) -> None:
    assert with_article(word.split()[1]) == word


def test_options_have_the_names_that_their_reader_gives_them() -> None:
    python = (option("out"), option("out", Path("a b")), setting("train.epochs", 5), setting("train.device", "cpu"))
    assert python == ("out=...", 'out="a b"', 'overrides={"train.epochs": 5}', 'overrides={"train.device": "cpu"}')
    assert same_again() == "the same call with out=..."
    with at_command_line():
        words = (option("out"), option("out", Path("a")), setting("train.epochs", 5), same_again("a"))
    assert words == ("--out", "--out a", "--set train.epochs=5", "the same command with --out a")
    assert option("out") == "out=..."


def test_a_place_is_a_file_that_can_be_told_from_others_and_a_line() -> None:
    def counted() -> Iterator[int]:
        yield 1
        yield 2

    first = counted.__code__.co_firstlineno
    steps = counted()
    places = [line_of(counted), line_of(steps), *(line_of(steps) for _ in steps)]
    assert places == [f" (test_messages.py:{first + line})" for line in (0, 0, 1, 2)]
    assert [line_of(steps), line_of(len), line_of(iter([]))] == [""] * 3
    assert place_in("/a/ganlab_vae/__init__.py", 7) == "ganlab_vae/__init__.py:7"
    assert place_in("/a/ganlab_vae/loss.py", 7) == "loss.py:7"


@pytest.mark.parametrize(
    "text",
    [
        "faces",
        "my faces",
        "it's",
        "ü",
        b"\xff".decode(errors="surrogateescape"),
        "a\nb",
        "\x1b[31m'\\x",
        "$HOME",
        "",
    ],
)
def test_a_word_for_the_shell_is_printable_and_comes_back_as_it_was(text: str) -> None:
    word = shell_word(text)
    assert word.isprintable()
    echoed = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert echoed.stdout == os.fsencode(text)


def test_what_is_counted_is_one_or_several() -> None:
    said = [counted(number, "picture") for number in (0, 1, 2, 1234)]
    assert said == ["0 pictures", "1 picture", "2 pictures", "1,234 pictures"]
    assert [counted(number, "file holds", "files hold") for number in (1, 2)] == ["1 file holds", "2 files hold"]


def test_one_finding_is_said_in_the_singular() -> None:
    one = list(Findings(deep=1, narrow=1, least=0, greatest=9, profiles=1, several=1).sentences())
    assert [sentence.split(" ", 6)[:6] for sentence in one] == [
        ["the", "only", "picture", "with", "more", "than"],
        ["1", "picture", "has", "a", "colour", "profile"],
        ["1", "file", "holds", "several", "pictures,", "frames"],
    ]
    assert "8 bits has almost no contrast" in one[0]
    assert "1 iteration on 1 picture, 1 snapshot of" in str(Outlook(1, True, 1, 1, 1000))
