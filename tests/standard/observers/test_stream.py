"""Streams that nobody reads, that cannot take every letter, or that are not there: a run goes on."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest
from standard.observers.screen import ENVIRONMENT, STEPS, on_pipes

from ganlab.standard.observers.stream import Stream


def test_what_is_said_is_there_at_once_in_the_letters_that_the_stream_has() -> None:
    buffer = io.BytesIO()
    stream = Stream(io.TextIOWrapper(buffer, encoding="ascii", errors="strict"))
    stream.say("é = \udcff")
    assert buffer.getvalue() == b"? = ?\n"


def test_a_stream_that_is_closed_or_missing_takes_everything() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (Stream(closed), Stream(None)):
        assert stream.write("lost") == 4
        stream.say("lost")
        assert not stream.isatty()
        assert stream.encoding == "utf-8"
        with pytest.raises((OSError, ValueError)):  # as Python's own streams say it
            stream.fileno()


@pytest.mark.parametrize(("mode", "stream"), [("json", "stdout"), ("plain", "stderr"), ("rich", "stderr")])
def test_a_reader_that_leaves_does_not_end_the_run(mode: str, stream: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)  # as head does once it has its lines
    process = on_pipes(mode, **{stream: theirs})
    os.close(theirs)
    assert process.returncode == 0
    assert process.stderr == (b"warning: one bad picture\n" if mode == "json" else None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
@pytest.mark.parametrize(("mode", "stream"), [("json", "stdout"), ("plain", "stderr")])
def test_a_log_file_on_a_full_disk_does_not_end_the_run(mode: str, stream: str) -> None:
    with open("/dev/full", "w") as full:
        process = on_pipes(mode, **{stream: full})
    assert process.returncode == 0
    assert process.stderr == (b"warning: one bad picture\n" if mode == "json" else None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_disk_that_has_room_again_takes_what_is_said_then(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full, open(tmp_path / "log", "w") as log:
        stream = Stream(full)
        stream.say("lost")
        assert os.path.samestat(os.fstat(full.fileno()), os.stat("/dev/full"))
        os.dup2(log.fileno(), full.fileno())
        stream.say("kept")
    assert (tmp_path / "log").read_text() == "kept\n"


def test_a_closed_descriptor_does_not_end_the_run() -> None:
    command = ["sh", "-c", 'exec "$0" "$@" auto quiet 2>&-', *STEPS]
    process = subprocess.run(command, stdout=subprocess.PIPE, env=ENVIRONMENT, check=False)
    assert (process.returncode, process.stdout) == (0, b"")
