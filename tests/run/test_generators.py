"""Generators of snapshots that have passed: kept with the same bits as they were written, or made of a checkpoint."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Command
from shipping import registered
from torch import Tensor, nn
from toys import tiny

import ganlab
from ganlab import GanlabError, ImageSpec, Observer, hookimpl
from ganlab.errors import ArtefactError
from ganlab.recipe.recipe import parse_recipe
from ganlab.recipe.toml import dumps
from ganlab.registry import registry
from ganlab.run.deletion import deletable, delete_run
from ganlab.run.generators import opened
from ganlab.run.preview import preview
from ganlab.testing.toys import TinyLabelled

WRITTEN: dict[int, bytes] = {}
"""What each snapshot has written as the newest generator."""


class Copies(Observer):
    """Takes the newest generator's file at each snapshot."""

    api = 1

    @hookimpl
    def snapshot(self, run: ganlab.RunInfo, snapshot: ganlab.Snapshot) -> None:
        WRITTEN[snapshot.iteration] = (run.directory / "generator.safetensors").read_bytes()


@pytest.fixture(autouse=True)
def _components() -> Iterator[None]:
    WRITTEN.clear()
    registry.add("observer", "copies", Copies)
    yield
    registry.remove("observer", "copies")


def recipe(generators: int | None = None, **tables: Any) -> dict[str, Any]:
    """Return a recipe of snapshots at 3, 6, 9 and 12."""
    snapshot = {"every_iterations": 3, **({} if generators is None else {"generators": generators})}
    return tiny(**{"snapshot": snapshot, "observers": {"copies": True}} | tables)


def kept(run: Path | ganlab.Run) -> dict[int, bytes]:
    return {int(path.stem): path.read_bytes() for path in (Path(run) / "generators").glob("*.safetensors")}


def states(run: ganlab.Run) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in Path(run).glob("checkpoints/*/state.safetensors")}


def made(place: Path) -> bytes:
    """Return the bytes of the generator of a checkpoint."""
    found = opened(place)
    assert not isinstance(found, Path)
    return found.data


def test_every_nth_generator_is_kept_as_it_was_written_and_the_training_has_the_same_bits() -> None:
    run = ganlab.train(recipe(2), out="run")
    assert sorted(WRITTEN) == [0, 3, 6, 9, 12]
    assert kept(run) == {6: WRITTEN[6], 12: WRITTEN[12]}
    assert ganlab.read_metadata("run@6").training.iterations == 6
    without = ganlab.train(recipe(), out="without")
    assert not (without.directory / "generators").exists()
    assert states(without) == states(run)
    assert without.generator.read_bytes() == run.generator.read_bytes()


def test_what_is_kept_may_change_when_a_run_goes_on_and_what_was_kept_stays() -> None:
    ganlab.train(recipe(1, train={"iterations": 6}), out="run")
    assert sorted(kept(Path("run"))) == [3, 6]
    ganlab.train(recipe(), out="run")
    assert sorted(kept(Path("run"))) == [3, 6]
    run = ganlab.train(recipe(3, train={"iterations": 20}), out="run")
    assert sorted(kept(run)) == [3, 6, 18, 20]


KILLED = """
import os, signal
from ganlab import Observer, hookimpl, train
from ganlab.registry import registry
from ganlab.testing import Stripes

class Killer(Observer):
    api = 1
    @hookimpl
    def snapshot(self, snapshot):
        if snapshot.iteration == 9:
            os.kill(os.getpid(), signal.SIGKILL)

registry.add("dataset", "stripes", Stripes)
registry.add("observer", "killer", Killer)
import torch
torch.set_num_threads(1)
train("toy.toml", overrides=["observers.killer={}"], out="run")
"""


def test_after_a_kill_what_came_after_the_last_checkpoint_is_made_anew_with_the_same_bits() -> None:
    Path("toy.toml").write_text(dumps(recipe(1, observers={})))
    expected = kept(ganlab.train("toy.toml", out="undisturbed"))
    ended = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert ended.returncode == -signal.SIGKILL
    before = kept(Path("run"))
    assert before == {iteration: expected[iteration] for iteration in (3, 6, 9)}, "kept before its checkpoint"
    Path("run/generators/00000009.safetensors").write_bytes(b"half of it")
    made_before = Path("run/generators/00000003.safetensors").stat().st_mtime_ns
    assert kept(ganlab.train("toy.toml", out="run")) == expected
    assert Path("run/generators/00000003.safetensors").stat().st_mtime_ns == made_before


