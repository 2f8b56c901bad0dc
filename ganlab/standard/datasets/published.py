"""What the published datasets share: arrays as a source, and files from the network, whole or not there at all."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal
from urllib.error import HTTPError, URLError
from urllib.request import Request, build_opener

from ganlab import DataError, Source, file_kind, printable, replacing_file

if TYPE_CHECKING:
    import numpy as np

Split = Literal["train", "test", "all"]

SILENCE_SECONDS = 20.0
"""How long a server may say nothing."""
LINE_SECONDS = 5.0
LARGEST_BYTES = 1 << 30


class Arrays(Source):
    """Pictures `(N, H, W)` or `(N, H, W, C)` and labels `(N,)` of named classes that are in memory already."""

    def __init__(
        self,
        title: str,
        class_names: Sequence[str],
        images: np.ndarray[Any, np.dtype[np.uint8]],
        labels: np.ndarray[Any, np.dtype[np.integer[Any]]],
    ) -> None:
        self._title, self._images, self._labels = title, images, labels
        self.classes, self.class_names = len(class_names), class_names

    def __len__(self) -> int:
        return len(self._images)

    def image(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        image: np.ndarray[Any, np.dtype[np.uint8]] = self._images[index]
        return image

    def name(self, index: int) -> str:
        return f"{self._title} picture {index}"

    def label(self, index: int) -> int:
        return int(self._labels[index])


def fetch(urls: Sequence[str], md5: str, path: Path, remedy: str) -> None:
    """Do as `download` does; what it raises ends with what to do instead."""
    try:
        download(urls, md5, path)
    except DataError as error:
        raise DataError(f"{error}\n{remedy}") from error


def not_there(title: str, root: Path, remedy: str) -> DataError:
    """Return the error for files that are missing and must not be downloaded."""
    return DataError(f"{title} is not in {root}, and dataset.download is false; {remedy}")


def expanded(path: Path) -> Path:
    """Return the path with `~` as the home directory."""
    return Path(os.path.expanduser(path))


def download(urls: Sequence[str], md5: str, path: Path) -> None:
    """Fetch `path` from the first of `urls` that has it. Raise `DataError` that says what each of them answered.

    torchvision's own download waits without limit, falls back to plain http, and leaves a bad file in its place.
    """
    answers = []
    for url in urls:
        print(f"downloading {url} to {path.parent}", file=sys.stderr, flush=True)
        try:
            with replacing_file(path) as temporary, temporary.open("wb") as file:
                _receive(url, md5, file)
        except DataError as error:
            answers.append(f"  {url}: {error}")
        else:
            return
    raise DataError("\n".join([f"cannot download {path.name}:", *answers]))


def _receive(url: str, md5: str, file: BinaryIO) -> None:
    digest = hashlib.md5(usedforsecurity=False)  # the checksum that the publishers give
    start, received, told = b"", 0, time.monotonic()
    try:
        request = Request(url, headers={"User-Agent": "ganlab"})
        response: HTTPResponse = build_opener().open(request, timeout=SILENCE_SECONDS)
    except HTTPError as error:
        error.close()
        raise DataError(f"the server answered {error.code} {printable(str(error.reason))}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise DataError(_said(error)) from error
    with response:
        while block := _next_block(response):
            start, received = start or block[:512], received + len(block)
            if received > LARGEST_BYTES:
                raise DataError(f"the server sends more than {LARGEST_BYTES:,} bytes")
            digest.update(block)
            file.write(block)
            if time.monotonic() - told > LINE_SECONDS:
                told = time.monotonic()
                print(
                    f"  {received >> 20} of {(response.length or 0) + received >> 20} MiB", file=sys.stderr, flush=True
                )
    if digest.hexdigest() != md5:
        what = "a web page" if file_kind(start) == "web page" else f"{received:,} bytes with md5 {digest.hexdigest()}"
        raise DataError(f"the server sent {what}, not the file with md5 {md5}")


def _next_block(response: HTTPResponse) -> bytes:
    """Read on; what goes wrong here is the network's fault, not the disk's."""
    try:
        return response.read(1 << 16)
    except (OSError, HTTPException) as error:
        raise DataError(f"the connection was lost ({_said(error)})") from error


def _said(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    said = (reason.strerror if isinstance(reason, OSError) else None) or str(reason) or type(reason).__name__
    return printable(said)
