"""Several ranks: they do what one would do, and when one breaks, all end and the cause is said once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import rank_parts
import torch
from documents import DOCS, blocks, section
from rank_parts import ADAPTED, BALANCED, JUDGED, MANY, PICTURES, PLAIN, RECIPE
from safetensors.torch import load_file

import ganlab
from ganlab import GanlabError
from ganlab.distributed.ranks import Place, Ranks, joined, place
from ganlab.registry import registry
from ganlab.registry.kinds import GROUPS
from ganlab.run.remade import generator_of
from ganlab.training.checkpoint import RANK_BUFFERS

TESTS = Path(__file__).parents[1]
ITERATIONS, PER_EPOCH, BATCH = 9, 3, 8
TORCHRUN = "--max-restarts 1 -m ganlab run r.toml --out d"
PROGRESS = (
    "looking for", "packing", "waiting for", "r in ", "to look at meanwhile", f"{PICTURES} pictures", "parameters",
    "epoch ", "continues", f"{ITERATIONS} iterations on", f"warning: {ITERATIONS} iterations are few",
    f"warning: {PICTURES} pictures are few",
)  # fmt: skip


# A process that is alone


ALONE = Ranks(Place(0, 1, 0), torch.device("cpu"))


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert place() == Place(rank=0, world=1, local=0, launched=False)
    with joined(place(), torch.device("cpu"), 1.0) as ranks:
        assert ranks.alone
        assert ranks.first
        assert not torch.distributed.is_initialized()


def test_torchrun_says_where_a_process_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "TORCHELASTIC_RUN_ID": "x"}
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert place() == Place(rank=5, world=8, local=1, launched=True)
    monkeypatch.setenv("RANK", "8")
    with pytest.raises(GanlabError, match="RANK = 8 is not below WORLD_SIZE = 8; start ganlab with --nproc or torchr"):
        place()
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(GanlabError, match="RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers, as torchrun sets"):
        place()


def test_one_alone_agrees_with_itself() -> None:
    values = [torch.tensor([1.0, -2.0]), torch.tensor(3.0)]
    ALONE.average(values)
    ALONE.agree(values)
    ALONE.adopt(values)
    assert [value.tolist() for value in values] == [[1.0, -2.0], 3.0]
    assert ALONE.mean({"loss": 0.3}) == {"loss": 0.3}
    assert (ALONE.smallest(2.5), ALONE.largest(2.5)) == (2.5, 2.5)
    assert (ALONE.any(True), ALONE.any(False)) == (True, False)
    assert ALONE.text_of_first("runs/faces/0001") == "runs/faces/0001"
    rows = ALONE.rows(torch.tensor([0.1, 7.0]))
    assert (rows.dtype, rows.tolist()) == (torch.float64, [[pytest.approx(0.1, rel=1e-7), 7.0]])
    ALONE.same("digest", "another recipe than rank 0")


def test_the_work_of_one_alone_fails_as_it_would_without_ranks() -> None:
    error = OSError("the disk is full")
    with pytest.raises(OSError, match="the disk is full") as caught, ALONE.work_of_first():
        raise error
    assert caught.value is error
    with ALONE.work_of_first() as mine:
        assert mine


# Runs whose ranks are forked from one process, which stands in for torchrun


class Job(NamedTuple):
    """A command, and what its ranks do in the middle of it: `rank:iteration:deed`."""

    ranks: int
    options: str = ""
    deeds: str = ""
    recipe: str = RECIPE
    goes_on: str = ""
    """The job whose run it goes on with, a copy of it."""
    grace: float = 30.0
    """How many seconds the others have when one has ended, as promised, before they are killed."""
    rank_1_options: str = ""
    rank_1_environment: Mapping[str, str] = {}
    grouped: bool = False
    """Whether one rank is a group of one, as torchrun starts it."""
    program: str = "ganlab"
    """One of those that the server knows."""
    command: str = "run r.toml --out d"


class Ended(NamedTuple):
    """What a job has left."""

    folder: Path
    codes: list[int]
    out: list[str]
    err: list[str]

    @property
    def run(self) -> Path:
        return self.folder / "d"

    def state(self) -> bytes:
        return (newest(self.run) / "state.safetensors").read_bytes()

    def tensors(self) -> dict[str, torch.Tensor]:
        return load_file(newest(self.run) / "state.safetensors")

    def notes(self, name: str) -> list[Any]:
        return notes(self.folder, name)

    def said(self) -> list[str]:
        """Return what was said beside the progress, by all ranks."""
        return [line for text in self.err for line in text.splitlines() if line and not line.startswith(PROGRESS)]


def newest(run: Path) -> Path:
    return max((run / "checkpoints").iterdir())


def notes(folder: Path, name: str) -> list[Any]:
    return [json.loads(line) for line in (folder / "notes" / name).read_text().splitlines()]


JOBS = {
    # These start their ranks themselves; the last four take longest.
    "uneven start": Job(1, "--nproc 3"),
    "started": Job(1, program="launch", command="--version"),
    "started by mistake": Job(1, program="launch", command="info nowhere"),
    "killed": Job(1, "--nproc 2", deeds="1:4:SIGKILL"),
    "stopped": Job(1, "--nproc=2", deeds="1:5:stop"),
    "judged by nproc": Job(1, "--nproc 2 --set train.iterations=12", recipe=JUDGED),
    "restarted": Job(1, program="torchrun", command=TORCHRUN, deeds="1:7:SIGKILL", goes_on="stopped"),
    # The server starts the ranks of these.
    "one": Job(1),
    "one of one": Job(1, grouped=True),
    "two": Job(2),
    "plain one": Job(1, "--set train.iterations=1", recipe=PLAIN),
    "plain two": Job(2, "--set train.iterations=1", recipe=PLAIN),
    "balanced one": Job(1, "--set train.iterations=3", recipe=BALANCED),
    "balanced two": Job(2, "--set train.iterations=3", recipe=BALANCED),
    "adapted one": Job(1, recipe=ADAPTED),
    "adapted two": Job(2, recipe=ADAPTED),
    "adapted two killed": Job(2, deeds="all:4:SIGKILL", recipe=ADAPTED),
    "not judged": Job(2, "--set train.iterations=12", recipe=MANY),
    "judged": Job(2, "--set train.iterations=12 --set evaluate.patience=9", recipe=JUDGED),
    "out of patience": Job(2, "--set train.iterations=12", recipe=JUDGED),
    "shipped": Job(2, "--set moving_average.enabled=false --set train.iterations=3 --set snapshot.generators=1"),
    "killed one": Job(1, deeds="all:4:SIGKILL"),
    "killed two": Job(2, deeds="all:4:SIGKILL"),
    "SIGTERM to rank 1": Job(2, deeds="1:4:SIGTERM"),
    "SIGINT to rank 0": Job(2, deeds="0:4:SIGINT"),
    "rank 1 killed": Job(2, deeds="1:4:SIGKILL"),
    "rank 0 killed": Job(2, deeds="0:4:SIGKILL"),
    "rank 1 raises": Job(2, deeds="1:4:raise"),
    "rank 0 raises": Job(2, deeds="0:4:raise"),
    "rank 1 without memory": Job(2, deeds="1:4:memory"),
    "rank 1 stalls": Job(2, "--set train.rank_timeout_seconds=4", deeds="1:4:stall", grace=0.5),
    "rank 0 stalls": Job(2, "--set train.rank_timeout_seconds=4", deeds="0:4:stall", grace=0.5),
    "rank 0 without disk": Job(2, deeds="0:4:disk"),
    "bad picture": Job(2, "--set dataset.broken=3"),
    "other pictures": Job(2, rank_1_environment={"RANK_PICTURES": "1", "GANLAB_CACHE": "elsewhere"}),
    "other recipe": Job(2, rank_1_options="--set optimizer.lr=1e-3"),
    "uneven": Job(2, "--set train.batch_size=7"),
    "misspelt": Job(2, "--set train.batchsize=8"),
    "no such option": Job(2, "--zzz"),
    "started twice": Job(2, "--nproc 2"),
    # These go on with what others have left.
    "two go on as two": Job(2, goes_on="killed two"),
    "two go on as one": Job(1, goes_on="killed two"),
    "one goes on as two": Job(2, goes_on="killed one"),
    "stopped go on": Job(2, goes_on="SIGTERM to rank 1"),
    "after a full disk": Job(2, goes_on="rank 0 without disk"),
    "adapted go on": Job(2, goes_on="adapted two killed", recipe=ADAPTED),
    "out of patience again": Job(2, "--set train.iterations=12", goes_on="out of patience", recipe=JUDGED),
    "adapted go on as one": Job(1, goes_on="adapted two killed", recipe=ADAPTED),
}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Run all jobs, and return what each has left."""
    place = tmp_path_factory.mktemp("jobs")
    orders = {name: order(place, name, job) for name, job in JOBS.items()}
    server = subprocess.run(
        [sys.executable, str(TESTS / "rank_server.py")],
        env=environment_for(place) | {"TORCH_CPP_LOG_LEVEL": "ERROR"},
        input=json.dumps(orders),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    ended = {}
    for name, codes in json.loads(server.stdout).items():
        logs = [place / name / "logs" / str(rank) for rank in range(JOBS[name].ranks)]
        said = {kind: [(log / kind).read_text() for log in logs] for kind in ("out", "err")}
        ended[name] = Ended(place / name, codes, **said)
    return ended


def order(place: Path, name: str, job: Job) -> dict[str, Any]:
    """Lay out the folder of a job and return the job as the server takes it."""
    folder = place / name
    for inner in ("logs", "notes"):
        (folder / inner).mkdir(parents=True)
    (folder / "r.toml").write_text(job.recipe)
    arguments = f"{job.command} {job.options}".split()
    environment = environment_for(folder) | {"RANK_DEEDS": job.deeds}
    return {
        "program": job.program,
        "world": job.ranks,
        "grouped": job.ranks > 1 or job.grouped,
        "folder": str(folder),
        "logs": str(folder / "logs"),
        "grace": job.grace,
        "after": job.goes_on,
        "goes_on": str(place / job.goes_on / "d") if job.goes_on else "",
        "arguments": [arguments, arguments + job.rank_1_options.split()][: job.ranks],
        "environment": [environment, {**environment, **job.rank_1_environment}][: job.ranks],
    }


def environment_for(folder: Path) -> dict[str, str]:
    """Return the environment in which `ganlab` finds the parts, as those of a distribution."""
    site = folder / "site"
    about = site / "rank_parts-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: rank-parts\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n{name} = rank_parts:{part.__name__}\n"
            for (kind, name), part in rank_parts.PARTS.items()
            for group in GROUPS
            if GROUPS[group] == kind
        )
    )
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(site), str(TESTS), *sys.path]),
        "RANK_NOTES": str(folder / "notes"),
        "GANLAB_CACHE": str(folder / "cache"),
        "GANLAB_CONFIG": str(folder / "config"),
        "OMP_NUM_THREADS": "1",
    }


