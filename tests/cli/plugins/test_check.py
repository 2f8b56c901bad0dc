"""`ganlab plugins check`: what it prints and how it ends, for names and for folders that are not installed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from stand_ins import make

from ganlab import GanlabError
from ganlab.cli.plugins.check import check
from ganlab.registry import registry

PYPROJECT = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "ganlab-toy"
    version = "1.2"

    [project.entry-points."ganlab.observers"]
    counter = "checked_toy:Counter"
"""
MODULE = '''
    from ganlab import Observer, hookimpl

    class Counter(Observer):
        """Counts ticks."""
        api = 1
        _count: int = 0

        @hookimpl
        def tick(self):
            self._count += 1
            print("tick", self._count)
'''
ENERGY = '''
    from typing import ClassVar
    from ganlab import Loss, Model, Update

    class Energy(Model):
        """A generator, and a network that gives pictures an energy."""
        api = 1
        networks: ClassVar[tuple[str, ...]] = ("generator", "energy")
        width: int = 4
        """How wide its layers are."""

        def check(self, images):
            if images.height != 8:
                raise ValueError("make pictures of 8x8")

        def build(self, images):
            from torch import nn
            shape = images[:3]
            G = nn.Sequential(nn.Linear(self.latent_dim, 64 * shape[0]), nn.Tanh(), nn.Unflatten(1, shape))
            return {"generator": G, "energy": nn.Sequential(nn.Flatten(), nn.Linear(64 * shape[0], 1))}

    class Contrast(Loss):
        """Low energy for the data, high energy for what is generated."""
        api = 1
        networks: ClassVar[tuple[str, ...]] = ("generator", "energy")

        def updates(self, networks, batches, iteration):
            G, E = networks["generator"], networks["energy"]
            batch = next(batches)
            fake = G(batch.inputs["z"])
            yield Update("energy", E(batch.real).mean() - E(fake.detach()).mean())
            yield Update("generator", E(fake).mean())
'''


class Ended(NamedTuple):
    code: int
    out: str
    err: str
    message: str


Command = Callable[..., Ended]


@pytest.fixture
def command() -> Iterator[Command]:
    """Return a function that runs `ganlab plugins check` with arguments, as `main` would end it."""
    before = set(sys.modules)
    path = list(sys.path)

    def run(*arguments: object) -> Ended:
        result = CliRunner().invoke(check, [str(argument) for argument in arguments])
        error = result.exception
        if error is not None and not isinstance(error, GanlabError | SystemExit):
            raise error
        message = str(error) if isinstance(error, GanlabError) else ""
        code = error.exit_code if isinstance(error, GanlabError) else result.exit_code
        return Ended(code, result.stdout, result.stderr, message)

    yield run
    assert sys.path == path
    for name in set(sys.modules) - before:
        if name.startswith("checked_"):
            del sys.modules[name]


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a plugin's folder."""

    def write(pyproject: str = PYPROJECT, module: str = MODULE, place: str = "checked_toy.py") -> Path:
        folder = tmp_path / "toy"
        (folder / place).parent.mkdir(parents=True)
        (folder / "pyproject.toml").write_text(dedent(pyproject))
        (folder / place).write_text(dedent(module))
        return folder

    return write


def test_a_folder_is_checked_without_being_installed(command: Command, project: Callable[..., Path]) -> None:
    folder = project(place="src/checked_toy/__init__.py")
    ended = command(folder)
    assert ended.code == 0, ended
    assert ended.out.splitlines()[0] == 'observer "counter" (ganlab-toy 1.2)'
    assert "  ok      events         It survives every event of a run.\n" in ended.out
    assert ended.out.endswith("\n9 checks, none failed\n")
    assert "tick 1" not in ended.out, "what a component prints goes to stderr"
    assert ended.err.startswith(f"importing ganlab-toy 1.2 from {folder}, which runs its code\n")
    assert "counter" not in registry.names("observer"), "nothing is left behind"


