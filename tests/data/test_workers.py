"""Processes that decode: the same file, the same words and no process left, whatever their number and their end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile
from sheets import (
    ROOT,
    Shared,
    SharedSource,
    Sheet,
    cache_file,
    child,
    decoders,
    left,
    read_as,
    reads,
    sheet,
    wait_for,
)
from stand_ins import jpeg_bytes, make, pictures, png_bytes, write_files, write_zip

from ganlab import DataError, Dataset, RunError, Source
from ganlab.data import cache, packing
from ganlab.data.packing import pack
from ganlab.standard.datasets.celeba import CelebA
from ganlab.standard.datasets.image_folder import ImageFolder


def packed_file(dataset: Dataset, processes: int) -> bytes:
    """Pack with so many processes into a cache that is empty then, and return the file."""
    shutil.rmtree(cache.directory(), ignore_errors=True)
    pack(dataset, "pictures", print, processes)
    return cache_file().read_bytes()


def mixed() -> dict[str, bytes]:
    """Return files of three classes: JPEG of many sizes, 16 bits, several frames, a broken profile, and bad ones."""
    dice = np.random.default_rng(3)
    files = {}
    for number in range(90):
        pixels = dice.integers(0, 256, (9 + number % 40, 11 + number % 30, 3), dtype=np.uint8)
        files[f"{'abc'[number % 3]}/{number:03d}.jpg"] = jpeg_bytes(pixels)
    deep = dice.integers(0, 4096, (12, 12)).astype(np.uint16)
    files |= {"a/deep.png": png_bytes(deep), "c/empty.jpg": b"", "b/cut.jpg": files["b/001.jpg"][:300]}
    files["d/page.png"] = b"<!DOCTYPE html><title>Quota exceeded"  # all of its class
    files["a/profile.png"] = png_bytes(pictures(1, 8, 8)[0], icc_profile=b"no profile")
    return files


@pytest.mark.parametrize("store", [write_files, write_zip])
def test_the_packed_file_is_the_same_for_any_number_of_processes(tmp_path: Path, store: Callable[..., Path]) -> None:
    root = store(tmp_path / "pictures", mixed())
    dataset = ImageFolder(root=root, resolution=8, on_bad="skip")
    alone = packed_file(dataset, 0)
    assert all(packed_file(dataset, processes) == alone for processes in (1, 3))
    again = pack(dataset, "pictures", print)
    assert len(again.images) == 92
    assert {Path(name).name for name, _ in again.skipped} == {"empty.jpg", "cut.jpg", "page.png"}
    assert [sentence.partition(" ")[0] for sentence in again.warnings] == ["the", "1", "classes"]
    with pytest.raises(DataError) as one:
        pack(ImageFolder(root=root, resolution=8), "pictures", print, 0)
    with pytest.raises(DataError) as other:
        pack(ImageFolder(root=root, resolution=8), "pictures", print, 2)
    assert str(one.value) == str(other.value)


def test_faces_are_cut_out_by_other_processes_as_here(tmp_path: Path) -> None:
    root = make("celeba", tmp_path, 70)
    dataset = CelebA(root=root, resolution=16, face_crop=True)
    assert packed_file(dataset, 2) == packed_file(dataset, 0)


def test_other_processes_decode_where_the_source_gives_files_and_only_there(tmp_path: Path) -> None:
    file, log = sheet(tmp_path / "a", 150, black=[3]), tmp_path / "log"
    for kind, what in ((Shared, "file"), (Sheet, "image")):
        log.unlink(missing_ok=True)
        packed = pack(kind(file=file, classes=11, log=log, on_bad="skip"), kind.__name__, print, 2)
        assert read_as(log) == {what}
        assert reads(log) == 150 + (what == "file"), "the first twice, to see what there is"
        assert packed.labels is not None
        assert packed.labels.tolist() == [index % 11 for index in range(150) if index != 3]
        assert packed.skipped == (("picture 3", "black as night (3)"),)


@pytest.mark.parametrize(("cores", "shared"), [(3, True), (2, False)])
def test_they_start_by_themselves_where_packing_takes_long_and_there_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, shared: bool
) -> None:
    monkeypatch.setattr(packing, "available_cores", lambda: cores)
    log = tmp_path / "log"
    pack(Shared(file=sheet(tmp_path / "a", 320 * cores), log=log, seconds=0.02), "sheet", print)
    assert read_as(log) == ({"image", "file"} if shared else {"image"})


def test_a_label_out_of_range_is_the_same_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        pack(Shared(file=sheet(tmp_path / "a"), classes=10, on_bad="skip"), "sheet", print, 2)
    assert str(caught.value) == 'dataset "sheet": the label of picture 10 is 10, but there are 10 classes, 0 to 9'


class Patchy(SharedSource):
    """Gives the files of every third picture alone, and cannot read that of every seventh."""

    def encoded(self, index: int) -> bytes | None:
        if index % 7 == 0:
            raise OSError("is on another disk")
        return super().encoded(index) if index % 3 else None

    def image(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if index % 7 == 0:
            raise OSError("is on another disk")
        return super().image(index)


class PatchySheet(Shared):
    """Opens such a source."""

    api = 1

    def open(self) -> Source:
        return Patchy(self)


def test_what_gives_no_file_is_decoded_here_and_all_keep_their_places(tmp_path: Path) -> None:
    file, log = sheet(tmp_path / "a", 150, black=[3, 4]), tmp_path / "log"
    alone = packed_file(PatchySheet(file=file, classes=11, on_bad="skip"), 0)
    dataset = PatchySheet(file=file, classes=11, log=log, on_bad="skip")
    assert packed_file(dataset, 2) == alone
    assert read_as(log) == {"image", "file"}
    packed = pack(dataset, "pictures", print)
    good = [index for index in range(150) if index % 7 and index not in (3, 4)]
    assert np.array_equal(packed.images, pictures(150, 8, 8)[good].transpose(0, 3, 1, 2))
    assert packed.skipped[:2] == (("picture 0", "is on another disk"), ("picture 3", "black as night (3)"))


def test_what_a_program_has_set_in_pil_counts_in_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_files(tmp_path / "pictures", {"cut.jpg": jpeg_bytes(pictures(1, 40, 40)[0])[:-40]})
    dataset = ImageFolder(root=root, resolution=8)
    with pytest.raises(DataError, match="truncated"):
        pack(dataset, "pictures", print, 1)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert packed_file(dataset, 1) == packed_file(dataset, 0)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="claims more pixels than PIL opens"):
        pack(ImageFolder(root=root, resolution=4), "pictures", print, 1)


def test_a_killed_process_ends_packing_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        pack(Shared(file=sheet(tmp_path / "a", 400), deadly=40), "sheet", print, 1)
    assert str(caught.value) == (
        'a process that decoded pictures of dataset "sheet" was ended by SIGKILL, as the system does where memory '
        "runs out, at one from picture 32 to picture 63; nothing was packed: start again, without these if they end "
        "it again"
    )
    assert left() == [".lock"]
    assert decoders() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("whole_group", [True, False])
def test_a_signal_ends_all_processes_and_one_speaks(tmp_path: Path, number: int, whole_group: bool) -> None:
    file, log = sheet(tmp_path / "a", 2000), tmp_path / "log"
    process = child(
        f"""
        dataset = Shared(file=Path({str(file)!r}), log=Path({str(log)!r}), seconds=0.02)
        pack(dataset, "sheet", lambda *args: None, 2)
        """
    )
    wait_for(lambda: reads(log) > 10, process)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    said = process.communicate()[0]  # which waits for all that hold the pipe
    assert (said.count("Traceback"), said.count("KeyboardInterrupt")) == (
        (1, 1) if number == signal.SIGINT else (0, 0)
    ), said
    assert reads(log) < 1000
    if number == signal.SIGINT:
        assert left() == [".lock"]


def test_ctrl_c_does_not_wait_for_a_picture_that_never_comes(tmp_path: Path) -> None:
    file, log = sheet(tmp_path / "a", 200), tmp_path / "log"
    process = child(
        f"""
        dataset = Shared(file=Path({str(file)!r}), log=Path({str(log)!r}), deadly=100, number=signal.SIGSTOP)
        pack(dataset, "sheet", lambda *args: None, 1)
        """
    )
    wait_for(lambda: reads(log) > 120, process)  # the last of its kind in flight: its answer does not come
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=120)[0]
    assert reads(log) < 200


def test_they_import_no_torch() -> None:
    code = """if True:
        import sys
        from ganlab.data.workers import serve
        import ganlab.standard.datasets.celeba
        print(*{"torch", "torchvision", "onnx", "onnxruntime"} & set(sys.modules), "none")
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                         env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert ran.stdout.strip() == "none", ran.stdout + ran.stderr