def test_several_ranks_leave_what_one_leaves_and_speak_once(jobs: dict[str, Ended]) -> None:
    one, two = jobs["one"], jobs["two"]
    assert (one.codes, two.codes) == ([0], [0, 0])
    assert two.out[1] == two.err[1] == ""
    assert two.said() == []
    assert two.err[0].count(f"{ITERATIONS} iterations on {ITERATIONS * BATCH} pictures, 4 snapshots of 0.") == 1
    assert [text.count(f"Trained {ITERATIONS} iterations on {ITERATIONS * BATCH} pictures") for text in two.out] == [
        1,
        0,
    ]
    for name in ("samples", "checkpoints"):
        left = [sorted(path.name for path in (job.run / name).iterdir()) for job in (one, two)]
        assert left[0] == left[1]
    ticks = [json.loads(line)["iteration"] for line in (two.run / "metrics.jsonl").read_text().splitlines()]
    assert ticks == sorted(set(ticks))
    assert ticks[-1] == ITERATIONS
    log = (two.run / "log.txt").read_text().splitlines()
    assert len(log) == len(set(log))
    assert json.loads((newest(two.run) / "manifest.json").read_text())["ranks"] == 2


def test_a_group_of_one_is_one(jobs: dict[str, Ended]) -> None:
    assert jobs["one of one"].codes == [0]
    assert jobs["one of one"].state() == jobs["one"].state()


