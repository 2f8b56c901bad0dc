"""What is read whole is a file, and no longer than it may be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganlab.regular import read_regular


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
