"""The file a generator is shipped in, safetensors or ONNX: how it is written, sealed, and read without believing it."""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

from ganlab.durable import MARKER, replacing_file
from ganlab.errors import ArtefactError, PluginError, RunError
from ganlab.generator.metadata import UNSEALED, Metadata, parse_object
from ganlab.messages import listed, one_line, shown
from ganlab.regular import named_path

if TYPE_CHECKING:
    from torch import Tensor, nn

KEY = "ganlab"
"""The one metadata key: with two, the safetensors library writes them in an order that changes from run to run."""
HEADER_LIMIT = 1_000_000
"""Bytes; the header of a DCGAN has about 4,000."""
TENSOR_LIMIT = 10_000
FIELD_LIMIT = 10_000
"""Outermost fields of an ONNX file; ours have about 10."""
ONNX_LIMIT = 2**31
"""Bytes; no protobuf file is longer."""
PIECE = 1 << 20
"""Bytes that are hashed at once."""
DTYPE_BYTES = {"BOOL": 1, "BF16": 2} | {f"{kind}{8 * size}": size for kind in "FIU" for size in (1, 2, 4, 8)}
"""Of the number types of a safetensors file that generators are made of; the library knows the others."""
DTYPE_NAMES = {"BOOL": "bool", "BF16": "bfloat16"} | {
    f"{letter}{8 * size}": f"{name}{8 * size}"
    for letter, name in {"F": "float", "I": "int", "U": "uint"}.items()
    for size in (1, 2, 4, 8)
}
"""What torch calls them."""


class OtherFormatError(ArtefactError):
    """A file that is in neither of our formats, whatever its name says; an exporter may know it."""


class Outline(NamedTuple):
    """What a generator file says about itself; its weights have not been read, nor its checksum compared."""

    path: Path
    kind: Literal["safetensors", "onnx"]
    metadata: Metadata
    forms: Mapping[str, str]
    """Type and shape of each tensor, such as `float32 (16, 6)`; of a safetensors file alone."""


class Artefact(NamedTuple):
    """A generator file whose structure, checksum and metadata have been checked, or what would be in one."""

    path: Path
    """The file, or what else the generator was made of."""
    kind: Literal["safetensors", "onnx"]
    metadata: Metadata
    data: bytes


def write_generator(path: Path | str, generator: nn.Module, metadata: Metadata) -> None:
    """Write the weights and buffers of `generator` to `path` with `metadata` inside: equal weights, equal bytes.

    Networks that are shipped with it are written too, their tensors' names behind their own: `encoder/first.weight`.
    Tensors that are tied are stored once. Raises `RunError` for weights that are not finite, and where the disk
    refuses.
    """
    path = named_path(path)
    data = _written(generator, metadata, f"{path} is not written")
    with replacing_file(path) as temporary:
        temporary.write_bytes(data)


def unwritten(path: Path, generator: nn.Module, metadata: Metadata) -> Artefact:
    """Return what `write_generator` would write of a generator that was made of what lies at `path`.

    Raises `RunError` for weights that are not finite.
    """
    data = _written(generator, metadata, f"{path} gives no generator")
    text = _safetensors_metadata(path, _safetensors_header(path, data[: 8 + HEADER_LIMIT], len(data)))
    return Artefact(path, "safetensors", Metadata.from_json(text, str(path)), data)


def _written(generator: nn.Module, metadata: Metadata, refusal: str) -> bytes:
    """Return the bytes of a generator's file. Raise `RunError`, which begins with `refusal`, where there are none."""
    import torch
    from safetensors.torch import save

    tensors = {
        # A copy each, for the library refuses tensors that lie in one storage, as slices of a flat buffer do.
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in distinct_tensors(generator).items()
    }
    broken = _not_finite(tensors)
    if broken:
        raise RunError(f"{refusal}: the generator's weights are not finite: {listed(broken)}")
    text = metadata.model_copy(update={"digest": UNSEALED}).to_json()
    data = seal(save(tensors, {KEY: text}))
    if (length := int.from_bytes(data[:8], "little")) > HEADER_LIMIT:
        raise RunError(f"{refusal}: its header has {length} bytes, more than the {HEADER_LIMIT} that are read")
    return data


