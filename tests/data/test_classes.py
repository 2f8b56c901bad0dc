"""Names of classes: those of the source or the numbers, each once and printable, or one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sheets import Sheet, named, reads, sheet

from ganlab import DataError
from ganlab.data.packing import pack


def test_classes_are_called_what_the_source_says_or_by_their_numbers(tmp_path: Path) -> None:
    file = sheet(tmp_path / "a", 8)
    for _ in range(2):  # packed, and from the cache
        assert pack(named(file, ["cat", "dog", "T-shirt/top"], 3), "named", print).class_names == (
            "cat",
            "dog",
            "T-shirt/top",
        )
        assert pack(Sheet(file=file, classes=11), "numbered", print).class_names == tuple(map(str, range(11)))
        assert pack(Sheet(file=file), "plain", print).class_names == ()


@pytest.mark.parametrize(
    ("class_names", "sentence"),
    [
        (
            ["cat", "dog"],
            "dataset \"named\" names ['cat', 'dog'] as its 3 classes; it must give a sequence with one name",
        ),
        ("cat", "dataset \"named\" names 'cat' as its 3 classes; it must give a sequence with one name for each"),
        (["cat", "dog", "cat"], 'dataset "named" calls both class 0 and class 2 "cat"; each needs a name of its own'),
        (
            ["cat", "dog", "\x1b[31m"],
            "calls its class 2 '\\x1b[31m'; a name is one printable line of",
        ),
        (["cat", " ", "dog"], "dataset \"named\" calls its class 1 ' '; a name is one printable line of up to 200"),
        (["cat", 1, "dog"], 'dataset "named" calls its class 1 1; a name is one printable line of up to 200 letters'),
        (["cat", "x" * 201, "dog"], "a name is one printable line of up to 200 letters"),
    ],
)
def test_what_is_no_name_of_a_class_is_refused(tmp_path: Path, class_names: Any, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        pack(named(sheet(tmp_path / "a", 8), class_names, 3), "named", print)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 200


def test_more_classes_than_a_file_can_hold_are_refused_before_anything_is_packed(tmp_path: Path) -> None:
    dataset = Sheet(file=sheet(tmp_path / "a", 8), log=tmp_path / "log", classes=10**12)
    with pytest.raises(DataError, match="states 1,000,000,000,000 classes; up to 1,000,000 can be used"):
        pack(dataset, "sheet", print)
    assert reads(tmp_path / "log") == 0