def test_a_deleted_run_takes_its_generators_along_and_leaves_what_is_not_ganlabs(command: Command) -> None:
    run = ganlab.train(recipe(1), out="run").directory
    assert command("export", "run@6", "--onnx").code == 0
    assert command("sample", "run@6", "--count", 1).code == 0
    (run / "generators/notes.txt").write_text("mine")
    assert delete_run(deletable(run)) == ["generators/notes.txt"]
    assert [path.name for path in run.rglob("*")] == ["generators", "notes.txt"]


def test_a_link_in_place_of_the_folder_is_refused_before_the_training() -> None:
    run = ganlab.train(recipe(1, train={"iterations": 3}), out="run").directory
    shutil.move(run / "generators", "elsewhere")
    (run / "generators").symlink_to(Path("elsewhere").absolute())
    with pytest.raises(GanlabError, match=r"^run/generators is a link; ganlab writes only into a run's own files"):
        ganlab.train(recipe(1), out="run")


@pytest.mark.parametrize("iterations", [12, 13])
def test_a_dry_run_says_what_they_take(iterations: int) -> None:
    table = recipe(2, train={"iterations": iterations}, model={"base_channels": 64})
    said = preview(parse_recipe(table))
    run = ganlab.train(table, out="run")
    files = list((run.directory / "generators").iterdir())
    total = sum(path.stat().st_size for path in files) / 1e6
    (line,) = [line for line in said.splitlines() if line.startswith("on disk")]
    amount, _, count = line.rpartition("kept), ")[2].partition(" MB in ")
    assert count == f"{len(files)} generators"
    assert float(amount) == pytest.approx(total, rel=0.02)
    assert "generators" not in preview(parse_recipe(recipe())).split("on disk")[1]


# Of a checkpoint.


NETWORKS: dict[str, Mapping[str, Any]] = {
    "averaged, statistics estimated anew": {},
    "as they are": {"moving_average": {"enabled": False}},
    "trained on two threads": {"train": {"threads": 2}},
    "colour and a longer average": {
        "dataset": {"channels": 3},
        "moving_average": {"half_life_images": 64, "statistics_batches": 3},
    },
    "a model that ships an encoder": {"model": {"name": "encoding"}},
}


@pytest.mark.parametrize("tables", NETWORKS.values(), ids=NETWORKS)
def test_the_generator_of_a_checkpoint_is_the_file_of_its_snapshot(tables: Mapping[str, Any]) -> None:
    with registered():
        ganlab.train(recipe(**tables), out="run")
        threads, random = torch.get_num_threads(), torch.get_rng_state()
        for iteration in (9, 12):
            assert made(Path(f"run/checkpoints/{iteration:08d}")) == WRITTEN[iteration]
        assert torch.get_num_threads() == threads
        assert torch.equal(torch.get_rng_state(), random)


class Blind(nn.Module):
    """A discriminator that does not look at labels."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        logits: Tensor = self.discriminator(images)
        return logits


class Told(TinyLabelled):
    """A conditional model whose discriminator takes labels."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        networks = super().build(images)
        return networks | {"discriminator": Blind(networks["discriminator"])}


def test_also_of_a_conditional_run_with_class_names_that_began_with_another() -> None:
    for index in range(20):
        place = Path("pictures", ("cat", "dog")[index % 2], f"{index}.png")
        ganlab.save_png(place, np.full((8, 8, 1), 12 * index, np.uint8))
    registry.add("model", "labelled", Told)
    tables: dict[str, Any] = {
        "model": {"name": "labelled"},
        "dataset": {"name": "image_folder", "root": "pictures", "resolution": 8, "channels": 1},
    }
    try:
        ganlab.train(tiny(**tables, train={"iterations": 2}), out="first")
        ganlab.train(parse_recipe(recipe(**tables), name="pets"), out="run", init="first")
        assert made(Path("run/checkpoints/00000009")) == WRITTEN[9]
        about = ganlab.read_metadata("run@9")
        assert (about.recipe.name, about.class_names) == ("pets", ("cat", "dog"))
        # Where no generator of the run is left, the pictures say it.
        Path("run/generator.safetensors").unlink()
        assert made(Path("run/checkpoints/00000009")) == WRITTEN[9]
        shutil.rmtree("pictures")
        unknown = "checkpoint run/checkpoints/00000009: what its pictures are says no generator of run"
        with pytest.raises(ArtefactError, match=f"^{unknown}, and they cannot be had: "):
            ganlab.load_generator("run@9")
        ganlab.save_png(Path("pictures/cat/other.png"), np.zeros((8, 8, 1), np.uint8))
        ganlab.save_png(Path("pictures/dog/other.png"), np.zeros((8, 8, 1), np.uint8))
        with pytest.raises(ArtefactError, match=f"^{unknown}, and the pictures have changed since; put back either$"):
            ganlab.load_generator("run@9")
    finally:
        registry.remove("model", "labelled")