def test_packing_happens_once(jobs: dict[str, Ended]) -> None:
    assert sorted(jobs["two"].notes("decoded")) == list(range(PICTURES))


def test_two_ranks_see_the_pictures_flips_and_latents_of_one(jobs: dict[str, Ended]) -> None:
    one = jobs["one"].notes("rank0")
    assert len(one) == ITERATIONS
    assert len({picture for drawn in one[:PER_EPOCH] for picture in drawn["pictures"]}) == PER_EPOCH * BATCH
    assert {True, False} <= set(one[0]["flipped"])
    assert together(jobs["two"]) == one


def together(job: Ended) -> list[dict[str, list[Any]]]:
    """Return what two ranks have drawn as what one would have drawn."""
    both = zip(job.notes("rank0"), job.notes("rank1"), strict=True)
    return [{key: first[key] + second[key] for key in first} for first, second in both]


def test_without_batchnorm_two_ranks_have_the_gradients_and_weights_of_one(jobs: dict[str, Ended]) -> None:
    one, two = jobs["plain one"].tensors(), jobs["plain two"].tensors()
    assert together(jobs["plain two"]) == jobs["plain one"].notes("rank0")
    assert one.keys() | {RANK_BUFFERS} == two.keys()
    moments = [name for name in one if name.endswith("/exp_avg")]
    assert len(moments) == 8
    for name in moments:  # after one step Adam's first moment is half of the gradient: betas[0] is 0.5
        assert one[name].abs().max() > 1e-4
    for name, tensor in one.items():
        np.testing.assert_allclose(two[name], tensor, atol=1e-5, rtol=1e-5, err_msg=name)


