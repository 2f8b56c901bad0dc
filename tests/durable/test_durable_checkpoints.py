"""D5 to D7, D9 to D11, M4: what is on the disk is checked before it is believed, and old checkpoints keep loading."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from torch import nn
from toys import falling

import ganlab
from durable.client import Server
from durable.conftest import Scale, Tally
from durable.damage import dumped, header_and_data, mutated_bytes, mutated_tree, nested, safetensors_file, sealed
from durable.parts import short
from durable.runs import bits, leftovers, newest
from ganlab.distributed.ranks import Place, Ranks
from ganlab.errors import ArtefactError, GanlabError
from ganlab.recipe.toml import dumps
from ganlab.training.checkpoint import RANK_BUFFERS, Checkpoint, Checkpoints
from ganlab.training.record import Record
from ganlab.training.state import State

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def run(folder: Path) -> Path:
    """A run of four iterations with checkpoints at 2 and 4."""
    ganlab.train(short(), out=folder / "run")
    return folder / "run"


def note_lines(run: Path) -> str:
    return (run / "log.txt").read_text()


def continued(run: Path, **tables: Any) -> str:
    """Go on with a run and return what it has logged."""
    ganlab.train(short(observers={"log": True}, **tables), out=run)
    return note_lines(run)


# D5


def test_d5_every_cut_and_every_flipped_bit_is_found_and_the_one_before_is_taken(
    run: Path, scale: Scale, tally: Tally
) -> None:
    dice = random.Random(5)
    checkpoints = run / "checkpoints"
    files = {file: file.read_bytes() for file in newest(run).iterdir()}
    flips = scale(100, 200, 20_000)
    sizes = [len(data) for data in files.values()]

    def find(file: Path, data: bytes | bytearray) -> None:
        file.write_bytes(data)
        said: list[str] = []
        found = Checkpoints(checkpoints, 2, said.append).newest()
        assert found is not None
        assert found.path.name == "00000002"
        [sentence] = said
        assert sentence.startswith(f"checkpoint {checkpoints}/00000004 is damaged: ")
        assert sentence.endswith("; looking for the one before")

    for file, data in files.items():
        cuts = range(0, len(data), 1024 if len(data) > 4096 else 64)
        for length in (*cuts, len(data) - 1):
            find(file, data[:length])
        tally("cuts", len(cuts) + 1)
        file.write_bytes(data)
    for _ in range(flips):
        [file] = dice.choices(list(files), sizes)
        damaged = bytearray(files[file])
        bit = dice.randrange(8 * len(damaged))
        damaged[bit // 8] ^= 1 << bit % 8
        find(file, damaged)
        file.write_bytes(files[file])
    tally("bits flipped", flips)
    assert Checkpoints(checkpoints, 2, pytest.fail).newest() is not None


def test_d5_a_file_that_cannot_be_read_is_passed_over(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if "00000004" in str(path) and path.suffix == ".safetensors":
            raise OSError(5, "Input/output error")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    said: list[str] = []
    found = Checkpoints(run / "checkpoints", 2, said.append).newest()
    assert found is not None
    assert found.path.name == "00000002"
    assert "00000004 cannot be read: Input/output error" in said[0]


def test_d5_there_is_always_one_to_go_back_to(run: Path) -> None:
    """A damaged checkpoint does not count among those that are kept."""
    state = newest(run) / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    newest(run).rename(run / "checkpoints" / "00000003")  # as a run leaves it that was stopped there
    Record(run).add("checkpoints/00000003")
    continued(run)
    assert sorted(os.listdir(run / "checkpoints")) == ["00000002", "00000003", "00000004"]
    continued(run, train={"iterations": 8})
    assert sorted(os.listdir(run / "checkpoints")) == ["00000006", "00000008"]


# D6


def test_d6_everything_is_flushed_in_order_before_the_old_is_deleted(server: Server, folder: Path) -> None:
    (folder / "toy.toml").write_text(dumps(short()))
    ended = server.call("hurt", 0, "kill", "run", "toy.toml", folder=folder)
    assert ended.code == 0, ended.err
    calls = json.loads((folder / "calls.json").read_text())
    (made,) = [
        call for call in calls if call.startswith("mkdir .ganlab/tmp/") and call.endswith("checkpoints-00000004")
    ]
    name = made.removeprefix("mkdir ")
    record = name.replace("checkpoints-00000004", ".ganlab-written.json")
    recorded = [f"write {record}", f"chmod {record}", f"flush {record}", f"rename {record}", "flush .ganlab"]
    noted = ["mkdir .ganlab", *(call.replace("written.json", "session.json") for call in recorded)]
    first = max(at for at, call in enumerate(calls[: calls.index(made)]) if call == recorded[0])
    kinds = ("mkdir", "write", "chmod", "flush", "rename", "unlink", "rmdir")
    save = [call for call in calls[first:] if call.split()[0] in kinds]
    assert save == [
        *recorded,
        "mkdir checkpoints",
        f"mkdir {name}",
        f"write {name}/state.safetensors",
        f"write {name}/manifest.json",
        f"chmod {name}/manifest.json",
        f"flush {name}/manifest.json",
        f"chmod {name}/state.safetensors",
        f"flush {name}/state.safetensors",
        f"flush {name}",
        f"rename {name}",
        "flush checkpoints",
        "unlink checkpoints/00000000/manifest.json",
        "unlink checkpoints/00000000/state.safetensors",
        "rmdir checkpoints/00000000",
        "mkdir .ganlab",
        *recorded,
        *noted,
    ]


# D7, D9


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_d7_every_file_of_a_run_has_the_mode_that_the_umask_says(
    server: Server, folder: Path, umask: int, mode: int
) -> None:
    (folder / "toy.toml").write_text(
        dumps(short(observers={"samples": True, "metrics": True, "log": True, "gif": True}))
    )
    ended = server.call("with_umask", umask, "run", "toy.toml", "--out", "run", folder=folder)
    assert ended.code == 0, ended.err
    modes = {
        str(file.relative_to(folder)): file.stat().st_mode & 0o777
        for file in (folder / "run").rglob("*")
        if file.is_file()
    }
    assert len(modes) > 10
    assert set(modes.values()) == {mode}, modes


def test_d7_a_run_may_lie_behind_a_link(folder: Path, run: Path) -> None:
    expected = bits(run)
    (folder / "elsewhere").mkdir()
    (folder / "link").symlink_to(folder / "elsewhere")
    for iterations in (2, 4):
        ganlab.train(short(train={"iterations": iterations}), out=folder / "link")
    assert (folder / "link").is_symlink()
    assert bits(folder / "elsewhere") == expected


def test_d9_what_the_dead_left_half_written_is_removed_and_what_the_living_write_is_not(run: Path) -> None:
    living, dead = os.getppid(), 2**22 + 1  # one more than Linux ever counts to
    workplace = run / ".ganlab/tmp"
    for name in (f"{dead}-a", f"{dead}-samples-a.png", f"{living}-checkpoints-00000006", f"{living}-export"):
        (workplace / f".tmp-{name}").write_text("half")
    (workplace / f".tmp-{dead}-checkpoints-00000008").mkdir()
    (workplace / f".tmp-{dead}-checkpoints-00000008" / "state.safetensors").write_text("half")
    continued(run, train={"iterations": 6})
    assert leftovers(run) == [str(workplace / f".tmp-{living}-export")]


def test_d3_old_checkpoints_that_cannot_be_deleted_do_not_end_a_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = os.rmdir

    def refuse(path: Any, **options: Any) -> None:
        if Path(path).name == "00000002":
            raise OSError(16, "Device or resource busy")
        remove(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", refuse)
        log = continued(run, train={"iterations": 6})
    assert f"cannot delete {run}/checkpoints/00000002: Device or resource busy" in log


# D10


def test_d10_a_changed_recipe_is_refused_with_every_difference(run: Path) -> None:
    with pytest.raises(GanlabError) as caught:
        continued(run, optimizer={"lr": 1e-3, "generator": {"eps": 1e-6}}, train={"iterations": 3}, seed=1)
    assert str(caught.value).splitlines() == [
        f"the run in {run} was begun with another recipe:",
        "  optimizer.generator.eps was unset and is now 1e-06",
        "  optimizer.lr was 0.0002 and is now 0.001",
        "  seed was 0 and is now 1",
        "  train.iterations was 4 and is now 3",
        "Put the values back, or start a new run in another directory, out=..., with the weights of this one, "
        f'init="{run}"',
    ]


def test_d10_many_differences_are_shown_in_few_lines(run: Path) -> None:
    rewrite(run, lambda manifest: manifest["recipe"].update({f"x{i}\x1b[31m": "y" * 9999 for i in range(99)}))
    with pytest.raises(GanlabError) as caught:
        continued(run)
    assert len(str(caught.value).splitlines()) <= 12
    assert len(str(caught.value)) < 2000
    assert "\x1b" not in str(caught.value)


def rewrite(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the newest manifest as its writer would have written it."""
    file = newest(run) / "manifest.json"
    table = json.loads(file.read_text())
    change(table)
    file.write_bytes(sealed(table))


