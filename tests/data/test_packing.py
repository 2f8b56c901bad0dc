"""Packing: every picture once, in order, bad ones named, and made anew exactly when something changed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from sheets import ROOT, Reports, Sheet, SheetSource, cache_file, child, left, named, packing, reads, sheet, wait_for
from stand_ins import pictures

from ganlab import DataError, Dataset, RunError, Source
from ganlab.data import cache
from ganlab.data.packing import pack


def test_pictures_and_labels_come_in_the_order_of_the_source(tmp_path: Path) -> None:
    file, reports = sheet(tmp_path / "a", 150), Reports()
    packed = pack(Sheet(file=file, classes=11, seconds=0.001), "sheet", reports)
    assert np.array_equal(packed.images, pictures(150, 8, 8).transpose(0, 3, 1, 2))
    assert packed.labels is not None
    assert packed.labels.dtype == np.int64
    assert packed.labels.tolist() == [index % 11 for index in range(150)]
    assert packed.spec == (3, 8, 8, 11)
    assert packed.skipped == ()
    assert isinstance(packed.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        packed.images[0] = 0
    assert reports[:3] == [
        ("looking for the pictures of sheet", 0, 0),
        ("looking for the pictures of sheet", 150, 150),
        ("packing sheet", 0, 150),
    ]
    assert reports[-1] == ("packing sheet", 150, 150)
    assert [done for name, done, _ in reports[2:]] == sorted(done for name, done, _ in reports[2:])


def test_the_second_time_nothing_is_read_and_nothing_said(tmp_path: Path) -> None:
    dataset, reports = Sheet(file=sheet(tmp_path / "a"), log=tmp_path / "log"), Reports()
    first = pack(dataset, "sheet", print)
    second = pack(dataset, "sheet", reports)
    assert reads(tmp_path / "log") == 70
    assert reports == []
    assert np.array_equal(first.images, second.images)
    assert second.labels is None
    assert (first.fingerprint, first.spec) == (second.fingerprint, second.spec)


def test_options_that_change_pixels_are_packed_apart_and_flip_does_not(tmp_path: Path) -> None:
    file, log = sheet(tmp_path / "a"), tmp_path / "log"
    for options, total in (
        ({}, 70),
        ({"flip": True}, 70),
        ({"resolution": 4}, 140),
        ({"channels": 1}, 210),
        ({"crop": "none"}, 280),
        ({"resolution": 4, "flip": True}, 280),
    ):
        packed = pack(Sheet(file=file, log=log, **options), "sheet", print)
        assert packed.images.shape[1:] == packed.spec[:3]
        assert reads(log) == total, options


def test_a_change_of_the_sources_packs_again_and_says_so(tmp_path: Path) -> None:
    dataset = Sheet(file=sheet(tmp_path / "a", 5), log=tmp_path / "log")
    before = pack(dataset, "sheet", print)
    sheet(tmp_path / "a", 6)
    reports = Reports()
    after = pack(dataset, "sheet", reports)
    assert len(before.images) == 5, "what is mapped stays as it was"
    assert np.array_equal(before.images, pictures(5, 8, 8).transpose(0, 3, 1, 2))
    assert len(after.images) == 6
    assert reports.names()[-1] == "packing sheet again (pictures changed)"
    assert cache_file().exists()
    assert before.fingerprint != after.fingerprint


def test_the_fingerprint_is_of_the_data_not_of_its_place(tmp_path: Path) -> None:
    packed = pack(Sheet(file=sheet(tmp_path / "a"), classes=11), "sheet", print)
    moved = pack(Sheet(file=sheet(tmp_path / "b"), classes=11), "other", print)
    plain = pack(Sheet(file=tmp_path / "a.npy"), "sheet", print)
    assert packed.labels is not None
    content = packed.images.tobytes() + packed.labels.tobytes() + b"(70, 3, 8, 8, 11)"
    assert packed.fingerprint == moved.fingerprint == hashlib.sha256(content).hexdigest()
    assert plain.fingerprint != packed.fingerprint


def test_a_damaged_cache_is_noticed_and_built_anew(tmp_path: Path) -> None:
    dataset, reports = Sheet(file=sheet(tmp_path / "a"), classes=11), Reports()
    expected = pack(dataset, "sheet", print)
    images = np.array(expected.images)
    damaged = cache_file().read_bytes()[:-500]
    cache_file().unlink()
    cache.place(dataset, "sheet").path.write_bytes(damaged)
    packed = pack(dataset, "sheet", reports)
    assert reports.names()[-1] == "packing sheet again (cache damaged)"
    assert np.array_equal(packed.images, images)
    assert packed.fingerprint == expected.fingerprint


def test_a_class_whose_pictures_were_all_left_out_does_not_count(tmp_path: Path) -> None:
    file = sheet(tmp_path / "a", 12, black=[1, 5, 9, 3])  # all of class 1, and one of class 3
    for _ in range(2):
        packed = pack(named(file, ["ant", "bee", "cow", "dog"], 4, on_bad="skip"), "named", print)
        assert packed.labels is not None
        assert packed.labels.tolist() == [0, 1, 0, 1, 2, 0, 1, 2]
        assert (packed.spec.classes, packed.class_names) == (3, ("ant", "cow", "dog"))
        assert packed.warnings == (
            'classes of which all pictures were left out do not count: "bee"; the others are renumbered',
        )


@pytest.mark.parametrize("suffix", [".safetensors", ".lock"])
def test_a_pipe_in_the_cache_is_not_waited_for(tmp_path: Path, suffix: str) -> None:
    dataset = Sheet(file=sheet(tmp_path / "a"))
    path = cache.place(dataset, "sheet").path.with_suffix(suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    if suffix == ".lock":
        assert len(pack(dataset, "sheet", print).images) == 70
    else:
        with pytest.raises(RunError, match="exists and is not a file"):
            pack(dataset, "sheet", print)


def test_bad_pictures_are_listed_with_their_reasons_and_counted(tmp_path: Path) -> None:
    black = list(range(0, 60, 5))
    dataset = Sheet(file=sheet(tmp_path / "a", black=black))
    with pytest.raises(DataError) as caught:
        pack(dataset, "sheet", print)
    assert str(caught.value).splitlines() == [
        '12 of the 70 pictures of dataset "sheet" cannot be used:',
        *(f"  picture {index}: black as night ({index})" for index in black[:10]),
        "  and 2 more",
        'repair or remove them, or set dataset.on_bad = "skip" to leave them out',
    ]
    assert left() == [".lock"], "nothing half-written is left"


def test_bad_pictures_are_left_out_where_that_is_asked(tmp_path: Path) -> None:
    black = [0, 31, 32, 69]
    dataset = Sheet(file=sheet(tmp_path / "a", black=black), classes=11, on_bad="skip")
    good = [index for index in range(70) if index not in black]
    for _ in range(2):
        packed = pack(dataset, "sheet", print)
        assert np.array_equal(packed.images, pictures(70, 8, 8)[good].transpose(0, 3, 1, 2))
        assert packed.labels is not None
        assert packed.labels.tolist() == [index % 11 for index in good]
        assert packed.skipped == tuple((f"picture {index}", f"black as night ({index})") for index in black)


def test_only_bad_pictures_are_an_error_even_where_they_may_be_skipped(tmp_path: Path) -> None:
    dataset = Sheet(file=sheet(tmp_path / "a", 3, black=range(3)), on_bad="skip")
    with pytest.raises(DataError, match='3 of the 3 pictures of dataset "sheet" cannot be used:') as caught:
        pack(dataset, "sheet", print)
    assert str(caught.value).endswith("\nrepair or remove them")


def test_labels_out_of_range_name_dataset_and_picture(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        pack(Sheet(file=sheet(tmp_path / "a"), classes=10, on_bad="skip"), "sheet", print)
    assert str(caught.value) == ('dataset "sheet": the label of picture 10 is 10, but there are 10 classes, 0 to 9')


class Odd(Dataset):
    """Opens whatever its class variable holds."""

    api = 1
    opens: ClassVar[Any] = None

    def sources(self) -> Iterable[Path]:
        return []

    def open(self) -> Source:
        source: Source = self.opens
        return source


def test_a_source_without_a_length_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "opens", (number for number in range(3)))
    with pytest.raises(DataError) as caught:
        pack(Odd(), "stream", print)
    assert str(caught.value) == (
        'dataset "stream" opens a generator, which has no length to rely on; '
        "it must open a ganlab.Source, which says how many pictures there are"
    )


class Claim(Source):
    """A source that claims to be of any size."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def image(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        raise KeyError("no such picture")

    def name(self, index: int) -> str:
        return f"claim {index}"


