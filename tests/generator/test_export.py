"""Exports: written, run, compared with torch, and only then kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import PositiveInt
from shipping import CLASSES, IMAGES, about, registered, ship, ship_labelled, trained
from torch import Tensor, nn

from ganlab import Exporter, GanlabError, Model, PluginError, RunError, load_generator, read_metadata, write_generator
from ganlab.errors import ArtefactError, RecipeError
from ganlab.generator.export import BATCHES, export
from ganlab.generator.metadata import Metadata
from ganlab.interfaces import ImageSpec
from ganlab.messages import at_command_line
from ganlab.registry import registry


class Plain(Exporter):
    """Writes what a run writes, spoilt in the way that `way` names."""

    api = 1
    suffix = ".plain"
    way: str = ""
    """How to spoil it."""
    rows: PositiveInt = 4
    """Does nothing."""

    def export(
        self, generator: nn.Module, inputs: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path
    ) -> None:
        assert not generator.training
        match self.way:
            case "raises":
                raise ZeroDivisionError("by their leave")
            case "no space":
                raise OSError(28, "No space left on device")
            case "two files":
                path.with_name("more").write_bytes(b"")
            case "no file":
                return
            case "moves the weights":
                for parameter in generator.parameters():
                    parameter.add_(1e-3)
            case "renames":
                metadata = {"ganlab": metadata["ganlab"].replace('"faces"', '"cats"')}
            case "looks":
                looked.append((list(inputs), [tuple(value.shape) for value in inputs.values()], dict(metadata)))
        write_generator(path, generator, Metadata.from_json(metadata["ganlab"], str(path)))

    def read_metadata(self, path: Path) -> Mapping[str, str]:
        return {"ganlab": read_metadata(path).to_json()}

    def run(self, path: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        ran.append(path)
        images = load_generator(path)(inputs)
        match self.way:
            case "off by 1.1e-5":
                images[-1, 0, 0, 0] += 1.1e-5
            case "off by 2.1e-5":
                images[-1, 0, 0, 0] += 2.1e-5
            case "brighter":
                images *= 1 + 4e-6
            case "off by 0.9e-5":
                images[-1, 0, 0, 0] += 0.9e-5
            case "wrong at batch 7" if len(images) == 7:
                images = images[::-1].copy()
            case "nan":
                images[0, 0, 0, 0] = np.nan
            case "shape":
                images = images.transpose(0, 2, 3, 1)
            case "nothing":
                return None  # type: ignore[return-value]  # on purpose
            case "cannot run":
                raise KeyError("images")
        return images


class Suffixed(Plain):
    """Writes files that look like a run's."""

    api = 1
    suffix = ".safetensors"


looked: list[tuple[list[str], list[tuple[int, ...]], dict[str, str]]] = []
ran: list[Path] = []