def test_the_pyproject_itself_names_its_folder(command: Command, project: Callable[..., Path]) -> None:
    assert command(project() / "pyproject.toml").code == 0


def test_a_failure_says_what_to_change_and_ends_with_2(command: Command, project: Callable[..., Path]) -> None:
    ended = command(project(module=MODULE.replace("self._count += 1", "self._count += 1 / 0")))
    assert ended.code == 2
    assert "  failed  events         it failed at tick: ZeroDivisionError: division by zero; a run tells" in ended.out
    assert "  -       random         not checked, because events did not pass\n" in ended.out
    assert ended.message == "1 of 9 checks failed"


def test_what_cannot_be_loaded_is_one_failure(command: Command, project: Callable[..., Path]) -> None:
    ended = command(project(module="import nowhere_to_be_found"))
    assert ended.code == 2
    assert "  failed  load           " in ended.out
    assert "No module named 'nowhere_to_be_found'" in ended.out
    assert ended.message == "1 of 1 checks failed"


def test_a_model_is_tried_with_the_loss_beside_it(command: Command, project: Callable[..., Path]) -> None:
    points = """
        [project]
        name = "ganlab-toy"
        [project.entry-points."ganlab.losses"]
        contrast = "checked_energy:Contrast"
        [project.entry-points."ganlab.models"]
        energy = "checked_energy:Energy"
    """
    folder = project(points, ENERGY, "checked_energy.py")
    ended = command(folder, "--set", "energy.latent_dim=6")
    assert ended.code == 0, ended
    assert 'model "energy" (ganlab-toy 0)' in ended.out
    assert "  ok      onnx " in ended.out
    assert (
        "  -       optimum        not checked: an optimum is known for discriminator and generator only\n" in ended.out
    )
    ended = command(folder, "--set", "latent_dim=6")
    assert ended.message == (
        "--set latent_dim: several components are checked, so begin with the name of one: energy, contrast"
    )
    assert command(folder, "--with", "contrst").message.startswith(
        'no loss "contrst" is installed; did you mean contrast'
    )


def test_a_plugin_in_a_folder_is_tried_with_what_another_distribution_offers(
    command: Command, project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "checked_other.py").write_text(
        "from ganlab.standard.losses.bce import BCE\nclass Mild(BCE):\n    'Binary cross-entropy.'\n    api = 1\n"
    )
    metadata = other / "ganlab_other-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ganlab-other\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[ganlab.losses]\nmild = checked_other:Mild\n")
    monkeypatch.syspath_prepend(str(other))
    registry.scan()
    points = """
        [project]
        name = "ganlab-toy"
        [project.entry-points."ganlab.models"]
        energy = "checked_energy:Energy"
    """
    folder = project(
        points,
        ENERGY.replace('"energy")', '"discriminator")').replace('"energy":', '"discriminator":'),
        "checked_energy.py",
    )
    try:
        ended = command(folder, "--with", "mild")
    finally:
        monkeypatch.undo()
        registry.scan()
    assert "is offered by" not in ended.message
    assert "  ok      iteration " in ended.out


PAIR = '''
    from ganlab import Loss, Model, Update

    class Pair(Model):
        """Two layers."""
        api = 1

        def check(self, images):
            if images[:3] != (1, 8, 8):
                raise ValueError("make pictures of 8x8")

        def build(self, images):
            from torch import nn
            G = nn.Sequential(nn.Linear(self.latent_dim, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
            return {"generator": G, "discriminator": nn.Sequential(nn.Flatten(), nn.Linear(64, 1))}

    class Own(Loss):
        """What the pair is meant to be trained with."""
        api = 1

        def updates(self, networks, batches, iteration):
            G, D = networks["generator"], networks["discriminator"]
            batch = next(batches)
            fake = G(*batch.inputs.values())
            yield Update("discriminator", D(fake.detach()).mean() - D(batch.real).mean())
            YIELD
'''