def read_artefact(path: os.PathLike[str] | str, check: Callable[[Outline], None] = lambda outline: None) -> Artefact:
    """Read a generator file, or a run's `generator.safetensors`, without believing it.

    What it is, is told from its bytes, and everything that it says about itself is judged before the rest is read,
    by `check` as well, which raises for what it will not have.
    Nothing in it is executed, and time and memory are bounded by its size. Raises `ArtefactError` where it is
    anything but an undamaged generator.
    """
    path = _regular_file(path)
    try:
        with path.open("rb") as file:
            outline = _judged(path, file)
            check(outline)
            data = file.read()
    except OSError as error:
        raise unreadable(path, error) from error
    except MemoryError as error:
        raise ArtefactError(f"{path}: has {path.stat().st_size:,} bytes, more than there is memory for") from error
    check_seal(path, outline.metadata, (data[start : start + PIECE] for start in range(0, len(data), PIECE)))
    return Artefact(path, outline.kind, outline.metadata, data)


def read_metadata(path: os.PathLike[str] | str) -> Metadata:
    """Return what a generator file says about itself, once its checksum has been compared.

    Needs no torch, and the same little memory for a file of any size.
    """
    path = _regular_file(path)
    try:
        with path.open("rb") as file:
            metadata = _judged(path, file).metadata
            check_seal(path, metadata, iter(partial(file.read, PIECE), b""))
    except OSError as error:
        raise unreadable(path, error) from error
    return metadata


def read_tensors(artefact: Artefact) -> dict[str, Tensor]:
    """Return the tensors of a safetensors artefact. Raise `ArtefactError` where one is not finite."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    if artefact.kind != "safetensors":
        raise ArtefactError(
            f"{artefact.path}: is an ONNX file, and its weights cannot be taken out again; "
            "name the run or its generator.safetensors"
        )
    try:
        tensors = load(artefact.data)
        broken = _not_finite(tensors)
    # A table of tensors that does not add up, or a type that torch cannot compute with.
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise _invalid(artefact.path, one_line(str(error))) from error
    if broken:
        raise ArtefactError(f"{artefact.path}: holds weights that are not finite: {listed(broken)}")
    return tensors


def distinct_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return the module's state by its names in a file, of tied tensors only the first name."""
    from torch import Tensor

    from ganlab.networks.shipment import named_state

    distinct: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in named_state(module):
        if not isinstance(tensor, Tensor):
            raise PluginError(
                f"{type(module).__name__} keeps state that is no tensor, {name}; make it an option of the model"
            )
        if id(tensor) not in seen:
            seen.add(id(tensor))
            distinct[name] = tensor
    return distinct


def seal(data: bytes) -> bytes:
    """Return a file's bytes with the `digest` of its metadata filled in, so that a later change of any bit is found.

    `data` holds the metadata as the host gave it, uncompressed and once, else `ValueError` is raised.
    """
    if data.count(UNSEALED.encode()) != 1:
        raise ValueError("the file must hold the metadata exactly once, uncompressed and as it was given")
    return data.replace(UNSEALED.encode(), f"sha256:{hashlib.sha256(data).hexdigest()}".encode())


def check_seal(path: Path, metadata: Metadata, pieces: Iterable[bytes]) -> None:
    """Refuse a file, given in pieces, that is not the one of whose bytes the digest in it was made."""
    sealed, unsealed = metadata.digest.encode(), UNSEALED.encode()
    digest, rest, found = hashlib.sha256(), b"", 0
    for piece in pieces:
        rest += piece
        found += rest.count(sealed)
        rest = rest.replace(sealed, unsealed)
        end = max(0, len(rest) - len(sealed) + 1)  # what may be the beginning of a digest waits for the next piece
        digest.update(rest[:end])
        rest = rest[end:]
    digest.update(rest)
    if found != 1 or metadata.digest != f"sha256:{digest.hexdigest()}":
        raise ArtefactError(
            f"{path}: its checksum does not fit: it is damaged, or another program has changed it; "
            "copy or export it again"
        )


