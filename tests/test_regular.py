"""What is read whole is a file, and no longer than it may be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganlab.errors import GanlabError
from ganlab.regular import named_path, read_regular


def test_a_file_is_read_up_to_its_limit() -> None:
    Path("file").write_bytes(b"12345")
    Path("link").symlink_to("file")
    assert read_regular(Path("file"), 5) == read_regular(Path("link"), 9) == b"12345"
    with pytest.raises(OSError, match="it has more than 4 bytes"):
        read_regular(Path("file"), 4)


def test_what_is_no_file_is_refused_and_nothing_stays_open() -> None:
    os.mkfifo("pipe")
    before = os.listdir("/dev/fd")
    special = "it is a pipe or a device, not a file"
    for path, reason in (("pipe", special), ("/dev/zero", special), (".", "Is a directory"), ("no", "No such file")):
        with pytest.raises(OSError, match=reason):
            read_regular(Path(path), 9)
    assert len(os.listdir("/dev/fd")) == len(before)


NO_PATHS = {
    "too long": ("x" * 300, "x{60}... is longer than a path can be; name a shorter one"),
    "too long where nothing is": ("no/where/" + "x" * 256, "is longer than a path can be; name a shorter one"),
    "too deep": ("x/" * 3000, "is longer than a path can be; name a shorter one"),
    "a NUL": ("a\0b", r"'a\\x00b' holds what no path can hold; name another one"),
    "half a letter": ("/\ud800", r"'/\\ud800' holds what no path can hold; name another one"),
    "a number": (5, "^5 is no path; name a file or a directory"),
    "nothing": (None, "^None is no path; name a file or a directory"),
    "a circle": ("circle", "cannot look at circle: Too many levels of symbolic links"),
}


@pytest.mark.parametrize(("path", "said"), NO_PATHS.values(), ids=NO_PATHS)
def test_what_cannot_be_a_path_is_refused_with_a_sentence(path: object, said: str) -> None:
    Path("circle").symlink_to("circle")
    with pytest.raises(GanlabError, match=said):
        named_path(path)


def test_what_is_there_and_what_may_come_is_a_path() -> None:
    Path("file").touch()
    for path in ("file", "file/below", "no/where", ".", "ü" * 127, b"\xff".decode(errors="surrogateescape")):
        assert named_path(path) == Path(path)
