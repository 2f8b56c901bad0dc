"""Paths that others name, looked at before anything is done with them: what no path can be, pipes and devices."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ganlab.errors import GanlabError

NAME_BYTES = 255
"""The longest name of a file that Linux and macOS take; a system is only asked as far as its folders are there."""
BEST = "generator-best.safetensors"
"""The file in a run's directory that holds the best generator so far, where the run is judged while it trains."""
SHOWN = 60
"""Letters that a message shows of what is no path."""


def named_path(path: object) -> Path:
    """Return a path that a user or a file names, whether there is anything or not.

    Raise `GanlabError` for what is no path, and for one that the system does not take or lets nobody look at: pathlib
    raises then, where it is only asked whether there is a file.
    """
    if not isinstance(path, str | os.PathLike):
        raise GanlabError(f"{ascii(path)[:SHOWN]} is no path; name a file or a directory")
    path = Path(path)
    start = str(path)[:SHOWN] + ("..." if len(str(path)) > SHOWN else "")
    try:
        if any(len(os.fsencode(part)) > NAME_BYTES for part in path.parts):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except ValueError as error:  # a NUL, or half of a letter
        raise GanlabError(f"{start!a} holds what no path can hold; name another one") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise GanlabError(f"{start} is longer than a path can be; name a shorter one") from error
        raise GanlabError(f"cannot look at {path}: {error.strerror}") from error
    return path


def read_regular(path: Path, limit: int) -> bytes:
    """Return a file's bytes. Raise `OSError` where it is a folder, a pipe or a device, or has more than `limit`."""
    # What a path is may change until it is opened: so it is opened without waiting, and then looked at.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", str(path))
    return data