def test_d10_other_versions_are_told(run: Path) -> None:
    rewrite(
        run, lambda manifest: manifest.update(versions={"ganlab": "0.0.1", "torch": "2.9"}, threads=7, device="cuda")
    )
    log = continued(run, train={"iterations": 6})
    for name, before in (("ganlab", "0.0.1"), ("torch", "2.9"), ("threads", "7"), ("device", "cuda")):
        assert f"the run was begun with {name} {before} and goes on with " in log


def test_d10_versions_of_plugins_are_kept(run: Path) -> None:
    versions = json.loads((newest(run) / "manifest.json").read_text())["versions"]
    assert versions.keys() == {"ganlab", "torch"}, "everything in this recipe comes with ganlab"


def test_d10_options_that_ganlab_has_learned_since_do_not_stand_in_the_way(run: Path) -> None:
    rewrite(run, lambda manifest: manifest["recipe"]["train"].pop("deterministic"))
    rewrite(run, lambda manifest: manifest["recipe"]["loss"].pop("real_label"))
    continued(run, train={"iterations": 6})
    with pytest.raises(GanlabError, match=r"loss.real_label was 1.0 and is now 0.9"):
        continued(run, train={"iterations": 8}, loss={"real_label": 0.9})


def test_d10_an_extension_says_where_its_bits_will_differ(folder: Path) -> None:
    for name, after, done in (("late", 0.75, 3), ("early", 0.25, 3), ("none", None, 3)):
        optimizer = {} if after is None else {"lr": falling(after)}
        tables = {"optimizer": optimizer, "snapshot": {"every_iterations": done}, "observers": {"log": True}}
        ganlab.train(short(**tables), out=folder / name)
        shutil.rmtree(newest(folder / name))  # so that it stands at iteration 3 of 4
        ganlab.train(short(**tables, train={"iterations": 8}), out=folder / name)
        ganlab.train(short(**tables, train={"iterations": 8}), out=folder / f"{name}-at-once")
        same = bits(folder / name) == bits(folder / f"{name}-at-once")
        told = (
            "the run was begun with train.iterations = 4 and goes on with 8: optimizer.lr had been changing "
            "with the progress of the shorter one, so it will not have the same bits as a run that had 8 from the start"
        )
        assert (told in note_lines(folder / name)) == (not same) == (name == "early"), name


