"""Generators by what users call them: a run or one of its snapshots, a checkpoint, a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ganlab.generator import formats
from ganlab.generator.file import Artefact
from ganlab.generator.generator import check_device, load_artefact, load_file
from ganlab.generator.reference import reference_of
from ganlab.generator.remote import fetched
from ganlab.regular import named_path
from ganlab.run.places import generator_place, is_checkpoint

if TYPE_CHECKING:
    from ganlab.generator.generator import Generator
    from ganlab.generator.metadata import Metadata


def load_generator(path: os.PathLike[str] | str, device: str = "auto") -> Generator:
    """Load a generator from `path`: a run or its directory, a `.safetensors` or an `.onnx` file; its bytes tell which.

    `hf://user/name` and `hf://user/name@revision` are a generator on the Hugging Face hub, where `ganlab push` puts it.
    `RUN@best` is the best one of a run, `RUN@468` that of its iteration 468, if it was kept or a checkpoint has it; a
    checkpoint's directory is taken, too. A file in a plugin's format is computed by the exporter whose ending fits its
    name, on the CPU.

    `device` is `"auto"`, `"cpu"`, `"cuda"`, `"cuda:N"` or `"mps"`. An ONNX file needs numpy, pydantic and
    onnxruntime only; CUDA needs onnxruntime-gpu. Raises `ArtefactError` for a file that is anything but an
    undamaged generator, `PluginError` where its model is not installed.
    """
    check_device(device)
    place = place_of(path)
    if is_checkpoint(place):
        return load_artefact(_made(place, device), device, load_generator, _made)
    return load_file(place, device)


def read_metadata(path: os.PathLike[str] | str) -> Metadata:
    """Return what the generator at `path`, a file or a run, says about itself, once its checksum has been compared.

    Needs no torch, and for safetensors and ONNX the same little memory for a file of any size. A file in a plugin's
    format is read by the exporter whose ending fits. Of a checkpoint, named by its directory or as `RUN@468`, the
    generator is made, as `load_generator` does.
    """
    found = opened(place_of(path))
    return found.metadata if isinstance(found, Artefact) else formats.read_metadata(found)


def place_of(path: os.PathLike[str] | str) -> Path:
    """Return where a generator lies that a user names: a file or a checkpoint; from a hub, the copy in the cache."""
    if isinstance(path, str | os.PathLike) and (reference := reference_of(path)) is not None:
        return fetched(reference)
    return generator_place(named_path(path))


def opened(place: Path, device: str = "auto") -> Path | Artefact:
    """Return a generator's file as it is; of a checkpoint's directory, what would be in the file of its snapshot."""
    return _made(place, device) if is_checkpoint(place) else place


def _made(place: Path, device: str) -> Artefact:
    from ganlab.run.remade import generator_of

    return generator_of(place, device)
