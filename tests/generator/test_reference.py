"""Names of generators on a hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganlab.errors import GanlabError
from ganlab.generator.reference import Reference, reference_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://user/name", Reference("user/name")),
        ("hf:/user/name", Reference("user/name")),
        ("hf://user/name@v1.0", Reference("user/name", "v1.0")),
        ("hf://u-1/n.a_m@refs/pr/1", Reference("u-1/n.a_m", "refs/pr/1")),
        ("runs/toy/1", None),
        ("hf.safetensors", None),
    ],
)
def test_a_name_is_known_also_after_it_was_a_path(text: str, expected: Reference | None) -> None:
    assert reference_of(text) == expected
    assert reference_of(Path(text)) == expected
    assert expected is None or reference_of(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://name",
        "hf://a/b/c",
        "hf://../x",
        "hf://a/..",
        "hf://a/b@",
        "hf://a/b@x y",
        "hf://a/\x1b[2J",
        "hf://a--b/c",
    ],
)
def test_what_can_be_no_name_is_refused(text: str) -> None:
    with pytest.raises(GanlabError, match=r"is no repository's name|stands behind @"):
        reference_of(text)