# D11


@pytest.mark.parametrize("schema", [1])
def test_d11_a_checkpoint_of_every_schema_loads(folder: Path, schema: int) -> None:
    shutil.copytree(FIXTURES / f"run-of-schema-{schema}", folder / "run")
    recipe = folder / "run" / "recipe.toml"
    directory = folder / "run" / "checkpoints"
    checkpoint = Checkpoints(directory, 2, pytest.fail).newest()
    assert checkpoint is not None
    assert checkpoint.manifest.iteration == 2
    state = load_file(checkpoint.path / "state.safetensors")
    trained = ganlab.train(recipe, overrides=["train.iterations=5"], out=folder / "run")
    assert trained.iterations == 5
    after = load_file(newest(folder / "run") / "state.safetensors")
    assert state.keys() == after.keys()
    lr = 2e-4
    for name, tensor in state.items():
        if name.startswith("networks/") and name.endswith("weight"):
            moved = (after[name] - tensor).abs().max()
            assert 0 < moved < 20 * lr, f"{name}: Adam moves a weight by about its rate"


def test_d11_a_newer_schema_is_refused_not_passed_over(run: Path) -> None:
    rewrite(run, lambda manifest: manifest.update(schema=2, something={"new": 1}))
    before = bits(run)
    with pytest.raises(
        ArtefactError, match=r"00000004 has schema 2, and this ganlab reads up to schema 1: upgrade ganlab"
    ):
        continued(run)
    assert bits(run) == before