@pytest.fixture(autouse=True, scope="module")
def _components() -> Iterator[None]:
    with registered():
        registry.add("exporter", "plain", Plain)
        registry.add("exporter", "suffixed", Suffixed)
        yield
        registry.remove("exporter", "plain")
        registry.remove("exporter", "suffixed")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the directory of a run with a generator."""
    ship(tmp_path / "run" / "generator.safetensors")
    return tmp_path / "run"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_compared_and_then_kept_beside_its_source(run: Path) -> None:
    said: list[str] = []
    exported = export(run, "plain", report=said.append)
    assert exported.path == run / "generator.plain"
    assert exported.bytes == exported.path.stat().st_size
    assert exported.max_difference == 0
    assert exported.tolerance == 1e-5
    assert said == [
        f"writing {run / 'generator.plain'}",
        *(f"comparing with torch at batch {count}" for count in (1, 2, 7)),
    ]
    assert exported.path.read_bytes() == (run / "generator.safetensors").read_bytes()
    assert names(run) == ["generator.plain", "generator.safetensors"]


def test_a_file_can_be_exported_to_any_place(run: Path, tmp_path: Path) -> None:
    (run / "generator.safetensors").rename(tmp_path / "faces.v2.safetensors")
    assert export(str(tmp_path / "faces.v2.safetensors"), "plain").path == tmp_path / "faces.v2.plain"
    assert export(tmp_path / "faces.v2.safetensors", "plain", path="new/folder/g").path == Path("new/folder/g")
    assert names(Path("new/folder")) == ["g"]


def test_the_files_mode_follows_the_umask(run: Path) -> None:
    before = os.umask(0o027)
    try:
        assert export(run, "plain").path.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_a_small_difference_is_reported_and_allowed(run: Path) -> None:
    exported = export(run, "plain", {"way": "off by 0.9e-5"})
    assert exported.max_difference == pytest.approx(0.9e-5, rel=0.02)


def test_the_difference_on_the_whole_is_relative(run: Path) -> None:
    exported = export(run, "plain", {"way": "brighter"})
    assert exported.relative_difference == pytest.approx(4e-6, rel=0.05)  # every pixel by the same part of it
    assert exported.max_difference < 5e-6
    assert export(run, "plain").relative_difference == 0


class Coarse(Plain):
    """A format that states how coarse it is."""

    api = 1
    tolerance: ClassVar[float] = 2e-5


def test_a_format_may_state_a_larger_tolerance(run: Path) -> None:
    registry.add("exporter", "coarse", Coarse)
    try:
        assert export(run, "coarse", {"way": "off by 1.1e-5"}).tolerance == 2e-5
        with pytest.raises(RunError, match=r"more than the 2e-05 allowed"):
            export(run, "coarse", {"way": "off by 2.1e-5"})
    finally:
        registry.remove("exporter", "coarse")


SPOILT: dict[str, tuple[type[GanlabError], str]] = {
    "off by 1.1e-5": (RunError, r"wrote a file that differs from torch by 1\.1e-05 at batch 1, more than the 1e-05"),
    "wrong at batch 7": (RunError, r"wrote a file that differs from torch by .* at batch 7, .*; it was not kept"),
    "moves the weights": (RunError, "wrote a file that differs from torch by"),
    "nan": (
        RunError,
        r"wrote a file that makes float32 of shape \(1, 3, 8, 8\) that is not finite instead of finite arrays",
    ),
    "shape": (
        RunError,
        r"wrote a file that makes float32 of shape \(1, 8, 8, 3\) instead of finite arrays of shape \(1, 3, 8, 8\)",
    ),
    "nothing": (RunError, "wrote a file that makes NoneType instead of finite arrays"),
    "no space": (RunError, "cannot write: No space left on device"),
    "raises": (PluginError, "cannot write: ZeroDivisionError: by their leave"),
    "cannot run": (PluginError, "cannot run what it wrote: KeyError: 'images'"),
    "two files": (PluginError, "must write exactly one file, the path that it is given"),
    "no file": (PluginError, "must write exactly one file, the path that it is given"),
}


@pytest.mark.parametrize("way", SPOILT)
def test_an_export_that_fails_names_the_exporter_and_leaves_nothing(run: Path, way: str) -> None:
    (run / "generator.plain").write_text("from before")
    kind, sentence = SPOILT[way]
    with pytest.raises(kind, match=rf'exporter "plain" \(this process\) {sentence}') as caught:
        export(run, "plain", {"way": way})
    assert caught.value.exit_code == (1 if kind is RunError else 2)
    assert (run / "generator.plain").read_text() == "from before"
    assert names(run) == ["generator.plain", "generator.safetensors"]


def test_every_batch_is_run_on_inputs_of_its_own(run: Path) -> None:
    ran.clear()
    export(run, "plain")
    assert len(ran) == len(BATCHES) == 3
    assert {path.name for path in ran} == {"generator.plain"}
    assert not ran[0].exists()


def test_an_exporter_gets_the_inputs_in_order_and_the_metadata_as_text(tmp_path: Path) -> None:
    looked.clear()
    ship_labelled(tmp_path / "l.safetensors")
    export(tmp_path / "l.safetensors", "plain", {"way": "looks"})
    ((inputs, shapes, metadata),) = looked
    assert inputs == ["z", "labels"]
    assert shapes == [(2, 6), (2,)]
    assert list(metadata) == ["ganlab"]
    assert Metadata.from_json(metadata["ganlab"], "test").images == CLASSES


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"row": 3}, '--set row=3: row is not an option of exporter "plain"; did you mean rows?'),
        ({"rows": 0}, "--set rows=0: rows = 0: must be a whole number above 0"),
        (["rows=x"], '--set rows=x: rows = "x": must be a whole number above 0'),
        (["rows"], "--set rows"),
    ],
)
def test_options_that_are_not_right_are_named(run: Path, options: Any, sentence: str) -> None:
    with pytest.raises(RecipeError) as caught, at_command_line():
        export(run, "plain", options)
    assert sentence in str(caught.value)


def test_an_exporter_that_is_not_installed_is_named(run: Path) -> None:
    with pytest.raises(PluginError, match='no exporter "onyx" is installed; did you mean onnx'):
        export(run, "onyx")


def test_the_source_is_never_replaced_by_something_else(run: Path) -> None:
    before = (run / "generator.safetensors").read_bytes()
    with pytest.raises(GanlabError, match=r"generator\.safetensors is what is being exported; name another file"):
        export(run, "suffixed", {"way": "renames"})
    assert (run / "generator.safetensors").read_bytes() == before
    assert export(run, "suffixed").path.read_bytes() == before


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_place_that_is_no_file_is_refused_at_once(run: Path, make: Callable[[Path], None]) -> None:
    make(run / "there")
    ran.clear()
    with pytest.raises(GanlabError, match=r"there is not a file; name one with --out"):
        export(run, "plain", path=run / "there")
    assert ran == []


@pytest.mark.parametrize("name", ["g.onnx", "g.plain.png"])
def test_a_name_that_says_another_format_is_refused_at_once(run: Path, name: str) -> None:
    ran.clear()
    with pytest.raises(GanlabError, match=rf'{name}: exporter "plain" writes \.plain files; name one with --out'):
        export(run, "plain", path=run / name)
    assert ran == []
    assert export(run, "plain", path=run / "G.PLAIN").path.name == "G.PLAIN"


def test_a_place_that_cannot_be_written_is_one_sentence(run: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write .*generator\.safetensors/x: File exists; name another file"):
        export(run, "plain", path=run / "generator.safetensors" / "x")


def test_only_safetensors_can_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="there is no such file"):
        export(tmp_path / "none", "plain")


class Peculiar(Model):
    """A model whose generator makes what it should not."""

    api = 1
    way: str = "noise"

    def check(self, images: ImageSpec) -> None:
        pass

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"generator": PeculiarNetwork(self.way)}


class PeculiarNetwork(nn.Module):
    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.layer = nn.Linear(100, 3 * 8 * 8)

    def forward(self, z: Tensor) -> Tensor:
        images = self.layer(z).reshape(-1, 3, 8, 8)
        match self.way:
            case "noise":
                images = images + torch.randn_like(images)
            case "nan":
                images = images / 0.0
            case "flat":
                images = images.flatten(1)
        return images


@pytest.mark.parametrize(
    ("way", "sentence"),
    [
        ("noise", "its generator makes other pictures of the same inputs each time, so no export can be compared"),
        ("nan", r"its generator makes float32 of shape \(1, 3, 8, 8\) that is not finite instead"),
        ("flat", r"its generator makes float32 of shape \(1, 192\) instead of finite arrays of shape \(1, 3, 8, 8\)"),
    ],
)
def test_a_generator_that_cannot_be_compared_is_refused(tmp_path: Path, way: str, sentence: str) -> None:
    registry.add("model", "peculiar", Peculiar)
    try:
        model = Peculiar(way=way)
        write_generator(tmp_path / "g", trained(model, IMAGES), about("peculiar", model))
        with pytest.raises(GanlabError, match=sentence):
            export(tmp_path / "g", "plain")
    finally:
        registry.remove("model", "peculiar")
    assert names(tmp_path) == ["g"]


def test_an_export_does_not_move_the_random_state(run: Path) -> None:
    before = torch.get_rng_state()
    export(run, "plain")
    assert torch.equal(torch.get_rng_state(), before)
