"""The name that someone probably meant."""

from __future__ import annotations

import random
import string

import pytest

from ganlab.errors import PluginError
from ganlab.interfaces import Dataset, Model
from ganlab.messages import did_you_mean, distance, nearest
from ganlab.recipe.recipe import TABLES
from ganlab.recipe.settings import MovingAverage, Optimizer, Settings, Snapshots, Train
from ganlab.registry import registry
from ganlab.registry.loading import BASES


def real_names() -> list[str]:
    names = set(TABLES)
    for cls in (Settings, Train, Optimizer, MovingAverage, Snapshots, Model, Dataset):
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
        for _ in range(40):
            typo = misspelt(name, slips, dice)
            if typo not in names:
                total += 1
                right += nearest(typo, names) == name
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