@pytest.mark.parametrize(
    ("last", "check", "sentence"),
    [
        ("yield Update('generator', -D(fake).mean())", None, ""),
        (
            "yield 'generator', -D(fake).mean()",
            "iteration",
            r"yields a tuple: write yield Update\(.*\(checked_pair\.py:26\)",
        ),
        ("1 / 0", "iteration", r"\(checked_pair\.py:21\): ZeroDivisionError: division by zero \(checked_pair\.py:26\)"),
        ("", "gradients", r"\(checked_pair\.py:21\): generator\.0\.weight, .* never get a gradient"),
    ],
    ids=["good", "tuple", "raises", "idle"],
)
def test_a_model_is_trained_with_its_own_loss_and_each_failure_names_it(
    command: Command, project: Callable[..., Path], last: str, check: str | None, sentence: str
) -> None:
    points = """
        [project]
        name = "ganlab-toy"
        [project.entry-points."ganlab.losses"]
        own = "checked_pair:Own"
        [project.entry-points."ganlab.models"]
        pair = "checked_pair:Pair"
    """
    ended = command(project(points, PAIR.replace("YIELD", last), "checked_pair.py"))
    model = ended.out.partition('loss "own"' + " (ganlab-toy 0)\n")[0] if check is None else ended.out
    failed = [line for line in model.splitlines() if line.startswith("  failed")]
    if check is None:
        assert failed == []
        return
    named = next(line for line in failed if line.split()[1] == check)
    assert re.search(r'loss "own" \(ganlab-toy 0\) ' + sentence, named), named


@pytest.mark.parametrize(
    ("pyproject", "sentence"),
    [
        ("[project]\nname = 'toy'", "pyproject.toml offers no component: name each under its kind"),
        (
            PYPROJECT.replace("observers", "observer"),
            "entry points [ganlab.observer]; did you mean ganlab.observers?",
        ),
        (PYPROJECT.replace("checked_toy:Counter", "checked_toy"), '"counter = checked_toy" is not of the form name ='),
    ],
)
def test_a_pyproject_that_offers_nothing_says_why(
    command: Command, project: Callable[..., Path], pyproject: str, sentence: str
) -> None:
    ended = command(project(pyproject))
    assert ended.code == 2
    assert sentence in ended.message


def test_an_installed_component_is_checked_by_its_name(command: Command) -> None:
    ended = command("metrics")
    assert ended.code == 0
    assert ended.out.startswith('observer "metrics" (ganlab ')
    assert ended.out.count("\n  ok ") == 9
    assert command("ganlab:metrics").out == ended.out


def test_a_loss_is_tried_on_the_model_that_is_named(command: Command) -> None:
    ended = command("bce", "--with", "dcgan", "--set", "real_label=0.9")
    assert ended.code == 0, ended
    assert "  ok      optimum " in ended.out


def test_an_unknown_name_comes_with_the_nearest(command: Command) -> None:
    ended = command("metrcs")
    assert ended.code == 2
    assert ended.message == (
        '"metrcs" is no installed component or distribution, and no folder with a pyproject.toml; did you mean '
        "metrics? (ganlab plugins lists what is installed)"
    )
    assert "did you mean metrics?" in command("ganlab:metrcs").message


def test_options_are_given_as_to_a_run(command: Command, tmp_path: Path) -> None:
    ended = command("image_folder")
    assert ended.code == 2
    assert "root has no default" in ended.out or "it finds no pictures here" in ended.out
    make("image_folder", tmp_path / "pictures")
    ended = command("image_folder", "--set", f"root={tmp_path / 'pictures'}", "--set", "resolution=8")
    assert ended.code == 0, ended
    assert "  ok      packing " in ended.out
    ended = command("image_folder", "--set", "root=pictures", "--set", "resolutoin=8")
    assert (
        "  failed  defaults       options: resolutoin is not an option of dataset ImageFolder; did you mean"
        in ended.out
    )
