"""A function of `programs/` in a process of its own, whose GPUs are fake: `python -m fake_cuda.child`."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter

Answer = TypeVar("Answer")
HOPPER = 90
LONGEST_SECONDS = 600.0


class FakeGPUs:
    """Machines with GPUs that compute nothing."""

    def __init__(self, libraries: Sequence[Path], folder: Path) -> None:
        """Processes preload `libraries`, and work in folders of their own in `folder`."""
        self._libraries, self._folder = libraries, folder

    def ask(
        self,
        program: Callable[..., Answer],
        *arguments: str,
        capabilities: Sequence[int] = (HOPPER,),
        variables: dict[str, str] | None = None,
        seconds: float = LONGEST_SECONDS,
    ) -> Answer:
        """Return what `program` returns in a new process, on a GPU of each of these compute capabilities.

        Raises `AssertionError` with what the process has said where it fails.
        """
        folder = Path(mkdtemp(dir=self._folder))
        environment = os.environ | {
            "LD_PRELOAD": os.pathsep.join(map(str, self._libraries)),
            "FAKE_CUDA_CAPABILITIES": ",".join(map(str, capabilities)),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OMP_NUM_THREADS": "1",
            "GANLAB_CACHE": str(folder / "cache"),
            "GANLAB_CONFIG": str(folder / "config"),
            **(variables or {}),
        }
        answer = folder / "answer.json"
        child = [sys.executable, "-X", "faulthandler", "-m", "fake_cuda.child"]
        words = [*child, program.__module__, program.__name__, str(answer), *arguments]
        ended = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds)
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-6000:]
        return _adapter(program).validate_json(answer.read_bytes())


def _adapter(program: Callable[..., Answer]) -> TypeAdapter[Answer]:
    """Return what writes and reads the program's answer, by the type that it states."""
    return TypeAdapter(get_type_hints(program)["return"])


def main() -> None:
    """Call the function that the command line names, and write what it returns."""
    module, name, answer, *arguments = sys.argv[1:]
    program: Callable[..., Any] = vars(importlib.import_module(module))[name]
    Path(answer).write_bytes(_adapter(program).dump_json(program(*arguments)))
    # A process that ends right after a backward pass may be aborted: autograd's thread takes the GIL to let go of it.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
