"""Checkpoints: written whole, read whole once, believed as long as they look the same, and given back bit for bit."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_state import ALONE, BEGUN, CPU, small_state

from ganlab.distributed.ranks import Place, Ranks
from ganlab.errors import ArtefactError
from ganlab.training.checkpoint import (
    MANIFEST,
    STATE,
    Checkpoints,
    Content,
    Provenance,
    begun_with,
    read_checkpoint,
)
from ganlab.training.state import State, buffer_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the checkpoints of a run are, in its directory."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


def save(checkpoints: Checkpoints, state: State, iteration: int) -> Path:
    state.iteration = iteration
    return checkpoints.save(Content.of(state, buffer_rows(state, ALONE), BEGUN))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_state_comes_back_bit_for_bit_in_the_strides_that_it_had(folder: Path) -> None:
    saved, fresh = small_state(), small_state(seed=1)
    saved.drawn, saved.rollbacks = 17, 2
    save(Checkpoints(folder, 2, pytest.fail), saved, 9)
    strides = [tensor.stride() for _, tensor in fresh.tensors()]
    found = Checkpoints(folder, 2, pytest.fail).newest()
    assert found is not None
    found.restore(fresh, ALONE)
    assert (fresh.iteration, fresh.drawn, fresh.rollbacks) == (9, 17, 2)
    for (name, tensor), (_, expected) in zip(fresh.tensors(), saved.tensors(), strict=True):
        assert torch.equal(tensor, expected), name
    assert [tensor.stride() for _, tensor in fresh.tensors()] == strides
    assert found.manifest.provenance == BEGUN


def test_each_rank_gets_its_own_buffers_back_and_another_number_their_mean(folder: Path) -> None:
    state = small_state()
    rows = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0], [3.0, 2.0, 1.0, 8.0, 7.0, 6.0, 14.0]]).double()
    state.iteration = 1
    two = Provenance(**{**vars(BEGUN), "ranks": 2})
    Checkpoints(folder, 2, pytest.fail).save(Content.of(state, rows, two))
    for place, expected in ((Place(1, 2, 1), rows[1]), (Place(0, 1, 0), rows.mean(0))):
        read_checkpoint(folder / "00000001").restore(state, Ranks(place, CPU))
        assert torch.equal(buffer_rows(state, ALONE)[0], expected)


READS: list[str] = []
_audited: list[bool] = []


@pytest.fixture
def reads() -> list[str]:
    """Return the state files that are opened to be read, as they are."""

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith(STATE) and "r" in str(arguments[1]):
            READS.append(Path(arguments[0]).parent.name)

    if not _audited:  # a hook stays for as long as the process does
        sys.addaudithook(note)
        _audited.append(True)
    READS.clear()
    return READS


def test_a_state_is_read_once_and_not_again_at_the_saves_that_follow(folder: Path, reads: list[str]) -> None:
    before = Checkpoints(folder, 3, pytest.fail)
    for iteration in (1, 2, 3):
        save(before, small_state(), iteration)
    assert reads == [], "what it has written itself need not be read"

    checkpoints = Checkpoints(folder, 3, pytest.fail)
    assert checkpoints.newest() is not None
    assert reads == ["00000003"]
    for _ in range(2):
        checkpoints.newest()
    for iteration in (4, 5, 6):
        save(checkpoints, small_state(), iteration)
        save(checkpoints, small_state(), iteration)
    assert reads == ["00000003"]
    assert names(folder) == ["00000004", "00000005", "00000006"]


def disturb(file: Path, data: bytes) -> None:
    """Write a file as another process may, and put back the time at which it was modified."""
    before = file.stat()
    while file.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of the file system goes in steps
        file.write_bytes(data)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def flipped(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 4]) + data[-4:]


def replaced(file: Path, data: bytes) -> None:
    """Put another file of the same size in the place of one."""
    other = file.with_name("other")
    other.write_bytes(data)
    other.replace(file)


@pytest.mark.parametrize("change", [disturb, replaced])
def test_what_another_process_changes_between_two_saves_is_noticed(
    folder: Path, change: Callable[[Path, bytes], None]
) -> None:
    said: list[str] = []
    checkpoints = Checkpoints(folder, 2, said.append)
    for iteration in (1, 2):
        save(checkpoints, small_state(), iteration)
    state = folder / "00000002" / STATE
    change(state, flipped(state.read_bytes()))
    save(checkpoints, small_state(), 3)
    assert names(folder) == ["00000001", "00000002", "00000003"], "the last one to go back to is spared"
    save(checkpoints, small_state(), 4)
    assert names(folder) == ["00000003", "00000004"]

    newest = folder / "00000004" / STATE
    change(newest, flipped(newest.read_bytes()))
    found = checkpoints.newest()
    assert found is not None
    assert found.manifest.iteration == 3
    damage = f"is damaged: the checksum of {STATE} does not fit"
    assert said == [f"checkpoint {newest.parent} {damage}; looking for the one before"]


def test_a_file_that_was_touched_is_read_again_and_believed(folder: Path, reads: list[str]) -> None:
    checkpoints = Checkpoints(folder, 2, pytest.fail)
    path = save(checkpoints, small_state(), 1)
    disturb(path / STATE, (path / STATE).read_bytes())
    reads.clear()
    for _ in range(2):
        assert checkpoints.newest() is not None
    assert reads == ["00000001"]


def test_an_intact_one_of_the_same_iteration_stays_and_a_damaged_one_is_replaced(folder: Path) -> None:
    checkpoints = Checkpoints(folder, 2, pytest.fail)
    path = save(checkpoints, small_state(), 1)
    inode = (path / STATE).stat().st_ino
    sound = (path / STATE).read_bytes()
    save(checkpoints, small_state(seed=9), 1)
    assert ((path / STATE).stat().st_ino, (path / STATE).read_bytes()) == (inode, sound)
    (path / STATE).write_bytes(sound[:-1])
    save(checkpoints, small_state(), 1)
    assert (path / STATE).read_bytes() == sound


def test_what_somebody_else_has_put_among_checkpoints_does_not_count_and_stays(folder: Path) -> None:
    """Names are not what decides: an older copy, a later date, and the very place of the next one."""
    said: list[str] = []
    for iteration in (10, 20, 30):
        save(Checkpoints(folder, 2, pytest.fail), small_state(), iteration)
    assert names(folder) == ["00000020", "00000030"]
    shutil.copytree(folder / "00000030", folder / "00000010")  # where one of ours was before
    for name in ("00000001/u", "20240131", "00000040"):
        (folder / name).mkdir(parents=True)
    strangers = {"00000001", "00000010", "20240131", "00000040"}
    mine = {path: path.read_bytes() for path in (folder / "00000010").iterdir()}

    checkpoints = Checkpoints(folder, 2, said.append)
    found = checkpoints.newest()
    assert found is not None
    assert found.path == folder / "00000030"
    for iteration in (40, 50, 60):
        save(checkpoints, small_state(), iteration)
    assert set(names(folder)) == strangers | {"00000050", "00000060"}
    assert {path: path.read_bytes() for path in (folder / "00000010").iterdir()} == mine
    assert (folder / "00000001/u").is_dir()
    assert sorted(said) == [
        f"{folder}/{name} was not written by this run: it is no checkpoint of it, and is left alone"
        for name in sorted(strangers)
    ]
    assert begun_with(folder) is not None


def test_where_a_stranger_s_lies_a_checkpoint_gets_another_place(folder: Path) -> None:
    (folder / "00000007").mkdir()
    path = save(Checkpoints(folder, 2, lambda _: None), small_state(), 7)
    assert path == folder / "000000007"
    found = Checkpoints(folder, 2, lambda _: None).newest()
    assert found is not None
    assert (found.path, found.manifest.iteration) == (path, 7)
    assert list((folder / "00000007").iterdir()) == []


def test_what_lies_in_a_checkpoint_that_is_deleted_stays_and_is_said_once(folder: Path) -> None:
    said: list[str] = []
    checkpoints = Checkpoints(folder, 2, said.append)
    (save(checkpoints, small_state(), 1) / "notes.txt").write_text("mine")
    for iteration in (2, 3, 4, 5):
        save(checkpoints, small_state(), iteration)
    assert [path.name for path in (folder / "00000001").iterdir()] == ["notes.txt"]
    assert names(folder) == ["00000001", "00000004", "00000005"]
    assert len(said) == 1


@pytest.mark.parametrize("text", ["{", "7", "[7]", '{"checkpoints": 1}', "[" * 100_000])
def test_a_damaged_record_ends_the_run_and_deletes_nothing(folder: Path, text: str) -> None:
    for iteration in (1, 2):
        save(Checkpoints(folder, 2, pytest.fail), small_state(), iteration)
    (folder.parent / ".ganlab/written.json").write_text(text)
    with pytest.raises(ArtefactError, match=r"written.json is damaged, so which files of the run are ganlab's own is"):
        save(Checkpoints(folder, 2, pytest.fail), small_state(), 3)
    assert names(folder) == ["00000001", "00000002"]


def test_without_checkpoints_there_is_none(folder: Path) -> None:
    for directory in (folder, folder / "nowhere"):
        assert Checkpoints(directory, 2, pytest.fail).newest() is None
        assert begun_with(directory) is None
    (folder / "notes").mkdir()
    (folder / "00000007").write_text("a file")
    assert Checkpoints(folder, 2, lambda _: None).newest() is None


@pytest.fixture
def three(folder: Path) -> Path:
    """A directory with checkpoints of the iterations 1, 99,999,999 and 100,000,000, which has a digit more."""
    for iteration in (1, 10**8 - 1, 10**8):
        save(Checkpoints(folder, 3, pytest.fail), small_state(), iteration)
    return folder


@pytest.mark.parametrize("missing", [STATE, MANIFEST])
def test_one_without_a_file_is_passed_over(three: Path, missing: str) -> None:
    (three / "100000000" / missing).unlink()
    said: list[str] = []
    found = Checkpoints(three, 2, said.append).newest()
    assert found is not None
    assert found.path == three / "99999999"
    cause = "cannot be read: No such file or directory"
    assert said == [f"checkpoint {three}/100000000 {cause}; looking for the one before"]


def test_where_none_is_intact_all_are_named(three: Path) -> None:
    for path in three.iterdir():
        (path / STATE).write_bytes(b"")
    with pytest.raises(ArtefactError) as caught:
        Checkpoints(three, 2, lambda _: None).newest()
    newest = begun_with(three)
    assert newest is not None
    damage = f"is damaged: {STATE} has 0 bytes instead of {newest.bytes}"
    assert str(caught.value) == (
        "no checkpoint of this run is intact: "
        + "; ".join(f"{three}/{name} {damage}" for name in ("100000000", "99999999", "00000001"))
        + ". Start anew in another directory, out=..."
    )


def test_what_a_run_trains_is_read_from_its_newest_sound_manifest(three: Path) -> None:
    found = begun_with(three)
    assert found is not None
    assert found.iteration == 10**8
    (three / "100000000" / MANIFEST).write_text("{")
    (three / "99999999" / STATE).unlink()
    found = begun_with(three)
    assert found is not None
    assert found.iteration == 10**8 - 1
    assert found.provenance == BEGUN


def test_one_that_another_rank_has_found_is_read_or_refused(three: Path) -> None:
    assert read_checkpoint(three / "99999999").manifest.iteration == 10**8 - 1
    (three / "99999999" / MANIFEST).unlink()
    with pytest.raises(ArtefactError, match=r"99999999 cannot be read: No such file or directory"):
        read_checkpoint(three / "99999999")