class Stop(Observer):
    """Ends the training after its fifth iteration, as Ctrl-C does."""

    api = 1

    @hookimpl
    def tick(self, tick: ganlab.Tick) -> None:
        if tick.iteration == 5:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_checkpoint_without_a_snapshot_gives_the_generator_that_one_would_have_written() -> None:
    registry.add("observer", "stop", Stop)
    try:
        table = recipe(observers={"stop": True}, snapshot={"every_iterations": 100}, train={"tick_seconds": 1e-9})
        with pytest.raises(ganlab.Interrupted, match="at iteration 5; everything is saved"):
            ganlab.train(table, out="run")
    finally:
        registry.remove("observer", "stop")
    # The only generator's file is of iteration 0, and does not say how many batches an epoch has.
    ganlab.train(recipe(snapshot={"every_iterations": 100}, train={"iterations": 5}), out="five")
    found, expected = ganlab.load_generator("run@5"), ganlab.load_generator("five")
    assert np.array_equal(found.sample(9), expected.sample(9))
    assert found.metadata.training == expected.metadata.training


@pytest.fixture(scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generators")


@pytest.fixture
def run(_folder: Path, tmp_path: Path) -> Path:
    """Return a run that has kept the generators of 6 and 12, and has the checkpoints of 9 and 12."""
    if not (_folder / "run").exists():
        Path("toy.toml").write_text(dumps(recipe(2, observers={})))
        ganlab.train("toy.toml", out=_folder / "run")
    shutil.copytree(_folder / "run", tmp_path / "run")
    return Path("run")


def test_a_generator_of_before_draws_the_pictures_that_it_drew_then(run: Path) -> None:
    for iteration, place in ((6, "run@6"), (9, "run@9"), (9, run / "checkpoints/00000009")):
        ganlab.train(recipe(train={"iterations": iteration}), out=f"until-{iteration}")
        now, then = ganlab.load_generator(place), ganlab.load_generator(f"until-{iteration}")
        assert np.array_equal(now.sample(9), then.sample(9))
        assert now.metadata.training == then.metadata.training


def test_one_that_was_made_of_a_checkpoint_is_sent_to_another_process(run: Path) -> None:
    generator = ganlab.load_generator("run@9")
    sent = pickle.dumps(generator)
    again = pickle.loads(sent)  # noqa: S301  # of this very process
    assert np.array_equal(again.sample(3), generator.sample(3))
    shutil.rmtree(run / "checkpoints/00000009")
    with pytest.raises(GanlabError, match="run/checkpoints/00000009"):
        pickle.loads(sent)  # noqa: S301


def test_verbs_take_it_and_write_beside_what_they_write_of_the_newest(run: Path, command: Command) -> None:
    assert command("sample", "run").out == "run/sample.png\n"
    newest = (run / "sample.png").read_bytes()
    assert command("sample", "run@6").out == "run/sample-00000006.png\n"
    assert command("sample", "run@9").out == "run/sample-00000009.png\n"
    assert command("sample", "run@9", "--separate", "--count", 2).out == "2 pictures in run/seeds-00000009\n"
    assert (run / "sample.png").read_bytes() == newest
    heading, *rows = command("info", "run@9").out.splitlines()
    assert heading == "run/checkpoints/00000009  0.0 MB as a file"
    assert {"training.iterations 9", "training.images 72"} <= {" ".join(row.split()) for row in rows}
    ended = command("export", "run@9", "--onnx", "--safetensors")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("run/generators/00000009.onnx  0.0 MB, differs from torch by at most ")
    # That of a checkpoint is kept by it, as if the run had done so.
    assert ganlab.read_metadata("run@9").to_json() == ganlab.read_metadata(run / "checkpoints/00000009").to_json()
    assert Path("run/generators/00000009.safetensors").read_bytes() == made(run / "checkpoints/00000009")
    assert command("export", "run@6", "--onnx").out.startswith("run/generators/00000006.onnx  ")
    assert command("info", "run@7").err == (
        "ganlab: run has no generator of iteration 7 and no checkpoint of it; there are @6, @9 and @12\n"
    )


def test_whatever_else_is_drawn_of_a_generator_is_drawn_of_one_of_before(run: Path, command: Command) -> None:
    assert command("interpolate", "run@9", "--steps", 1).out.endswith("run/interpolation-00000009.gif\n")
    assert command("directions", "run@9").out.rstrip().endswith("in run/directions-00000009.png")
    ganlab.save_png(Path("picture.png"), ganlab.load_generator("run@9").sample(1)[0])
    ended = command("project", "picture.png", "run@9", "--steps", 2)
    assert "run/projection-00000009.png: the picture" in ended.out, ended.err
    remedy = "a file is handed over: ganlab export run/checkpoints/00000009 --safetensors makes one of it"
    assert remedy in command("card", "run@9", "--license", "mit").err


def test_the_curve_of_a_runs_quality_is_had_afterwards(run: Path, command: Command) -> None:
    few = ("--count", 20, "--seeds", 1, "--metrics", "sliced_wasserstein", "--json", "found.json")
    ended = command("evaluate", "run@6", "run/checkpoints/00000009", "run@9", "run", *few)
    assert ended.code == 0, ended.err
    judged = json.loads(Path("found.json").read_text())["generators"]
    assert [one["name"] for one in judged] == ["run@6", "run/checkpoints/00000009", "run@9", "run"]
    assert all(one["trained_on_these"] and one["averaged_weights"] for one in judged)
    assert judged[1]["digest"] == judged[2]["digest"]
    assert len({one["digest"] for one in judged}) == 3


def test_a_new_run_begins_with_one(run: Path) -> None:
    def log(init: str, out: str) -> str:
        return (ganlab.train(tiny(train={"iterations": 1}), init=init, out=out).directory / "log.txt").read_text()

    of_file = log("run@6", "of-file")
    all_of_it = r"begins with (\d+) of \1 tensors from run/"
    assert re.search(rf"generator {all_of_it}generators/00000006\.safetensors", of_file)
    assert "discriminator begins with 0 of" in of_file
    of_checkpoint = log("run@9", "of-checkpoint")
    for network in ("generator", "discriminator"):
        assert re.search(rf"{network} {all_of_it}checkpoints/00000009", of_checkpoint)
    # The run that has begun needs it no more, and takes no other.
    shutil.rmtree(run / "checkpoints/00000009")
    ganlab.train(tiny(train={"iterations": 2}), init="run@9", out="of-checkpoint")
    with pytest.raises(GanlabError, match=r"train.init_from was \"run@9\" .* and is now \"run/checkpoints/00000012\""):
        ganlab.train(tiny(train={"iterations": 3}), init="run/checkpoints/00000012", out="of-checkpoint")


def spoil(run: Path, **values: Any) -> Path:
    """Change what the manifest of the checkpoint of 9 says, with a checksum that fits; return the checkpoint."""
    place = run / "checkpoints/00000009"
    table = json.loads((place / "manifest.json").read_text()) | values
    del table["checksum"]
    table["checksum"] = hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
    (place / "manifest.json").write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")
    return place


def test_a_damaged_checkpoint_is_refused_with_the_sentence_of_a_run_that_goes_on(run: Path) -> None:
    place = run / "checkpoints/00000009"
    state = (place / "state.safetensors").read_bytes()
    (place / "state.safetensors").write_bytes(state[:-1] + b"x")
    damaged = "^checkpoint run/checkpoints/00000009 is damaged: "
    for name in ("run@9", str(place)):
        with pytest.raises(ArtefactError, match=f"{damaged}the checksum of state.safetensors does not fit$"):
            ganlab.load_generator(name)
    (place / "state.safetensors").write_bytes(state[:-1])
    with pytest.raises(ArtefactError, match=rf"{damaged}state.safetensors has {len(state) - 1} bytes instead of"):
        ganlab.read_metadata("run@9")
    (place / "state.safetensors").write_bytes(state)
    (place / "manifest.json").write_text("{}")
    with pytest.raises(ArtefactError, match=f"{damaged}manifest.json is not what ganlab writes$"):
        ganlab.load_generator("run@9")
    (place / "manifest.json").unlink()
    with pytest.raises(ArtefactError, match=r"^checkpoint run/checkpoints/00000009 cannot be read: No such file"):
        ganlab.load_generator("run@9")


def test_one_of_a_newer_ganlab_says_so(run: Path) -> None:
    newer = "has schema 2, and this ganlab reads up to schema 1: upgrade ganlab to the version that wrote it$"
    with pytest.raises(ArtefactError, match=f"^checkpoint {spoil(run, schema=2)} {newer}"):
        ganlab.load_generator("run@9")


def test_what_no_run_has_written_is_refused(run: Path) -> None:
    place = spoil(run, versions={"ganlab": "1\n", "torch": "2"}, threads=2**50)
    with pytest.raises(ArtefactError, match=f"^checkpoint {place} is damaged: its manifest is not what ganlab writes$"):
        ganlab.load_generator(place)


def test_the_versions_are_those_that_have_computed_it(run: Path) -> None:
    spoil(run, versions={"ganlab": "0.0.1", "torch": "2.0"})
    about = ganlab.read_metadata("run@9")
    assert (about.versions.ganlab, about.versions.torch, about.model.version) == ("0.0.1", "2.0", "0.0.1")


def test_a_recipe_that_cannot_be_used_here_says_what_is_missing(run: Path) -> None:
    recipe = json.loads((run / "checkpoints/00000009/manifest.json").read_text())["recipe"]
    # What only watches is not needed.
    spoil(run, recipe=recipe | {"observers": {"gone": {}}, "evaluate": {"best": "gone"}})
    assert ganlab.load_generator("run@9").sample(1).shape == (1, 8, 8, 1)
    for kind in ("model", "loss", "dataset"):
        spoil(run, recipe=recipe | {kind: {"name": "gone"}})
        sentence = (
            rf'checkpoints/00000009: its recipe cannot be used here: .*{kind}.name = "gone": no {kind} "gone" is '
        )
        with pytest.raises(ArtefactError, match=sentence):
            ganlab.load_generator("run@9")


def test_one_of_other_networks_is_refused(run: Path) -> None:
    recipe = json.loads((run / "checkpoints/00000009/manifest.json").read_text())["recipe"]
    spoil(run, recipe=recipe | {"model": recipe["model"] | {"base_channels": 8}})
    with pytest.raises(ArtefactError, match=r"^checkpoint run/checkpoints/00000009 does not fit the networks"):
        ganlab.load_generator("run@9")


class Asking(Observer):
    """Asks for the generator of a checkpoint while the run trains."""

    api = 1

    @hookimpl
    def tick(self) -> None:
        with pytest.raises(GanlabError) as caught:
            ganlab.load_generator("run@9")
        REFUSED.append(str(caught.value))
        REFUSED.append(str(ganlab.load_generator("run@6").sample(1).shape))


REFUSED: list[str] = []


def test_beside_a_training_none_is_made_and_a_kept_one_is_taken(run: Path) -> None:
    REFUSED.clear()
    registry.add("observer", "asking", Asking)
    try:
        ganlab.train(tiny(train={"iterations": 1}, observers={"asking": True}), out="other")
    finally:
        registry.remove("observer", "asking")
    assert REFUSED == [
        "this process is training already, and torch's random numbers and modes are the process's: the generator of "
        "checkpoint run/checkpoints/00000009 is made before or after it, or in another process; one that was kept, "
        "[snapshot] generators = N, can be used at any time",
        "(1, 8, 8, 1)",
    ]


def test_the_newest_and_files_are_what_they_were(run: Path) -> None:
    assert opened(run) == run
    assert opened(run / "generator.safetensors") == run / "generator.safetensors"
    with pytest.raises(GanlabError, match=r'^device "gpu" is none of auto, cpu, cuda, cuda:N and mps$'):
        ganlab.load_generator("run@9", device="gpu")