def test_what_a_loss_remembers_is_the_mean_of_the_ranks_as_one_would_remember_it(jobs: dict[str, Ended]) -> None:
    """k is linear in the means over each rank's pictures, so their mean is the k of all pictures."""
    one, two = jobs["balanced one"], jobs["balanced two"]
    assert (one.codes, two.codes) == ([0], [0, 0])
    before, after = ([two.notes(f"{when}{rank}") for rank in (0, 1)] for when in ("before", "after"))
    assert before[0] == before[1], "equal to the last bit"
    for index in range(2):
        assert after[0][index] != after[1][index], "each has moved it by its own pictures"
        k = (after[0][index][0] + after[1][index][0]) / 2
        assert before[0][index + 1] == [pytest.approx(k, rel=1e-7), index + 1]
    np.testing.assert_allclose(before[0], one.notes("before0"), rtol=1e-5)
    name = "networks/equilibrium/k"
    np.testing.assert_allclose(two.tensors()[name], one.tensors()[name], rtol=1e-5)
    assert two.tensors()[name] != 0.25


def test_ranks_that_remember_go_on_with_the_same_bits(jobs: dict[str, Ended]) -> None:
    two, again = jobs["adapted two"], jobs["adapted go on"]
    assert (two.codes, again.codes) == ([0, 0], [0, 0])
    for job, iterations in ((two, ITERATIONS), (again, ITERATIONS - 3)):
        assert job.notes("before0") == job.notes("before1")
        assert len(job.notes("before0")) == iterations
    assert again.notes("before0") == two.notes("before0")[3:]
    assert again.state() == two.state()
    tensors = two.tensors()
    counts = [tensors[f"networks/{name}"].item() for name in ("equilibrium/iterations", "strength/updates")]
    assert counts == [ITERATIONS, 2 * ITERATIONS]
    assert tensors["networks/strength/p"] > 0
    alone = jobs["adapted go on as one"]
    assert alone.codes == [0]
    assert alone.notes("before0")[0] == two.notes("before0")[3]


def states(job: Ended) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in job.run.glob("checkpoints/*/state.safetensors")}


def test_ranks_that_judge_train_the_same_bits_and_the_first_alone_judges(jobs: dict[str, Ended]) -> None:
    plain, judged = jobs["not judged"], jobs["judged"]
    assert (plain.codes, judged.codes) == ([0, 0], [0, 0])
    assert sorted(states(plain)) == [f"{iteration:08d}" for iteration in (0, 3, 6, 9, 12)]
    assert states(judged) == states(plain)
    assert same_files(judged, plain)
    assert together(judged) == together(plain)
    assert len(judged.notes("judged0")) == 1 + 4, "real pictures, and each snapshot but the first"
    assert not (judged.folder / "notes/judged1").exists()
    about = ganlab.read_metadata(judged.run / "generator-best.safetensors")
    assert about.score is not None
    assert (about.training.iterations, about.score.name, about.score.value) == (6, "told", 3.0)
    assert judged.out[1] == judged.err[1] == ""