def test_an_empty_source_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "opens", Claim(0))
    with pytest.raises(DataError, match=r'^dataset "nothing" has no pictures$'):
        pack(Odd(), "nothing", print)


def test_what_does_not_fit_on_the_disk_is_refused_before_the_first_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "opens", Claim(10**12))
    with pytest.raises(RunError) as caught:
        pack(Odd(), "all faces", print)
    assert f"need {10**12 * 3 * 64 * 64 + 4096:,} bytes in {cache.directory()}, where " in str(caught.value)
    assert str(caught.value).endswith("set GANLAB_CACHE to a folder on another disk")


def test_other_errors_are_named_by_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "opens", Claim(1))
    with pytest.raises(DataError, match="claim 0: KeyError: 'no such picture'"):
        pack(Odd(), "claims", print)


class Arriving(Dataset):
    """Writes its own file when it is opened, as a download does."""

    api = 1
    file: Path
    """The array."""
    times: int = 1
    """How often opening writes."""
    _opened: int = 0

    def sources(self) -> Iterable[Path]:
        return [self.file]

    def open(self) -> Source:
        if self._opened < self.times:
            self._opened += 1
            sheet(self.file.with_suffix(""), self._opened + 2)
        return SheetSource(Sheet(file=self.file))


def test_files_that_arrive_while_opening_are_part_of_the_state(tmp_path: Path) -> None:
    dataset = Arriving(file=tmp_path / "a.npy", resolution=8, times=2)
    assert len(pack(dataset, "arriving", print).images) == 4
    reports = Reports()
    pack(dataset, "arriving", reports)
    assert reports == []