# Strangers' checkpoints


def small_state() -> State:
    torch.manual_seed(0)
    return State({"g": nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))}, {}, None, {})


ALONE = Ranks(Place(0, 1, 0), torch.device("cpu"))


def manifest_table(**changes: Any) -> dict[str, Any]:
    table = {
        "iteration": 2, "drawn": 2, "rollbacks": 0, "recipe": {"seed": 0}, "data": "0" * 64, "ranks": 1, "threads": 1,
        "versions": {"ganlab": "0.1.0", "torch": "2.15"}, "device": "cpu", "schema": 1,
    }  # fmt: skip
    return table | changes


def forge(directory: Path, state: bytes, **changes: Any) -> Path:
    """Write a checkpoint whose checksums fit, whatever it holds."""
    path = directory / "00000002"
    path.mkdir(parents=True, exist_ok=True)
    (path / "state.safetensors").write_bytes(state)
    (path / "manifest.json").write_bytes(sealed(manifest_table(**changes), state))
    Record(directory.parent).add(f"{directory.name}/{path.name}")
    return path


def load(directory: Path, state: State) -> Checkpoint:
    found = Checkpoints(directory, 2, lambda text: None).newest()
    assert found is not None
    found.restore(state, ALONE)
    return found


def entry(begin: int, end: int, shape: list[int] | None = None, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def sound() -> bytes:
    return save(dict(small_state().tensors()))


def with_tensor(name: str, tensor: torch.Tensor) -> bytes:
    return save(dict(small_state().tensors()) | {name: tensor})


W = "networks/g/0.weight"
HOSTILE: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda _: b"", "cannot be read"),
    "three bytes": (lambda _: b"abc", "does not fit the networks"),
    "noise": (lambda _: random.Random(1).randbytes(5000), "does not fit the networks"),
    "length 2^63": (lambda _: struct.pack("<Q", 2**63) + b"{}", "does not fit the networks"),
    "length 100 MB": (lambda _: struct.pack("<Q", 10**8 + 1) + b"{}", "does not fit the networks"),
    "length beyond the end": (lambda _: struct.pack("<Q", 99) + b"{}", "cannot be read"),
    "not JSON": (lambda _: safetensors_file(b"{oops}"), "cannot be read"),
    "not UTF-8": (lambda _: safetensors_file(b'{"\xff\xfe": 1}'), "cannot be read"),
    "deep": (lambda _: safetensors_file(b'{"a":' * 500 + b"1" + b"}" * 500), "does not fit|cannot be read"),
    "300,000 tensors": (
        lambda _: safetensors_file({str(index): entry(0, 0) for index in range(300_000)}),
        "does not fit the networks",
    ),
    "trailing bytes": (lambda _: sound() + b"x", "cannot be read"),
    "cut": (lambda _: sound()[:-1], "cannot be read"),
    "hole": (lambda _: safetensors_file({"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)), "cannot be read"),
    "overlap": (lambda _: safetensors_file({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)), "cannot be read"),
    "shape too large": (lambda _: safetensors_file({"a": entry(0, 4, [2**62, 8])}, bytes(4)), "cannot be read"),
    "empty giant": (lambda _: safetensors_file({"a": entry(0, 0, [0, 2**40])}), "is missing"),
    "unknown type": (lambda _: safetensors_file({"a": entry(0, 4, [1], "X9")}, bytes(4)), "cannot be read"),
    "type without numbers": (
        lambda _: safetensors_file({"a": entry(0, 4, [4], "F8_E8M0")}, bytes(4)),
        "is missing|read",
    ),
    "metadata is a number": (lambda _: safetensors_file({"__metadata__": {"a": 3}}), "cannot be read"),
    "only metadata": (lambda _: safetensors_file({"__metadata__": {"a": "3"}}), "is missing"),
    "nan": (lambda _: with_tensor(W, torch.full((3, 2), float("nan"))), "holds values that are not finite: " + W),
    "infinite": (lambda _: with_tensor(W, torch.full((3, 2), -float("inf"))), "holds values that are not finite: " + W),
    "misshaped": (lambda _: with_tensor(W, torch.zeros(2, 3)), r"weight is torch.float32 \(2, 3\) instead of"),
    "another type": (lambda _: with_tensor(W, torch.zeros(3, 2, dtype=torch.float64)), "torch.float64"),
    "unknown": (lambda _: with_tensor("x" * 300, torch.zeros(1)), "is not known|does not fit"),
    "rows of no rank": (
        lambda _: with_tensor(RANK_BUFFERS, torch.zeros(0, 7, dtype=torch.float64)),
        "ranks/buffers is",
    ),
    "rows too short": (lambda _: with_tensor(RANK_BUFFERS, torch.zeros(1, 3, dtype=torch.float64)), "ranks/buffers is"),
    "rows of text": (lambda _: with_tensor(RANK_BUFFERS, torch.zeros(1, 7, dtype=torch.uint8)), "ranks/buffers is"),
    "pickle": (lambda path: pickle.dumps(Canary(path)), "does not fit the networks|cannot be read"),
    "web page": (lambda _: b"<!DOCTYPE html><html>" * 9, "does not fit the networks"),
}


@pytest.mark.parametrize(("make", "sentence"), HOSTILE.values(), ids=HOSTILE.keys())
def test_m3_m7_a_hostile_state_file_is_one_sentence_soon_and_in_little_memory(
    folder: Path, tally: Tally, make: Callable[[Path], bytes], sentence: str
) -> None:
    state = small_state()
    before = {name: tensor.clone() for name, tensor in state.tensors()}
    forge(folder, make(folder / "executed"))
    tracemalloc.start()
    began = time.thread_time()
    with pytest.raises(ArtefactError, match=sentence) as caught:
        load(folder, state)
    seconds, peak = time.thread_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 2  # traced: several times slower than in use
    assert peak < 50e6
    assert len(str(caught.value)) < 1500
    assert "\n" not in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.tensors()), "nothing was loaded in part"
    assert not (folder / "executed").exists()
    tally("hostile files", 1)


MANIFESTS: dict[str, tuple[Any, str]] = {
    "pickle": (lambda path, _: pickle.dumps(Canary(path)), "is not what ganlab writes"),
    "not JSON": (lambda *_: b"{", "is not what ganlab writes"),
    "an array": (lambda *_: b"[]", "is not what ganlab writes"),
    "nothing": (lambda *_: b"", "is not what ganlab writes"),
    "deep": (lambda *_: b'{"a":' * 9000 + b"1" + b"}" * 9000, "is not what ganlab writes"),
    "long": (lambda *_: b" " * 4_000_001, "is too long"),
    "long number": (lambda *_: b'{"schema": ' + b"9" * 5000 + b"}", "is not what ganlab writes"),
    "no schema": (lambda *_: b"{}", "is not what ganlab writes"),
    "true for a number": (lambda _, state: sealed(manifest_table(iteration=True), state), "is not what ganlab writes"),
    "negative": (lambda _, state: sealed(manifest_table(drawn=-1), state), "is not what ganlab writes"),
    "huge": (lambda _, state: sealed(manifest_table(iteration=10**300), state), "is not what ganlab writes"),
    "no ranks": (lambda _, state: sealed(manifest_table(ranks=0), state), "is not what ganlab writes"),
    "text for a table": (lambda _, state: sealed(manifest_table(recipe="x"), state), "is not what ganlab writes"),
    "long text": (lambda _, state: sealed(manifest_table(device="x" * 10**6), state), "is not what ganlab writes"),
    "deep recipe": (
        lambda _, state: sealed(manifest_table(recipe=nested({}, 900)), state), "is not what ganlab writes"
    ),
    "unknown key": (lambda _, state: sealed(manifest_table(more=1), state), "is not what ganlab writes"),
    "written otherwise": (
        lambda _, state: sealed(manifest_table(), state).replace(b"  ", b" "), "is not what ganlab writes"
    ),
    "not sealed": (
        lambda _, state: sealed(manifest_table(), state).replace(b'"drawn": 2', b'"drawn": 3'),
        "is not what ganlab writes",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "sentence"), MANIFESTS.values(), ids=MANIFESTS.keys())
def test_m3_m5_a_hostile_manifest_is_damage(
    folder: Path, tally: Tally, make: Callable[[Path, bytes], bytes], sentence: str
) -> None:
    path = forge(folder, sound())
    (path / "manifest.json").write_bytes(make(folder / "executed", sound()))
    with pytest.raises(ArtefactError, match=sentence):
        load(folder, small_state())
    assert not (folder / "executed").exists()
    tally("hostile files", 1)


@pytest.mark.parametrize("name", ["manifest.json", "state.safetensors"])
def test_m3_what_is_no_file_is_never_opened(folder: Path, tally: Tally, name: str) -> None:
    file = forge(folder, sound()) / name
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path), lambda path: os.symlink(path, path)):
        file.unlink() if file.is_symlink() or not file.is_dir() else file.rmdir()
        make(file)
        with pytest.raises(ArtefactError, match=r"is not a regular file|cannot be read: "):
            load(folder, small_state())
        tally("hostile files", 1)