def unreadable(path: Path, error: OSError) -> ArtefactError:
    return ArtefactError(f"{path}: cannot be read: {error.strerror}")


def _regular_file(path: os.PathLike[str] | str) -> Path:
    path = named_path(path)
    if path.is_dir():
        if not (path / "generator.safetensors").is_file():
            raise ArtefactError(f"{path}: holds no generator.safetensors; name a run that has been trained, or a file")
        path = path / "generator.safetensors"
    if not path.exists():
        raise ArtefactError(f"{path}: there is no such file; name a run's directory, a .safetensors or an .onnx file")
    if not path.is_file():
        raise ArtefactError(f"{path}: is not a regular file")
    if path.is_symlink() and any((folder / MARKER).exists() for folder in path.absolute().parents[:2]):
        raise ArtefactError(f"{path}: is a link, and none is followed in a run's directory; name what it leads to")
    return path


def _judged(path: Path, file: BinaryIO) -> Outline:
    """Return what a file is and what it says about itself; it is left at its beginning, its weights unread."""
    size = os.fstat(file.fileno()).st_size
    kind = _kind(path, file.read(512))
    file.seek(0)
    text: str | bytes
    forms: Mapping[str, str] = {}
    if kind == "safetensors":
        header = _safetensors_header(path, file.read(8 + HEADER_LIMIT), size)
        text, forms = _safetensors_metadata(path, header), _forms(header)
    else:
        text = _onnx_metadata(path, file, size)
    file.seek(0)
    return Outline(path, kind, Metadata.from_json(text, str(path)), forms)


