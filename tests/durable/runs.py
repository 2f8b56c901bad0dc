"""What a run has left: the bits that must be those of an undisturbed one, and what must not be there."""

from __future__ import annotations

import hashlib
from pathlib import Path


def bits(run: Path) -> dict[str, str]:
    """Return a digest of each checkpoint's state and of the generators."""
    files = [*run.glob("checkpoints/*/state.safetensors"), *run.glob("generators/*"), run / "generator.safetensors"]
    return {str(file.relative_to(run)): digest(file) for file in files if file.exists() and ".tmp-" not in str(file)}


def end(run: Path) -> tuple[str, str]:
    """Return digests of the newest checkpoint's state and of the generator: what every run of a recipe ends with."""
    return digest(newest(run) / "state.safetensors"), digest(run / "generator.safetensors")


def newest(run: Path) -> Path:
    """Return the newest checkpoint."""
    return max(path for path in (run / "checkpoints").iterdir() if path.name.isdecimal())


def leftovers(run: Path) -> list[str]:
    """Return what should not have been left."""
    return [str(path) for path in run.rglob(".tmp-*")]


def digest(file: Path) -> str:
    """Return a file's sha256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
