"""Too little memory: an error that Python, torch and onnxruntime each have in their own way."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ganlab.errors import RunError

_WORDS = (
    "can't allocate memory",  # torch's allocator of the CPU
    "Failed to allocate memory",  # onnxruntime's
    "Storage size calculation overflowed",  # more bytes than a number can count
    "numel: integer multiplication overflow",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "Invalid buffer size",  # of Metal
    "MPS backend out of memory",
)


def ran_out(error: BaseException) -> bool:
    """Tell whether an error says that there is too little memory."""
    # torch's own kind by its name: torch need not be imported to tell.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    of_library = isinstance(error, RuntimeError) or type(error).__module__.startswith("onnxruntime")
    return of_library and any(words in str(error) for words in _WORDS)


@contextmanager
def memory_errors(told: Callable[[], str]) -> Iterator[None]:
    """Turn an error that says that there is too little memory into a `RunError` of the words that `told` returns."""
    try:
        yield
    except Exception as error:
        if not ran_out(error):
            raise
        raise RunError(told()) from error