def test_files_that_never_settle_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'^the files of dataset "arriving" keep changing; start again when nothing'):
        pack(Arriving(file=tmp_path / "a.npy", resolution=8, times=99), "arriving", print)


def test_a_kill_leaves_no_cache_and_the_next_run_clears_up(tmp_path: Path) -> None:
    file, log, gate = sheet(tmp_path / "a", 120), tmp_path / "log", tmp_path / "gate"
    process = child(packing(file, log, gate))
    wait_for(lambda: reads(log) > 70, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert sorted(path.name[:5] for path in cache.directory().iterdir() if path.suffix not in (".lock", ".TAG")) == [
        ".tmp-"
    ]
    gate.touch()
    packed = pack(Sheet(file=file, log=log, gate=gate), "sheet", print)
    expected = pictures(120, 8, 8).transpose(0, 3, 1, 2).tobytes() + b"(120, 3, 8, 8, 0)"
    assert packed.fingerprint == hashlib.sha256(expected).hexdigest()
    assert left() == [".lock", ".safetensors"]


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    file = sheet(tmp_path / "a", 200)
    process = child(
        f"""
        import resource
        from ganlab import GanlabError
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            pack(Sheet(file=Path({str(file)!r})), "sheet", lambda *args: None)
        except GanlabError as error:
            print(type(error).__name__, error)
        """
    )
    said = process.communicate()[0]
    assert said.startswith(f"RunError cannot write {cache.directory()}/sheet-"), said
    assert "File too large; what was there before is untouched" in said
    assert left() == [".lock"]


def test_packed_data_opens_without_torch_and_pil() -> None:
    code = """
        import sys
        from ganlab.data.packing import pack
        from ganlab.standard.datasets.mnist import FashionMNIST
        for _ in range(2):  # packed, then taken from the cache
            packed = pack(FashionMNIST(split="shipped", on_bad="skip"), "fashion_mnist", lambda *args: None)
        heavy = {"torch", "torchvision", "PIL", "onnx", "onnxruntime"} & set(sys.modules)
        print(len(packed.images), *heavy)
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False,
                         env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert ran.stdout.strip() == "10000", ran.stdout + ran.stderr


def test_ctrl_c_ends_packing_at_once(tmp_path: Path) -> None:
    file, log = sheet(tmp_path / "a", 2000), tmp_path / "log"
    process = child(
        f"""
        dataset = Sheet(file=Path({str(file)!r}), log=Path({str(log)!r}), seconds=0.02)
        pack(dataset, "sheet", lambda *args: None)
        """
    )
    wait_for(lambda: reads(log) > 10, process)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[0]
    assert "KeyboardInterrupt" in said
    assert reads(log) < 1000
    assert left() == [".lock"]