def _kind(path: Path, start: bytes) -> Literal["safetensors", "onnx"]:
    """Tell from its first bytes what a file is. Raise `ArtefactError` that says what else it seems to be."""
    if start[4:9] == b"\0\0\0\0{":  # the upper half of the header's length, and the header
        return "safetensors"
    if start[:1] == b"\x08":  # ModelProto.ir_version
        return "onnx"
    advice = "name a run's directory, a .safetensors or an .onnx file that ganlab wrote"
    text = start.lstrip().lower()
    if not start:
        what = f"is empty; {advice}"
    elif start[:2] == b"PK" or (start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5")):
        what = (
            f"is a PyTorch pickle or a zip archive; ganlab never loads pickles, for they can run any program; {advice}"
        )
    elif text.startswith((b"<!doctype", b"<html", b"<?xml")):
        what = "is a web page: the download gave an error page instead of the file; download it again"
    elif start.startswith(b"version https://git-lfs"):
        what = "is a Git LFS pointer, not the file itself; fetch it with git lfs pull"
    else:
        what = f"is neither a safetensors nor an ONNX file; {advice}"
    raise OtherFormatError(f"{path}: {what}")


def _safetensors_header(path: Path, start: bytes, size: int) -> Mapping[str, Any]:
    """Return the header of a safetensors file of `size` bytes that begins with `start`, if it is within limits.

    The library takes 20 seconds and a gigabyte for a header of 17 MB, so it never sees one.
    """
    length = int.from_bytes(start[:8], "little")
    if length > HEADER_LIMIT:
        raise ArtefactError(f"{path}: its header claims {length} bytes, the limit is {HEADER_LIMIT}: not a generator")
    if length > size - 8:
        raise ArtefactError(f"{path}: is cut short: it has {size} bytes, its header alone claims {length}")
    header = parse_object(start[8 : 8 + length], f"{path}: its header")
    end = _extent(path, header) + 8 + length
    if end != size:
        problem = "is cut short" if end > size else "has something behind its end"
        raise ArtefactError(f"{path}: {problem}: it has {size} bytes, its header promises {end}")
    return header


def _safetensors_metadata(path: Path, header: Mapping[str, Any]) -> str:
    match header.get("__metadata__"):
        case {"ganlab": str(text)}:
            return text
        case _:
            raise OtherFormatError(
                f'{path}: is a safetensors file without "{KEY}" in its metadata: ganlab did not write it'
            )


def _extent(path: Path, header: Mapping[str, Any]) -> int:
    """Return where the tensors end; refuse a table of tensors that does not add up, as far as it is understood."""
    if len(header) > TENSOR_LIMIT:
        raise ArtefactError(f"{path}: holds {len(header)} tensors, the limit is {TENSOR_LIMIT}: not a generator")
    spans = []
    for name, entry in header.items():
        match entry:
            case {"data_offsets": [int(begin), int(end)]}:
                if _bytes_of(entry) not in (None, end - begin):
                    raise _invalid(path, f"tensor {shown(name)} has not the bytes that its shape takes")
                spans.append((begin, end))
            case _ if name != "__metadata__":
                raise ArtefactError(f"{path}: its header does not say where tensor {shown(name)} lies")
    last = 0
    for begin, end in sorted(spans):
        if begin != last or end < begin:
            raise _invalid(path, "its tensors do not lie one behind the other")
        last = end
    return last


def _forms(header: Mapping[str, Any]) -> dict[str, str]:
    """Return the tensors' types and shapes, in the words of `form`; a type that is not known as the header has it."""
    return {
        name: f"{DTYPE_NAMES.get(str(entry.get('dtype')), entry.get('dtype'))} {_shape(entry.get('shape'))}"
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _shape(shape: object) -> str:
    return str(tuple(shape)) if isinstance(shape, list) else "of no shape"


def form(tensor: Tensor) -> str:
    """Return a tensor's type and shape in words, such as `float32 (16, 6)`."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _bytes_of(entry: Mapping[str, Any]) -> int | None:
    """Return how many bytes a tensor of this type and shape has; None where that is for the library to say."""
    size, shape = DTYPE_BYTES.get(str(entry.get("dtype"))), entry.get("shape")
    if size is None or not isinstance(shape, list) or not all(type(length) is int for length in shape):
        return None
    return size * math.prod(shape)


def _invalid(path: Path, problem: str) -> ArtefactError:
    return ArtefactError(f"{path}: is not a valid safetensors file: {problem}")


def _onnx_metadata(path: Path, file: BinaryIO, size: int) -> bytes:
    """Return our metadata from an ONNX file, reading its outermost fields only."""
    if size > ONNX_LIMIT:
        raise ArtefactError(f"{path}: has {size} bytes; an ONNX file has at most {ONNX_LIMIT}")
    found = []
    try:
        for number, length in _fields(file, size):
            if number == 14:  # ModelProto.metadata_props: field 1 is the key, field 2 the value
                entry = io.BytesIO(file.read(min(length, 2 * HEADER_LIMIT)))
                values = {key: entry.read(count) for key, count in _fields(entry, len(entry.getbuffer()))}
                if values.get(1) == KEY.encode():
                    found.append(values.get(2, b""))
    except ValueError as error:
        raise OtherFormatError(f"{path}: is a damaged ONNX file, or none: {error}; copy or export it again") from error
    if len(found) != 1:
        count = f'"{KEY}" twice' if found else f'no "{KEY}"'
        raise OtherFormatError(f"{path}: is an ONNX file with {count} in its metadata: ganlab did not write it")
    return found[0]


def _fields(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Yield number and length of a protobuf message's length-delimited fields, `file` at the content of each.

    Raise `ValueError` where it is none.
    """
    position = 0
    for _ in range(FIELD_LIMIT):
        if position >= size:
            return
        tag, position = _varint(file, position)
        match tag & 7:
            case 0:
                length = _varint(file, position)[1] - position
            case 1:
                length = 8
            case 2:
                length, position = _varint(file, position)
            case 5:
                length = 4
            case _:
                raise ValueError(f"no field begins at byte {position}")
        if length > size - position:
            raise ValueError(f"a field of {length} bytes ends behind the end")
        if tag & 7 == 2:
            file.seek(position)
            yield tag >> 3, length
        position += length
    raise ValueError(f"it has more than {FIELD_LIMIT} fields")


def _varint(file: BinaryIO, position: int) -> tuple[int, int]:
    """Return a number of up to ten bytes and the position behind it."""
    file.seek(position)
    value = 0
    for index, byte in enumerate(file.read(10)):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError(f"a number at byte {position} does not end")


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    return [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
