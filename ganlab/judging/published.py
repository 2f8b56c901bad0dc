"""Weights that others have published: where they are kept, how they are fetched, and what is believed of them."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ganlab.data import cache
from ganlab.durable import replacing_file
from ganlab.errors import ArtefactError, GanlabError, RunError
from ganlab.messages import one_line, short
from ganlab.regular import named_path, read_regular

if TYPE_CHECKING:
    from ganlab.interfaces import PublishedWeights

PIECE = 1 << 18
"""Bytes that are downloaded at once."""
PATIENCE_SECONDS = 30.0
"""How long a server may be silent."""


def place_of(weights: PublishedWeights) -> Path:
    """Return where `ganlab metrics fetch` keeps a file, and where it is sought."""
    return cache.directory() / weights.file


def read_published(weights: PublishedWeights, path: Path | None = None) -> bytes:
    """Return the bytes of a file of weights, from `path` or else from where `ganlab metrics fetch` keeps it.

    Raise `GanlabError` where it is not there, and `ArtefactError` where it is not the published one: nothing of a file
    is used before its digest has been compared.
    """
    place = named_path(path if path is not None else place_of(weights))
    if path is None and not place.exists():
        raise GanlabError(
            f"the weights {weights.file} are not here: ganlab metrics fetch downloads them, or name the file that you "
            "have as the metric's option weights, as in --set fid.weights=PATH"
        )
    try:
        data = read_regular(place, weights.size)
    except OSError as error:
        raise ArtefactError(f"{place}: cannot be read: {error.strerror or error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != weights.sha256:
        raise ArtefactError(
            f"{place}: is not {weights.file}: its SHA-256 is {found}, not {weights.sha256}; ganlab metrics fetch "
            "downloads the published file"
        )
    return data


def is_there(weights: PublishedWeights, path: Path) -> bool:
    """Tell whether the published file is at a place."""
    try:
        return path.is_file() and bool(read_published(weights, path))
    except ArtefactError:
        return False


def fetch(weights: PublishedWeights, target: Path, report: Callable[[str, int, int], None]) -> None:
    """Download a file of weights to `target`, which it becomes whole and with the right digest, or not at all.

    Raise `RunError` where it cannot be had, and `ArtefactError` where something else comes.
    """
    if not weights.url.startswith(("https://", "http://")):
        raise GanlabError(f"{short(weights.url)}: is no address of the web; name one that begins with https://")
    work = f"downloading {weights.file}"
    in_cache = target.parent == cache.directory()
    with (
        cache.locked(target, lambda: report(f"waiting for another process that is {work}", 0, 0))
        if in_cache
        else nullcontext()
    ):
        digest, received = hashlib.sha256(), 0
        report(work, 0, weights.size)
        with replacing_file(target) as temporary, temporary.open("wb") as file:
            for piece in _pieces(weights):
                received += len(piece)
                digest.update(piece)
                file.write(piece)
                report(work, received, weights.size)
            if digest.hexdigest() != weights.sha256:
                raise ArtefactError(
                    f"{weights.url}: gives something else than {weights.file}: its SHA-256 is {digest.hexdigest()}, "
                    f"not {weights.sha256}; nothing was kept"
                )


def _pieces(weights: PublishedWeights) -> Iterator[bytes]:
    """Yield what comes from the address, as many bytes as the file has. Raise `RunError` where others come, or none."""
    import urllib.error
    import urllib.request

    received = 0
    try:
        request = urllib.request.Request(weights.url, headers={"User-Agent": "ganlab"})
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            while piece := answer.read(PIECE):
                received += len(piece)
                if received > weights.size:
                    raise _failed(weights, f"more comes than its {weights.size:,} bytes")
                yield piece
    except urllib.error.HTTPError as error:
        error.close()
        raise _failed(weights, f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _failed(weights, str(error.reason)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # the last for what is no address
        raise _failed(weights, str(error) or type(error).__name__) from error
    if received < weights.size:
        raise _failed(weights, f"it ends after {received:,} of {weights.size:,} bytes")


def _failed(weights: PublishedWeights, reason: str) -> RunError:
    return RunError(
        f"cannot download {weights.url}: {one_line(reason)}; nothing was kept. Try again, or download it otherwise and "
        "name the file as the metric's option weights, as in --set fid.weights=PATH"
    )
