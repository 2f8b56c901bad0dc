"""The libraries of the fake GPUs: what it takes to build them here, and building them once."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import torch

SOURCES = Path(__file__).parent / "runtime"
FLAGS = ("-std=c++17", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-lpthread")


def missing() -> str | None:
    """Return what keeps the libraries from being built here, if anything does."""
    if torch.version.cuda is None:
        return "this PyTorch is not built for CUDA"
    if shutil.which("g++") is None:
        return "there is no g++"
    if not (_nvidia() / "cuda_runtime_api.h").is_file() or not (_triton() / "crt" / "host_defines.h").is_file():
        return "the headers of CUDA's runtime did not come with PyTorch"
    return None


def build(folder: Path) -> list[Path]:
    """Return the libraries, built in `folder` unless the same sources have been; another process may ask, too."""
    major = (torch.version.cuda or "").partition(".")[0]
    # By these names those who open CUDA's driver and its compiler find them loaded already.
    names = {"cuda": "libcuda.so.1", "nvrtc": f"libnvrtc.so.{major}"}
    extra = {"cuda": f"-Wl,--version-script={SOURCES / 'cuda' / 'names.map'}", "nvrtc": "-Wl,--default-symver"}
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return [_built(folder, part, name, extra[part]) for part, name in names.items()]


def _built(folder: Path, part: str, name: str, extra: str) -> Path:
    """Return one library, from the sources in the folder of its name."""
    sources = sorted((SOURCES / part).iterdir())
    command = ["g++", *FLAGS, f"-isystem{_nvidia()}", f"-isystem{_triton()}", f"-Wl,-soname,{name}", extra]
    known = hashlib.sha256(b"".join(path.read_bytes() for path in sources) + repr(command).encode()).hexdigest()[:16]
    library = folder / f"{part}-{known}.so"
    if not library.exists():
        unfinished = library.with_suffix(".unfinished")
        files = [str(path) for path in sources if path.suffix == ".cpp"]
        subprocess.run([*command, *files, "-o", str(unfinished)], check=True)
        os.replace(unfinished, library)
    return library


def _nvidia() -> Path:
    """Return the headers that come with CUDA's runtime, which lack a few that come with its compiler."""
    major = (torch.version.cuda or "").partition(".")[0]
    return _package("nvidia") / f"cu{major}" / "include"


def _triton() -> Path:
    """Return the headers that come with Triton, which has all: its own compiler writes to the same interface."""
    return _package("triton") / "backends" / "nvidia" / "include"


def _package(name: str) -> Path:
    """Return a package's folder, without importing it."""
    found = importlib.util.find_spec(name)
    places = list(found.submodule_search_locations or ()) if found is not None else []
    return Path(places[0]) if places else Path("/nowhere")