def test_patience_ends_all_ranks_together(jobs: dict[str, Ended]) -> None:
    ended, plain = jobs["out of patience"], jobs["not judged"]
    assert ended.codes == [0, 0]
    assert [text.count("no better told in 1 evaluation: the training has ended; ") for text in ended.err] == [1, 0]
    assert [text.count("Trained 9 iterations") for text in ended.out] == [1, 0]
    assert states(ended) == {name: state for name, state in states(plain).items() if name <= "00000009"}
    drawn = [len(ended.notes(f"rank{rank}")) for rank in (0, 1)]
    assert drawn == [9, 9], "no rank has gone on by itself"
    assert ganlab.read_metadata(ended.run / "generator-best.safetensors").training.iterations == 6


def test_the_same_command_knows_on_all_ranks_that_patience_has_ended_the_run(jobs: dict[str, Ended]) -> None:
    again = jobs["out of patience again"]
    assert again.codes == [0, 0]
    assert [text.count("was finished before: 9 iterations") for text in again.out] == [1, 0]
    assert states(again) == states(jobs["out of patience"])
    assert len(again.notes("judged0")) == 1, "real pictures, and no generator"


def test_nproc_judges_and_ends_as_torchrun_does(jobs: dict[str, Ended]) -> None:
    ended = jobs["judged by nproc"]
    assert ended.codes == [0]
    assert ended.out[0].count("Trained 9 iterations") == 1
    assert states(ended) == states(jobs["out of patience"])
    assert len(ended.notes("judged0")) == 1 + 3
    assert not (ended.folder / "notes/judged1").exists()


def same_files(one: Ended, other: Ended) -> bool:
    names = ["generator.safetensors", *(f"samples/{number:08d}.png" for number in (0, 3, 6, 9))]
    return all((one.run / name).read_bytes() == (other.run / name).read_bytes() for name in names)


@pytest.mark.parametrize("job", ["two go on as two", "stopped go on", "after a full disk"])
def test_two_ranks_that_go_on_end_with_the_same_bits(jobs: dict[str, Ended], job: str) -> None:
    assert jobs[job].codes == [0, 0]
    assert jobs[job].said() == []
    assert jobs[job].state() == jobs["two"].state()
    assert same_files(jobs[job], jobs["two"])
    rows = jobs[job].tensors()[RANK_BUFFERS]
    assert rows.shape[0] == 2
    assert not torch.equal(rows[0], rows[1]), "each rank has statistics of its own"


@pytest.mark.parametrize(("job", "ranks"), [("two go on as one", 1), ("one goes on as two", 2)])
def test_another_number_of_ranks_goes_on_with_the_same_order_and_step(
    jobs: dict[str, Ended], job: str, ranks: int
) -> None:
    ended = jobs[job]
    assert ended.codes == [0] * ranks
    drawn = together(ended) if ranks == 2 else ended.notes("rank0")
    assert drawn == jobs["one"].notes("rank0")[3:], "from the checkpoint of iteration 3"
    assert newest(ended.run).name == f"{ITERATIONS:08d}"
    difference = f"the run was begun with ranks {3 - ranks} and goes on with {ranks}: same data and order, but not"
    assert len([line for line in ended.said() if difference in line]) == 1


def test_what_is_shipped_holds_the_average_of_the_ranks_statistics(jobs: dict[str, Ended]) -> None:
    shipped = load_file(jobs["shipped"].run / "generator.safetensors")
    rows = jobs["shipped"].tensors()[RANK_BUFFERS]
    assert not torch.equal(rows[0], rows[1])
    # Two BatchNorm layers of 8 and 4 channels, which come first: mean, variance and count of each.
    parts = torch.split(rows.mean(0)[: 8 + 8 + 1 + 4 + 4 + 1], [8, 8, 1, 4, 4, 1])
    layers = sorted((name.partition(".")[0] for name in shipped if name.endswith("running_mean")), key=int)
    names = [f"{layer}.{name}" for layer in layers for name in ("running_mean", "running_var", "num_batches_tracked")]
    for name, part in zip(names, parts, strict=True):
        np.testing.assert_allclose(shipped[name].reshape(-1), part, atol=1e-7, rtol=1e-6, err_msg=name)