def test_m3_a_sound_stranger_is_loaded(folder: Path) -> None:
    """So that what the tests before refuse is refused for what is wrong with it."""
    forge(folder, sound())
    assert load(folder, small_state()).manifest.iteration == 2


def test_m4_no_mutated_checkpoint_raises_anything_else(folder: Path, scale: Scale, tally: Tally) -> None:
    """Structure-aware: both files are mutated as trees and as bytes, and sealed anew so that it goes deep."""
    seed = scale(4, 5, random.SystemRandom().randrange(2**32))
    dice = random.Random(seed)
    good = sound()
    header, data = header_and_data(good)
    path = forge(folder, good)
    manifest = json.loads((path / "manifest.json").read_bytes())
    state = small_state()
    count = scale(4_000, 20_000, 1_000_000)
    loaded = 0
    for number in range(count):
        file, text = good, manifest
        match dice.randrange(6):
            case 0:
                file = mutated_bytes(good, dice)
            case 1 | 2:
                tree = mutated_tree(header, dice)
                file = safetensors_file(mutated_tree(tree, dice) if dice.random() < 0.3 else tree, data)
            case 3 | 4:
                text = mutated_tree(manifest, dice)
            case _:
                file = mutated_bytes(good[:8], dice) + good[8:]
        about = sealed(text, file) if isinstance(text, dict) else dumped(text)
        if dice.random() < 0.1:
            about = mutated_bytes(about, dice)
        (path / "state.safetensors").write_bytes(file)
        (path / "manifest.json").write_bytes(about)
        try:
            load(folder, state)
        except GanlabError:
            continue
        except BaseException as error:
            raise AssertionError(f"case {number} of seed {seed}: {about[:2000]!r}") from error
        loaded += 1
        assert all(tensor.isfinite().all() for _, tensor in state.tensors())
    assert loaded < count / 2, "the mutations do too little"
    tally("checkpoints mutated", count)
