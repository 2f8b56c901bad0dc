"""A generator from the Hugging Face hub, by the hub's own library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganlab.errors import ArtefactError, GanlabError, RunError
from ganlab.generator.reference import Reference
from ganlab.messages import one_line, told

CONFIG, GENERATOR, ONNX = "config.json", "generator.safetensors", "generator.onnx"
"""What `ganlab push` has put there, by the names that it gives."""
LARGEST_CONFIG = 16_000_000
EXTRA = "huggingface_hub"


def fetched(reference: Reference) -> Path:
    """Return a generator's file that a hub has, from this machine's cache where it lies there already.

    config.json comes first, which says how large it is and what its SHA-256 is. Raises `ArtefactError` where that does
    not fit what has come, `GanlabError` where the hub refuses or cannot be reached.
    """
    facts = _facts(reference)
    name = next((name for name in _wanted() if name in facts), None)
    if name is None:
        raise ArtefactError(f"{reference}: its {CONFIG} names neither {GENERATOR} nor {ONNX}")
    size, digest = facts[name]
    path = _download(reference, name, size)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise ArtefactError(f"{reference}: {name} is not the file that its {CONFIG} names; nothing was loaded")
    return path


def _wanted() -> tuple[str, ...]:
    """Return the files that can be computed here, the better one first."""
    from importlib.util import find_spec

    return (GENERATOR, ONNX) if find_spec("torch") is not None else (ONNX, GENERATOR)


def _facts(reference: Reference) -> dict[str, tuple[int, str]]:
    """Return size in bytes and SHA-256 of the files, as config.json has them."""
    path = _download(reference, CONFIG, LARGEST_CONFIG)
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {name: (int(fact["bytes"]), str(fact["sha256"])) for name, fact in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtefactError(f"{reference}: its {CONFIG} was not written by ganlab; {told(error)}") from error


def _download(reference: Reference, name: str, most: int) -> Path:
    """Return a file of at most so many bytes."""
    hub = library()
    repository, revision = reference
    with refusals(str(reference), "load"):
        if not hub.constants.is_offline_mode():
            size = hub.get_hf_file_metadata(hub.hf_hub_url(repository, name, revision=revision)).size
            if size is None or size > most:
                has = "does not say its size" if size is None else f"has {size:,} bytes instead of {most:,}"
                raise ArtefactError(f"{reference}: {name} {has}; it is not loaded")
        return Path(hub.hf_hub_download(repository, name, revision=revision, library_name="ganlab"))


def is_fetched(path: Path) -> bool:
    """Tell whether a file lies in the hub's cache, where nothing of ours belongs beside it."""
    *_, repository, snapshots, _, _ = ("", "", "", *path.parts)
    return snapshots == "snapshots" and repository.startswith("models--")


def library() -> Any:
    """Return the hub's own library. Raise `GanlabError` where it is not installed."""
    try:
        import huggingface_hub
        import huggingface_hub.constants
    except ImportError as error:
        raise GanlabError(f"a hub needs the package {EXTRA}: pip install {EXTRA}") from error
    return huggingface_hub


@contextmanager
def refusals(what: str, doing: str) -> Iterator[None]:
    """Turn what the library raises into one sentence with the remedy. Its messages hold no token."""
    from huggingface_hub import errors

    try:
        yield
    except GanlabError:
        raise
    except errors.LocalEntryNotFoundError as error:
        raise RunError(f"cannot {doing} {what}: the hub cannot be reached, and it is not in the cache") from error
    except errors.EntryNotFoundError as error:
        raise GanlabError(
            f"cannot {doing} {what}: it has no {CONFIG} of a ganlab generator, or not all files"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise GanlabError(f"cannot {doing} {what}: it has no such branch, tag or commit") from error
    except errors.HfHubHTTPError as error:
        raise _http(error, what, doing) from error
    except (errors.HFValidationError, ValueError) as error:
        raise GanlabError(f"cannot {doing} {what}: {one_line(str(error))}") from error
    except Exception as error:  # whatever its HTTP library raises where there is no network
        if isinstance(error.__cause__, errors.HfHubHTTPError):  # of one file of several
            raise _http(error.__cause__, what, doing) from error
        raise RunError(f"cannot {doing} {what}: the hub cannot be reached ({type(error).__name__})") from error


def _http(error: Any, what: str, doing: str) -> GanlabError:
    status = error.response.status_code
    if status in (401, 403):
        return GanlabError(
            f"cannot {doing} {what}: the hub wants a token that may do so (HTTP {status}); `hf auth login` stores "
            "one, or set HF_TOKEN"
        )
    if status == 404:
        return GanlabError(f"cannot {doing} {what}: there is no such repository, or it is private and needs a token")
    return RunError(f"cannot {doing} {what}: the hub refuses (HTTP {status}); try again later")