def test_the_first_rank_keeps_generators_and_a_checkpoint_of_all_gives_what_it_has_shipped(
    jobs: dict[str, Ended],
) -> None:
    registry.add("dataset", "numbered", rank_parts.Numbered)
    registry.add("loss", "noted", rank_parts.Noted)
    try:
        for job in ("shipped", "two"):
            run = jobs[job].run
            assert generator_of(newest(run), "cpu").data == (run / "generator.safetensors").read_bytes()
    finally:
        registry.remove("dataset", "numbered")
        registry.remove("loss", "noted")
    run = jobs["shipped"].run
    (kept,) = (run / "generators").iterdir()
    assert (kept.name, kept.read_bytes()) == ("00000003.safetensors", (run / "generator.safetensors").read_bytes())


GOES_ON = "the same command with --out goes on from the last checkpoint"
LOSS = r'loss "noted" \(rank-parts 1.0\)'
BROKEN = {
    "SIGTERM to rank 1": ([143, 143], "stopped by SIGTERM at iteration 5; everything is saved in d"),
    "SIGINT to rank 0": ([130, 130], "stopped by Ctrl-C at iteration 5; everything is saved in d"),
    "rank 1 killed": ([1, -9], f"rank 1 ended before the others at iteration 4; what it said, .*; {GOES_ON}"),
    "rank 0 killed": ([-9, 1], f"rank 0 ended before the others at iteration 4; what it said, .*; {GOES_ON}"),
    "rank 1 raises": (
        [1, 1],
        r'loss "noted" \(rank-parts 1.0\) broke down at iteration 4: ValueError: the deed is done',
    ),
    "rank 0 raises": (
        [1, 1],
        r'loss "noted" \(rank-parts 1.0\) broke down at iteration 4: ValueError: the deed is done',
    ),
    "rank 1 without memory": ([1, 1], "rank 1: out of memory on cpu with train.batch_size = 8, .*"),
    "rank 1 stalls": ([1, -9], rf"rank 1 did not answer within 4 s \(train.rank_.*\) at iteration 4; {GOES_ON}"),
    "rank 0 stalls": ([-9, 1], rf"rank 0 did not answer within 4 s \(train.rank_.*\) at iteration 4; {GOES_ON}"),
    "rank 0 without disk": ([1, 1], "cannot write d/.*"),
    "bad picture": ([2, 2], '1 of the 25 pictures of dataset "numbered" cannot be used:'),
    "other pictures": ([2, 2], "rank 1 would train on other pictures than rank 0: start all with the same command .*"),
    "other recipe": ([2, 2], "rank 1 would train another recipe than rank 0: start all with the same command .*"),
    "uneven": ([2, 2], "train.batch_size = 7 cannot be shared evenly by 2 processes; set it to a multiple of 2"),
    "misspelt": ([2, 2], "--set train.batchsize=8: train.batchsize is not an option.* did you mean batch_size.*"),
    "no such option": ([2, 2], "No such option '--zzz'."),
    "started twice": ([2, 2], "--nproc starts the processes itself; under torchrun, leave it out"),
}


@pytest.mark.parametrize("job", BROKEN)
def test_when_a_rank_breaks_all_end_and_one_says_why(
    jobs: dict[str, Ended], job: str, tally: Callable[[str, int], None]
) -> None:
    ended, (codes, sentence) = jobs[job], BROKEN[job]
    assert ended.codes == codes
    spoken = [line for line in ended.said() if line.startswith(("ganlab: ", "Error: ", "Traceback"))]
    assert len(spoken) == 1, ended.err
    assert re.fullmatch(f"(ganlab|Error): {sentence}", spoken[0]), spoken[0]
    assert ended.out == ["", ""]
    tally("broken ranks", 1)


