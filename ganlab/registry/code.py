"""What a component's code is: a digest of the package that its class is written in."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CODE = {".py", ".pyx", ".so", ".dylib", ".c", ".cc", ".cpp", ".cu", ".h", ".cuh"}
"""Endings of files that compute; what lies beside them, such as pictures and weights, is left out."""


def code_digest(cls: type) -> str | None:
    """Return the SHA-256 of the code in the class's package or module; of a notebook's or a script's, of the class.

    None where no source is there. Imported code is what its files were then, so ask soon after the import.
    """
    digest = hashlib.sha256()
    found = False
    for name, data in _parts(cls):
        found = True
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest() if found else None


def _parts(cls: type) -> Iterator[tuple[str, bytes]]:
    """Yield what the code consists of, by names that do not depend on where it lies."""
    root = _root(cls.__module__)
    if root is None:
        with suppress(OSError, TypeError):
            yield cls.__qualname__, inspect.getsource(cls).encode()
        return
    if root.name != "__init__.py":
        files = [root]
    else:
        files = [path for path in root.parent.rglob("*") if path.suffix in CODE and "__pycache__" not in path.parts]
    for path in sorted(files):
        with suppress(OSError):
            yield path.relative_to(root.parent).as_posix(), path.read_bytes()


def _root(module: str) -> Path | None:
    """Return the file of the outermost package of a module that has one, or of the module; None for no package."""
    if module == "__main__":
        return None
    names = module.split(".")
    for depth in range(1, len(names) + 1):
        file = getattr(sys.modules.get(".".join(names[:depth])), "__file__", None)
        if isinstance(file, str) and Path(file).is_file():
            return Path(file)
    return None
