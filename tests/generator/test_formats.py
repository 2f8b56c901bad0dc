"""Files in the formats of plugins are no dead ends: they are known by their endings, described, drawn from and sent."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Command
from graphs import graph, shipped_graph
from shipping import about, registered, ship, ship_labelled
from torch import Tensor, nn

import ganlab
from ganlab import ArtefactError, Exporter, GanlabError, PluginError, bundle_metadata, unpacked_bundle, write_bundle
from ganlab.generator.export import export
from ganlab.generator.formats import read_metadata
from ganlab.registry import registry

Arrays = Mapping[str, np.ndarray[Any, Any]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


class Layers(Exporter):
    """A made-up format of several files: an array a weight of three layers, as tables of numbers.

    It is computed by numpy alone, from the definition of the layers.
    """

    api = 1
    suffix = ".layers.zip"

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        folder = path.with_name("parts")
        (folder / "weights").mkdir(parents=True)
        for name, tensor in generator.state_dict().items():
            np.save(folder / "weights" / f"{name}.npy", tensor.numpy())
        (folder / "read.me").write_text(", ".join(inputs))
        write_bundle(folder, metadata, path)
        for file in (*folder.glob("weights/*"), folder / "read.me"):
            file.unlink()
        (folder / "weights").rmdir()
        folder.rmdir()

    def run(self, path: Path, inputs: Arrays) -> Floats:
        with unpacked_bundle(path) as folder:
            assert (folder / "read.me").read_text() == ", ".join(inputs)
            weights = {file.stem: np.load(file) for file in (folder / "weights").iterdir()}
        # What shipping.LabelledNetwork says, in numpy.
        x = inputs["z"] + weights["embedding.weight"][inputs["labels"]]
        for layer in ("first", "second"):
            x = x @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
            x = np.maximum(x, 0) if layer == "first" else x
        pictures = np.tanh(x @ weights["last.weight"].T + weights["last.bias"]).reshape(-1, 1, 4, 4)
        return pictures.astype(np.float32)

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        return bundle_metadata(path)


@pytest.fixture(autouse=True)
def _components() -> Iterator[None]:
    with registered():
        registry.add("exporter", "layers", Layers)
        yield
        registry.remove("exporter", "layers")


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    ship_labelled(tmp_path / "g.safetensors")
    return export(tmp_path / "g.safetensors", "layers").path


def test_a_seed_is_the_same_picture_from_a_plugins_file(exported: Path) -> None:
    assert exported.name == "g.layers.zip"
    theirs = ganlab.load_generator(exported)
    ours = ganlab.load_generator(exported.with_name("g.safetensors"), device="cpu")
    inputs = ours.draw(range(5))
    np.testing.assert_allclose(theirs(inputs), ours(inputs), atol=1e-6)
    differences = theirs.sample([3, 9], label=2).astype(int) - ours.sample([3, 9], label=2)
    assert np.abs(differences).max() <= 1, "a step of a pixel where rounding falls on the other side"
    assert theirs.metadata.model_copy(update={"digest": ours.metadata.digest}) == ours.metadata
    with pytest.raises(ArtefactError, match=r"g\.layers\.zip: label 5 is none of its classes, 0 to 4"):
        theirs.sample(1, label=5)


def test_the_command_line_draws_from_it_and_describes_it(exported: Path, command: Command, tmp_path: Path) -> None:
    ended = command("info", exported)
    assert ended.code == 0, ended
    assert "  model.name                   labelled\n" in ended.out
    for source, out in ((exported, "theirs.npy"), (tmp_path / "g.safetensors", "ours.npy")):
        assert command("sample", source, "--seeds", "0-3", "--out", tmp_path / out).code == 0
    theirs, ours = (np.load(tmp_path / name).astype(int) for name in ("theirs.npy", "ours.npy"))
    assert np.abs(theirs - ours).max() <= 1
    refused = command("sample", exported, "--device", "cuda")
    assert refused.code == 2
    assert 'exporter "layers" (this process) computes its files on the CPU; use cpu or auto' in refused.err
    refused = command("export", exported, "--onnx")
    assert 'g.layers.zip: is a file of exporter "layers" (this process), and its weights cannot be' in refused.err


def test_what_has_no_exporter_is_refused_as_before(exported: Path) -> None:
    registry.remove("exporter", "layers")
    with pytest.raises(ArtefactError, match="is a PyTorch pickle or a zip archive; ganlab never loads pickles"):
        ganlab.load_generator(exported)


def test_a_changed_byte_is_found(exported: Path) -> None:
    data = bytearray(exported.read_bytes())
    data[100] ^= 1
    exported.write_bytes(data)
    for ask in (read_metadata, ganlab.load_generator):
        with pytest.raises(ArtefactError, match=r"g\.layers\.zip: its checksum does not fit"):
            ask(exported)


class Own(Layers):
    """ONNX by another name, read by ganlab itself."""

    api = 1
    suffix = ".own.layers.zip"

    def run(self, path: Path, inputs: Arrays) -> Floats:
        return ganlab.load_generator(path, device="cpu")(inputs)

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        return {"ganlab": ganlab.read_metadata(path).to_json()}


def test_the_longest_ending_counts_and_nobody_is_asked_twice(tmp_path: Path, exported: Path) -> None:
    registry.add("exporter", "own", Own)
    try:
        graphed = shipped_graph(tmp_path / "g.own.layers.zip", graph())
        assert ganlab.load_generator(graphed).sample(2).shape == (2, 8, 8, 3), "our bytes are ours"
        exported.rename(tmp_path / "f.own.layers.zip")
        with pytest.raises(ArtefactError, match="is a PyTorch pickle or a zip archive"):
            read_metadata(tmp_path / "f.own.layers.zip")  # which the exporter has asked ganlab
        registry.add("exporter", "again", type("Again", (Layers,), {"api": 1, "__doc__": "The same."}))
        (tmp_path / "f.own.layers.zip").rename(exported)
        with pytest.raises(PluginError, match=r'exporter "again" .* and exporter "layers" .* have the same ending'):
            read_metadata(exported)
    finally:
        for name in ("own", "again"):
            registry.remove("exporter", name)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({}, "reads no metadata from it: read_metadata\\(\\) must return what export\\(\\) was given"),
        (None, "reads no metadata from it"),
        ({"ganlab": "{}"}, "its metadata is not what ganlab writes"),
        (KeyError("k"), "cannot read its metadata: KeyError: 'k'"),
    ],
)
def test_what_an_exporter_reads_is_not_believed(exported: Path, found: Any, sentence: str) -> None:
    class Lying(Layers):
        api = 1

        def read_metadata(self, path: Path) -> Any:
            if isinstance(found, Exception):
                raise found
            return found

    registry.add("exporter", "layers", Lying)
    with pytest.raises(GanlabError, match=sentence):
        read_metadata(exported)


def test_an_unsealed_file_is_read_and_what_it_makes_is_checked(tmp_path: Path) -> None:
    class Loose(Layers):
        api = 1
        suffix = ".loose"

        def run(self, path: Path, inputs: Arrays) -> Floats:
            return np.zeros((1, 2, 3), np.float32)

        def read_metadata(self, path: Path) -> Mapping[str, str]:
            return {"ganlab": path.read_text()}

    registry.add("exporter", "layers", Loose)
    (tmp_path / "g.loose").write_text(about().to_json())
    with pytest.raises(ArtefactError, match=r"makes arrays of shape \(1, 2, 3\) instead of \(1, 3, 8, 8\)"):
        ganlab.load_generator(tmp_path / "g.loose").sample(1)


def test_two_bundles_of_the_same_files_are_the_same(tmp_path: Path) -> None:
    metadata = {"ganlab": about().to_json()}
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep/b").write_bytes(b"b")
        (tmp_path / name / "a").write_bytes(b"a")
        write_bundle(tmp_path / name, metadata, tmp_path / f"{name}.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with unpacked_bundle(tmp_path / "one.zip") as folder:
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a": b"a", "deep/b": b"b"}
    assert not folder.exists()
    (tmp_path / "two.zip").rename(tmp_path / "two/inner.zip")
    write_bundle(tmp_path / "two", metadata, tmp_path / "nested.zip")
    assert bundle_metadata(tmp_path / "nested.zip").keys() == {"ganlab"}
    with zipfile.ZipFile(tmp_path / "one.zip") as plain:
        assert plain.testzip() is None, "every program reads it"
    with pytest.raises(GanlabError, match=r"the metadata has 70,0.. bytes, and a bundle holds 65,535 at most"):
        write_bundle(tmp_path / "one", {"ganlab": "x" * 70_000}, tmp_path / "long.zip")


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "a\\b", "a//b", "./a", "a/"])
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as bundle:
        bundle.writestr("first", b"fine")
        bundle.writestr(name, b"" if name == "a/" else b"x")
    with (
        pytest.raises(ArtefactError, match=r"b\.zip: is no bundle that ganlab has written"),
        unpacked_bundle(tmp_path / "b.zip"),
    ):
        pytest.fail("it was unpacked")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip"]


def test_bombs_and_damaged_bundles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("zeros", bytes(10_000_000))
    with pytest.raises(ArtefactError, match="is no bundle that ganlab has written"), unpacked_bundle(path):
        pass
    with zipfile.ZipFile(path, "w") as bundle:
        for number in range(20_000):
            bundle.writestr(f"{number:05}", b"")
    assert path.stat().st_size < 2_500_000
    with pytest.raises(ArtefactError, match="its list of files is too long"):
        bundle_metadata(path)
    sound = tmp_path / "sound"
    sound.mkdir()
    (sound / "a").write_bytes(b"a" * 50)
    write_bundle(sound, {"ganlab": about().to_json()}, path)
    data = path.read_bytes()
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        with pytest.raises(ArtefactError, match=r"b\.zip: is a damaged bundle, or none"):
            bundle_metadata(path)
    path.write_bytes(data.replace(json.dumps(about().to_json())[:9].encode(), b"[" * 9))
    with pytest.raises(ArtefactError, match="its metadata is not valid JSON"):
        bundle_metadata(path)


# Sent to other processes


def opened(sent: bytes) -> ganlab.Generator:
    found = pickle.loads(sent)  # noqa: S301  # of this very process
    assert isinstance(found, ganlab.Generator)
    return found


@pytest.mark.parametrize("kind", ["safetensors", "onnx", "layers.zip"])
def test_a_generator_that_was_sent_opens_its_file_again(tmp_path: Path, kind: str, exported: Path) -> None:
    path = tmp_path / f"g.{kind}"
    if kind == "onnx":
        shipped_graph(path, graph())
    generator = ganlab.load_generator(Path(path.name), device="cpu")  # of this folder, which another may not be in
    sent = pickle.dumps(generator)
    assert len(sent) < 4000, "the metadata, and no weights"
    there = tmp_path / "there"
    there.mkdir()
    with pytest.MonkeyPatch.context() as moved:
        moved.chdir(there)
        again = opened(sent)
        assert np.array_equal(again.sample([3, 4]), generator.sample([3, 4]))
    if kind == "safetensors":
        ship(path, seed=1)
        with pytest.raises(ArtefactError, match="has changed since the generator was loaded from it; load it again"):
            opened(sent)
    path.unlink()
    with pytest.raises(ArtefactError, match="there is no such file"):
        opened(sent)


def test_a_spawned_process_draws_the_same(tmp_path: Path) -> None:
    import multiprocessing

    path = shipped_graph(tmp_path / "g.onnx", graph())
    generator = ganlab.load_generator(path)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert np.array_equal(pool.apply(generator.sample, ([5, 6],)), generator.sample([5, 6]))


def test_what_was_never_a_file_cannot_be_sent() -> None:
    from ganlab.generator.generator import Generator

    def compute(inputs: Arrays) -> Floats:
        return np.zeros(1, np.float32)

    with pytest.raises(GanlabError, match="mine: was not loaded from a file, so no other process can load it"):
        pickle.dumps(Generator("mine", about(), compute, lambda: compute))