def test_a_signal_to_one_rank_stops_all_at_the_next_tick_with_one_checkpoint(jobs: dict[str, Ended]) -> None:
    for job, options in (("SIGTERM to rank 1", ""), ("SIGINT to rank 0", "")):
        assert newest(jobs[job].run).name == "00000005"
        assert f"go on with: ganlab run r.toml --out d{options} --nproc 2" in jobs[job].said()


def test_no_broken_run_has_left_a_broken_checkpoint(jobs: dict[str, Ended]) -> None:
    for job in ("rank 1 killed", "rank 1 raises", "rank 0 stalls", "rank 0 without disk", "rank 1 without memory"):
        assert newest(jobs[job].run).name == "00000003"
        assert not list(jobs[job].run.rglob(".tmp-*"))


# Runs whose ranks torchrun starts


def test_nproc_ends_when_a_rank_is_killed(jobs: dict[str, Ended]) -> None:
    ended = jobs["killed"]
    assert ended.codes == [1]
    assert ended.said() == [f"ganlab: rank 1 was ended by SIGKILL, as the system does where memory runs out; {GOES_ON}"]


def test_a_signal_to_ranks_and_launcher_saves_once(jobs: dict[str, Ended]) -> None:
    ended = jobs["stopped"]
    assert ended.codes == [143]
    stopped, goes_on = ended.said()
    # In the middle of an iteration that ends with a snapshot, which is broken off where rank 0 has heard of it by then.
    assert stopped.startswith("ganlab: stopped by SIGTERM at iteration 6; everything is saved in d")
    assert goes_on == "go on with: ganlab run r.toml --out d --nproc 2"
    assert newest(ended.run).name == "00000006"


def test_torchrun_restarts_and_ends_with_the_same_bits(jobs: dict[str, Ended]) -> None:
    ended = jobs["restarted"]
    assert ended.codes == [0], ended.err
    assert ended.out[0].count(f"Trained {ITERATIONS} iterations") == 1
    drawn = [len(ended.notes(f"rank{rank}")) for rank in (0, 1)]
    assert drawn == [2 + 3, 1 + 3], "again from iteration 6; rank 0 drew once more before it noticed"
    assert ended.state() == jobs["two"].state()
    assert same_files(ended, jobs["two"])


def test_a_batch_that_the_ranks_do_not_divide_starts_none(jobs: dict[str, Ended]) -> None:
    ended = jobs["uneven start"]
    sentence = "train.batch_size = 8 cannot be shared evenly by 3 processes; set it to a multiple of 3"
    assert (ended.codes, ended.err) == ([2], [f"ganlab: {sentence}\n"])
    assert not ended.run.exists()


def test_the_launcher_passes_on_how_the_ranks_end(jobs: dict[str, Ended]) -> None:
    assert jobs["started"].codes == [0]
    mistake = jobs["started by mistake"]
    assert mistake.codes == [2]
    assert mistake.err[0].count("ganlab: ") == 1
    assert "Traceback" not in mistake.err[0]


# What a machine with a GPU tries out: one rank, which exchanges with itself through NCCL


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("loss", ["noted", "penalised"])
def test_a_group_of_one_on_nccl_equals_a_process_without_a_group(tmp_path: Path, loss: str) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "r.toml").write_text(RECIPE.replace('name = "noted"', f'name = "{loss}"'))
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "1", "-m"]
    environment = environment_for(tmp_path)
    for name, launcher in (("alone", []), ("grouped", torchrun)):
        options = ["--device", "cuda", "--set", "train.deterministic=true"]
        command = [sys.executable, "-m", *launcher, "ganlab", "run", "r.toml", "--out", name, *options]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    alone, grouped = ((newest(tmp_path / name) / "state.safetensors").read_bytes() for name in ("alone", "grouped"))
    assert alone == grouped


def test_the_page_shows_what_its_calculation_gives(capsys: pytest.CaptureFixture[str]) -> None:
    page = DOCS / "clusters.md"
    (block,) = [block for block in blocks(page) if block.language == "python"]
    exec(compile(block.text, "clusters.md", "exec"), {})  # noqa: S102  # our own page
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 8
    table = section(page, "What the exchange costs").splitlines()
    assert all(row in table for row in rows)
