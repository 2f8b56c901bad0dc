"""Generator files: written whole and sealed, and read without believing them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import resource
import signal
import struct
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
import safetensors
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shipping import CLASSES, IMAGES, Labelled, Tiny, about, registered, ship, ship_labelled, trained
from torch import nn

import ganlab.generator.file
from ganlab import load_generator
from ganlab.errors import ArtefactError, GanlabError, PluginError, RunError
from ganlab.generator.file import read_artefact, read_metadata, read_tensors, seal, write_generator


@pytest.fixture(autouse=True, scope="module")
def _models() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("shipped") / "generator.safetensors"
    ship(path)
    return path.read_bytes()


def header(table: object, data: bytes = b"") -> bytes:
    """Return a safetensors file with any header."""
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(start: int, end: int, shape: list[int] | None = None) -> dict[str, object]:
    return {"dtype": "F32", "shape": [(end - start) // 4] if shape is None else shape, "data_offsets": [start, end]}


# Writing


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    generator = ship(tmp_path / "g.safetensors")
    artefact = read_artefact(tmp_path / "g.safetensors")
    tensors = read_tensors(artefact)
    assert artefact.kind == "safetensors"
    assert artefact.metadata.model_copy(update={"digest": about().digest}) == about()
    assert tensors.keys() == generator.state_dict().keys()
    assert all(torch.equal(tensors[name], value) for name, value in generator.state_dict().items())


def test_the_file_is_plain_safetensors_with_one_key_and_canonical_json(tmp_path: Path) -> None:
    ship(tmp_path / "g.safetensors")
    with safetensors.safe_open(tmp_path / "g.safetensors", "np") as file:
        (text,) = file.metadata().values()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    table = json.loads(text)
    assert table["format"] == 2
    assert table["model"]["options"] == {"latent": "normal", "latent_dim": 6, "width": 4}
    assert table["images"] == {"channels": 3, "height": 8, "width": 8, "classes": 0}
    assert table["inputs"] == [{"name": "z", "distribution": "normal", "shape": [6]}]


def test_the_same_weights_are_the_same_bytes_in_any_folder_and_memory_layout(tmp_path: Path, shipped: bytes) -> None:
    other = trained(Tiny(), IMAGES).to(memory_format=torch.channels_last)
    write_generator(tmp_path / "deep" / "other.safetensors", other, about())
    assert (tmp_path / "deep" / "other.safetensors").read_bytes() == shipped


def test_other_weights_are_other_bytes(tmp_path: Path, shipped: bytes) -> None:
    ship(tmp_path / "g.safetensors", seed=1)
    assert (tmp_path / "g.safetensors").read_bytes() != shipped


def test_tied_tensors_are_stored_once(tmp_path: Path) -> None:
    ship_labelled(tmp_path / "g.safetensors")
    names = read_tensors(read_artefact(tmp_path / "g.safetensors"))
    assert "first.weight" in names
    assert "second.weight" not in names


def test_tensors_that_share_one_storage_are_stored_each(tmp_path: Path) -> None:
    generator = trained(Tiny(), IMAGES)
    flat = torch.arange(8.0)
    generator.get_submodule("2").register_buffer("running_mean", flat[:4])
    generator.get_submodule("5").register_buffer("running_mean", flat[4:])
    write_generator(tmp_path / "g.safetensors", generator, about())
    tensors = read_tensors(read_artefact(tmp_path / "g.safetensors"))
    assert tensors["5.running_mean"].tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_written(tmp_path: Path, value: float) -> None:
    generator = trained(Tiny(), IMAGES)
    generator.get_parameter("4.weight").data[0, 0, 0, 0] = value
    with pytest.raises(RunError, match=r"is not written: the generator's weights are not finite: 4\.weight"):
        write_generator(tmp_path / "g.safetensors", generator, about())
    assert list(tmp_path.iterdir()) == []


def test_state_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    class Stateful(nn.Linear):
        def get_extra_state(self) -> object:
            return {"steps": 3}

        def set_extra_state(self, state: object) -> None:
            pass

    with pytest.raises(PluginError, match="Stateful keeps state that is no tensor, _extra_state"):
        write_generator(tmp_path / "g.safetensors", Stateful(2, 2), about())


def test_a_disk_that_refuses_is_one_sentence_and_keeps_the_file_before(tmp_path: Path, shipped: bytes) -> None:
    path = tmp_path / "g.safetensors"
    ship(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(RunError, match=r"cannot write .*g\.safetensors: File too large"):
            ship(path, seed=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == shipped
    assert list(tmp_path.iterdir()) == [path]


# Damage


def test_every_flipped_bit_is_found(tmp_path: Path, shipped: bytes) -> None:
    random_bits = random.Random(0).sample(range(8 * len(shipped)), 400)
    path = tmp_path / "g.safetensors"
    for bit in random_bits:
        damaged = bytearray(shipped)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(ArtefactError, match=r"g\.safetensors: "):
            read_artefact(path)


@pytest.mark.parametrize("piece", [1, 7, 70, 71, 72, 1000])
def test_the_checksum_is_the_same_however_the_file_is_cut(
    tmp_path: Path, shipped: bytes, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(ganlab.generator.file, "PIECE", piece)
    (tmp_path / "g").write_bytes(shipped)
    assert read_metadata(tmp_path / "g") == read_artefact(tmp_path / "g").metadata
    (tmp_path / "g").write_bytes(shipped[:-1] + bytes([shipped[-1] ^ 1]))
    for read in (read_metadata, read_artefact):
        with pytest.raises(ArtefactError, match="its checksum does not fit"):
            read(tmp_path / "g")


def test_a_flipped_weight_is_called_damage(tmp_path: Path, shipped: bytes) -> None:
    path = tmp_path / "g.safetensors"
    path.write_bytes(shipped[:-3] + bytes([shipped[-3] ^ 4]) + shipped[-2:])
    with pytest.raises(ArtefactError, match="its checksum does not fit: it is damaged, or another program"):
        read_artefact(path)


def test_every_cut_is_found(tmp_path: Path, shipped: bytes) -> None:
    path = tmp_path / "g.safetensors"
    for length in [*range(0, 20), *range(20, len(shipped), 97), len(shipped) - 1]:
        path.write_bytes(shipped[:length])
        with pytest.raises(ArtefactError, match=r"is cut short|is empty|is neither|claims"):
            read_artefact(path)


def test_a_cut_file_says_how_much_is_missing(tmp_path: Path, shipped: bytes) -> None:
    (tmp_path / "g").write_bytes(shipped[:-5])
    with pytest.raises(
        ArtefactError, match=f"g: is cut short: it has {len(shipped) - 5} bytes, its header promises {len(shipped)}"
    ):
        read_artefact(tmp_path / "g")


# What is not a generator


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def pickles(path: Path) -> Iterator[bytes]:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.dumps(Canary(path), protocol)
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save({"state_dict": Canary(path)}, file, _use_new_zipfile_serialization=zipped)
        yield file.getvalue()


@pytest.mark.parametrize("ending", ["pt", "pth", "ckpt", "pkl", "safetensors", "onnx"])
def test_a_pickle_is_refused_and_never_loaded(tmp_path: Path, ending: str) -> None:
    for data in pickles(tmp_path / "executed"):
        (tmp_path / f"model.{ending}").write_bytes(data)
        for read in (read_artefact, read_metadata, load_generator):
            with pytest.raises(ArtefactError, match="is a PyTorch pickle or a zip archive; ganlab never loads pickles"):
                read(tmp_path / f"model.{ending}")
    assert not (tmp_path / "executed").exists()


PAGE = b"\n<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title>"
PROBES = {
    "empty": (b"", "is empty; name a run's directory"),
    "three bytes": (b"abc", "is neither a safetensors nor an ONNX file"),
    "noise": (random.Random(1).randbytes(5000), "is neither a safetensors nor an ONNX file"),
    "web page": (PAGE, "is a web page: the download gave an error page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
    "length 2^63": (struct.pack("<Q", 2**63) + b"{}", "is neither"),
    "length 100 MB": (struct.pack("<Q", 10**8 + 1) + b"{}", "its header claims 100000001 bytes, the limit is 1000000"),
    "length beyond the end": (
        struct.pack("<Q", 99) + b"{}",
        "is cut short: it has 10 bytes, its header alone claims 99",
    ),
    "not JSON": (header(b"{oops}"), "its header is not valid JSON"),
    "not UTF-8": (header(b'{"\xff\xfe": 1}'), "its header is not valid JSON"),
    "an array": (struct.pack("<Q", 2) + b"[]", "is neither"),
    "deep": (header(b'{"a":' * 5000 + b"1" + b"}" * 5000), "its header is not valid JSON"),
    "duplicate keys": (header(b'{"a": 1, "a": 2}'), "a key appears twice"),
    "long number": (header(b'{"a": ' + b"9" * 5000 + b"}"), "its header is not valid JSON"),
    "no offsets": (header({"w": {"dtype": "F32", "shape": [1]}}), "does not say where tensor 'w' lies"),
    "entry is text": (header({"w": "x"}), "does not say where tensor 'w' lies"),
    "trailing bytes": (header({"w": tensor(0, 8)}, bytes(9)), "has something behind its end"),
    "data missing": (header({"w": tensor(0, 8)}, bytes(7)), "is cut short"),
    "no metadata": (header({"w": tensor(0, 8)}, bytes(8)), 'without "ganlab" in its metadata: ganlab did not write it'),
    "other metadata": (header({"__metadata__": {"format": "pt"}}), 'without "ganlab" in its metadata'),
    "metadata is a number": (header({"__metadata__": {"ganlab": 3}}), 'without "ganlab" in its metadata'),
    "10,001 tensors": (
        header({str(i): tensor(0, 0) for i in range(10_001)}),
        "holds 10001 tensors, the limit is 10000",
    ),
    "ONNX cut": (b"\x08\x0a\x12\x7f", "is a damaged ONNX file, or none: a field of 127 bytes ends behind the end"),
    "ONNX noise": (b"\x08" + random.Random(2).randbytes(3000), "is a damaged ONNX file, or none"),
    "ONNX long number": (b"\x08" + b"\xff" * 99, "a number at byte 1 does not end"),
    "ONNX of small fields": (b"\x08\x01" * 20_000, "it has more than 10000 fields"),
    "ONNX claiming 2^62 bytes": (b"\x08\x0a\x3a" + b"\xff" * 8 + b"\x3f", "a field of 4611686018427387903 bytes"),
    "ONNX of others": (b"\x08\x0a\x12\x07pytorch", 'is an ONNX file with no "ganlab" in its metadata'),
}


def refused(path: Path) -> tuple[str, int, int]:
    """Read a file; return the message, and how many calls and how much memory it took to come to it."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    tracemalloc.start()
    sys.setprofile(count)
    try:
        with pytest.raises(ArtefactError) as caught:
            read_artefact(path)
    finally:
        sys.setprofile(None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return str(caught.value), calls, peak


@pytest.mark.parametrize(("data", "sentence"), PROBES.values(), ids=PROBES.keys())
def test_a_hostile_file_is_one_sentence_after_little_work_in_little_memory(
    tmp_path: Path, data: bytes, sentence: str
) -> None:
    path = tmp_path / "g.safetensors"
    path.write_bytes(data)
    said, calls, peak = refused(path)
    assert sentence in said
    assert said.startswith(f"{path}: ")
    assert len(said) < 1500
    assert "\n" not in said
    assert calls < 100_000
    assert peak < 50e6


def test_a_table_of_300_000_tensors_is_not_even_parsed(tmp_path: Path) -> None:
    entries = b",".join(b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % index for index in range(300_000))
    (tmp_path / "g").write_bytes(header(b"{" + entries + b"}"))
    said, calls, peak = refused(tmp_path / "g")
    assert "the limit is 1000000: not a generator" in said
    assert calls < 500
    assert peak < 2e6


GB = 10**9
RUBBISH = {"__metadata__": {"ganlab": "{}"}}


def sparse_safetensors(path: Path, length: int, table: dict[str, object]) -> None:
    """Write a header before `length` bytes that take no space."""
    path.write_bytes(header(table))
    os.truncate(path, path.stat().st_size + length)


def sparse_onnx(path: Path, length: int, metadata: bytes) -> None:
    """Write an ONNX file by hand: its version, a graph of `length` bytes that take no space, then our metadata."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    size = bytes(length >> shift & 0x7F | 0x80 for shift in range(0, 28, 7)) + bytes([length >> 28])
    path.write_bytes(b"\x08\x0a\x3a" + size)
    with path.open("r+b") as file:
        file.seek(length, os.SEEK_END)
        file.write(field(14, field(1, b"ganlab") + field(2, metadata)))


HUGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "metadata": (lambda path: sparse_safetensors(path, 10 * GB, RUBBISH | {"w": tensor(0, 10 * GB)}), "Field required"),
    "shape": (
        lambda path: sparse_safetensors(path, 10 * GB, RUBBISH | {"w": tensor(0, 10 * GB, [7])}),
        "tensor 'w' has not the bytes that its shape takes",
    ),
    "hole": (
        lambda path: sparse_safetensors(path, 10 * GB, RUBBISH | {"w": tensor(9 * GB, 10 * GB)}),
        "its tensors do not lie one behind the other",
    ),
    "onnx": (lambda path: sparse_onnx(path, 2 * GB, b"{}"), "Field required"),
}


@pytest.mark.parametrize("case", HUGE)
def test_what_a_huge_file_says_about_itself_is_judged_before_the_rest_is_read(tmp_path: Path, case: str) -> None:
    make, sentence = HUGE[case]
    make(tmp_path / "g")
    tracemalloc.start()
    try:
        with pytest.raises(ArtefactError, match=sentence):
            read_artefact(tmp_path / "g")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_metadata_needs_the_same_memory_for_any_size(tmp_path: Path) -> None:
    """A file of 200 MB, whose checksum is compared all the same."""
    length = 200_000_000
    table = {"__metadata__": {"ganlab": about().to_json()}, "w": tensor(0, length)}
    digest = hashlib.sha256(header(table))
    for _ in range(200):
        digest.update(bytes(1_000_000))
    for end, fits in ((digest.hexdigest(), True), ("1" * 64, False)):
        text = about().to_json().replace("0" * 64, end)
        sparse_safetensors(tmp_path / "g", length, table | {"__metadata__": {"ganlab": text}})
        tracemalloc.start()
        try:
            if fits:
                assert read_metadata(tmp_path / "g").digest == f"sha256:{end}"
            else:
                with pytest.raises(ArtefactError, match="its checksum does not fit"):
                    read_metadata(tmp_path / "g")
            assert tracemalloc.get_traced_memory()[1] < 20e6
        finally:
            tracemalloc.stop()


TABLES = {
    "hole": {"a": tensor(0, 4), "b": tensor(8, 12)},
    "overlap": {"a": tensor(0, 8), "b": tensor(4, 12)},
    "shape does not fit": {"a": tensor(0, 12, [2])},
    "unknown type": {"a": {"dtype": "X9", "shape": [3], "data_offsets": [0, 12]}},
    "overflow": {"a": tensor(0, 12, [2**62, 8])},
    "negative": {"a": tensor(-4, 12)},
    "not finite": {"a": tensor(0, 12)},
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_a_table_of_tensors_that_does_not_add_up_is_refused(tmp_path: Path, table: dict[str, object]) -> None:
    data = struct.pack("<3f", 1, float("nan"), 2)
    (tmp_path / "g").write_bytes(seal(header({"__metadata__": {"ganlab": about().to_json()}} | table, data)))
    with pytest.raises(ArtefactError, match=r"is not a valid safetensors file|holds weights that are not finite: a"):
        read_tensors(read_artefact(tmp_path / "g"))


def test_a_directory_needs_a_generator_in_it(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"holds no generator\.safetensors; name a run that has been trained"):
        read_artefact(tmp_path)
    ship(tmp_path / "generator.safetensors")
    assert read_artefact(tmp_path).path == tmp_path / "generator.safetensors"


def test_a_file_that_is_not_there_or_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="there is no such file"):
        read_artefact(tmp_path / "none.onnx")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArtefactError, match="is not a regular file"):
        read_artefact(tmp_path / "pipe")


def test_a_sealed_file_holds_its_metadata_once() -> None:
    with pytest.raises(ValueError, match="must hold the metadata exactly once"):
        seal(b"nothing")
    text = about("labelled", Labelled(), CLASSES).to_json().encode()
    with pytest.raises(ValueError, match="must hold the metadata exactly once"):
        seal(text + text)


NAMES = st.sampled_from(["__metadata__", "w", "dtype", "shape", "data_offsets", "ganlab", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**65) | st.floats() | st.text(max_size=9) | st.just(about.__name__),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.dictionaries(NAMES, VALUES, max_size=4), data=st.binary(max_size=12), whole=st.booleans())
def test_any_header_and_any_metadata_raise_nothing_else(
    tmp_path: Path, table: dict[str, object], data: bytes, whole: bool
) -> None:
    about_it = json.loads(about().to_json())
    text = json.dumps(about_it | table if whole else table)
    (tmp_path / "g").write_bytes(header({"__metadata__": {"ganlab": text}} if whole else table, data))
    with pytest.raises(GanlabError):
        read_tensors(read_artefact(tmp_path / "g"))
