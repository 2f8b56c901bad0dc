"""Published weights: downloaded whole or not at all, and nothing of a file used before its digest is compared."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganlab import ArtefactError, GanlabError, PublishedWeights, RunError, read_published
from ganlab.judging.published import fetch, is_there, place_of

DATA = bytes(range(256)) * 3000


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as its paths say."""

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
            return
        data = {"/other": DATA[::-1], "/short": DATA[:1000], "/long": DATA + b"more"}.get(self.path, DATA)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if self.path == "/cut" else data)

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002  # the library's name
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def weights_at(url: str) -> PublishedWeights:
    return PublishedWeights("weights.bin", url, hashlib.sha256(DATA).hexdigest(), len(DATA), "some numbers")


def quiet(*_: object) -> None:
    pass


@pytest.mark.parametrize("path", ["whole", "moved"])
def test_a_file_comes_whole_and_is_where_it_is_sought(address: str, path: str) -> None:
    weights, told = weights_at(f"{address}/{path}"), []
    assert not is_there(weights, place_of(weights))
    fetch(weights, place_of(weights), lambda *words: told.append(words))
    assert place_of(weights).read_bytes() == DATA
    assert is_there(weights, place_of(weights))
    assert read_published(weights) == DATA
    assert told[0] == ("downloading weights.bin", 0, len(DATA))
    assert told[-1] == ("downloading weights.bin", len(DATA), len(DATA))
    assert sorted(entry.name for entry in place_of(weights).parent.glob("*weights*")) == ["weights.bin", "weights.lock"]


def closed() -> str:
    """Return an address at which nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


MISTAKES = {
    "missing": "the server answers 404 Not Found",
    "cut": f"it ends after {len(DATA) // 2:,} of {len(DATA):,} bytes",
    "short": f"it ends after 1,000 of {len(DATA):,} bytes",
    "long": f"more comes than its {len(DATA):,} bytes",
}


@pytest.mark.parametrize("path", MISTAKES)
def test_what_does_not_come_whole_is_one_sentence_and_leaves_what_was_there(address: str, path: str) -> None:
    target = Path("kept.bin")
    target.write_text("earlier")
    with pytest.raises(RunError) as caught:
        fetch(weights_at(f"{address}/{path}"), target, quiet)
    assert str(caught.value) == (
        f"cannot download {address}/{path}: {MISTAKES[path]}; nothing was kept. Try again, or download it otherwise "
        "and name the file as the metric's option weights, as in --set fid.weights=PATH"
    )
    assert target.read_text() == "earlier"
    assert [entry.name for entry in Path().iterdir()] == ["kept.bin"]


def test_something_else_is_not_kept(address: str) -> None:
    other = hashlib.sha256(DATA[::-1]).hexdigest()
    with pytest.raises(
        ArtefactError, match=rf"/other: gives something else than weights\.bin: its SHA-256 is {other}, "
    ):
        fetch(weights_at(f"{address}/other"), Path("new.bin"), quiet)
    assert list(Path().iterdir()) == []


def test_where_nobody_answers_and_what_is_no_address() -> None:
    with pytest.raises(RunError, match=r"^cannot download http://127\.0\.0\.1:\d+: \[Errno \d+\] Connection refused; "):
        fetch(weights_at(closed()), Path("new.bin"), quiet)
    with pytest.raises(RunError, match=r"^cannot download http://\[bad: "):
        fetch(weights_at("http://[bad"), Path("new.bin"), quiet)
    for url in ("file:///etc/passwd", "ftp://there/x", "there"):
        with pytest.raises(GanlabError, match=r"is no address of the web; name one that begins with https://$"):
            fetch(weights_at(url), Path("new.bin"), quiet)
    assert list(Path().iterdir()) == []


def test_a_download_that_is_stopped_leaves_nothing(address: str) -> None:
    def stopped(work: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(weights_at(f"{address}/whole"), Path("new.bin"), stopped)
    assert list(Path().iterdir()) == []


def test_a_file_that_is_not_the_published_one_is_refused_unread() -> None:
    weights = weights_at("https://nowhere")
    for data in (DATA[:-1], DATA[:-1] + b"x", DATA + b"x"):
        Path("mine.bin").write_bytes(data)
        assert not is_there(weights, Path("mine.bin"))
        with pytest.raises(
            ArtefactError, match=r"^mine\.bin: (is not weights\.bin: its SHA-256 is |cannot be read: it )"
        ):
            read_published(weights, Path("mine.bin"))
    with pytest.raises(ArtefactError, match=r"^none\.bin: cannot be read: No such file or directory$"):
        read_published(weights, Path("none.bin"))
    with pytest.raises(ArtefactError, match=r"^\.: cannot be read: Is a directory$"):
        read_published(weights, Path("."))
    with pytest.raises(
        GanlabError, match=r"^the weights weights\.bin are not here: ganlab metrics fetch downloads them"
    ):
        read_published(weights)
