"""Published datasets: fetched whole or not at all, and clear about what to do where that cannot be."""

from __future__ import annotations

import hashlib
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from stand_ins import make, serving_with

from ganlab import DataError
from ganlab.data.packing import pack
from ganlab.standard.datasets.cifar10 import CIFAR10
from ganlab.standard.datasets.mnist import MNIST, FashionMNIST
from ganlab.standard.datasets.published import download

MISSING = [
    (MNIST, "MNIST", "put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz into {root}/MNIST/raw, or set "
     "dataset.root to the folder that holds them"),
    (FashionMNIST, "Fashion-MNIST", 'set dataset.split = "shipped" for the 10,000 pictures that come with ganlab, or '
     "put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz into {root}/FashionMNIST/raw, or set dataset.root to "
     "the folder that holds them (Debian's package dataset-fashion-mnist has them)"),
    (CIFAR10, "CIFAR-10", "put cifar-10-python.tar.gz into {root}, or set dataset.root to where it lies"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "title", "remedy"), MISSING)
def test_missing_files_that_may_not_be_fetched(tmp_path: Path, kind: type[Any], title: str, remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        pack(kind(root=tmp_path / "data", download=False), "name", print)
    root = tmp_path / "data"
    assert str(caught.value) == (f"{title} is not in {root}, and dataset.download is false; {remedy.format(root=root)}")


@pytest.mark.parametrize(("kind", "title", "remedy"), MISSING)
def test_without_a_network_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Any], title: str, remedy: str
) -> None:
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.delenv("no_proxy", raising=False)
    root = tmp_path / "data"
    with pytest.raises(DataError) as caught:
        pack(kind(root=root), "name", print)
    first, *answers, last = str(caught.value).splitlines()
    assert first in ("cannot download train-images-idx3-ubyte.gz:", "cannot download cifar-10-python.tar.gz:")
    assert answers
    assert all(answer.startswith("  http") and answer.endswith(": Connection refused") for answer in answers)
    assert last == remedy.format(root=root)
    assert [path for path in root.rglob("*") if path.is_file()] == []


BODY = b"a small file" * 1000
MD5 = hashlib.md5(BODY).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Answers each path in its own bad way."""

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        body = {"/page": b"<!DOCTYPE html><p>quota", "/other": b"x" * 100}.get(self.path, BODY)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:500] if self.path == "/cut" else body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_a_download_is_complete_or_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "folder/file.gz"
    with serving_with(Server) as url:
        for path, reason in (
            ("missing", "the server answered 404 Not Found"),
            ("page", f"the server sent a web page, not the file with md5 {MD5}"),
            ("other", f"the server sent 100 bytes with md5 {hashlib.md5(b'x' * 100).hexdigest()}, not the file with"),
            ("cut", "the server sent 500 bytes with md5 "),
        ):
            with pytest.raises(DataError) as caught:
                download([f"{url}/{path}"], MD5, target)
            assert str(caught.value).startswith(f"cannot download file.gz:\n  {url}/{path}: {reason}")
            assert list(target.parent.iterdir()) == []
        download([f"{url}/missing", f"{url}/file"], MD5, target)
        assert target.read_bytes() == BODY
        assert list(target.parent.iterdir()) == [target]
        said = capsys.readouterr().err.splitlines()
        assert said[-2:] == [f"downloading {url}/{path} to {target.parent}" for path in ("missing", "file")]


def test_a_failed_download_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")
    with serving_with(Server) as url, pytest.raises(DataError):
        download([f"{url}/cut"], MD5, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_home_directory_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make("mnist", tmp_path / "digits")
    make("cifar10", tmp_path / "photos")
    assert len(MNIST(root=Path("~/digits")).open()) == 60
    assert len(CIFAR10(root=Path("~/photos")).open()) == 60
    assert len(pack(MNIST(root=Path("~/digits")), "mnist", print).images) == 60
