"""A stranger's code becomes a class: whatever its import does harms nobody else, and every rule of a kind holds."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from broken_plugins import AUGMENTATION, OBSERVER
from distributions import MODEL, only, put, refusal

from ganlab.errors import GanlabError, PluginError
from ganlab.interfaces import Dataset, Loss, Model
from ganlab.registry import Registry
from ganlab.registry.entry_points import Broken, Provider
from ganlab.registry.kinds import GROUPS
from ganlab.registry.loading import BASES, blaming


def test_every_kind_has_its_group_and_class() -> None:
    assert list(GROUPS.values()) == list(BASES)
    assert (BASES["model"], BASES["dataset"], BASES["loss"]) == (Model, Dataset, Loss)


# What an import does


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nothing_like_this", "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("def f(:", "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("import sys; sys.exit(7)", "SystemExit: 7"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("class Other: pass", "AttributeError: module 'broken' has no attribute 'Toy'"),
        ("raise ImportError('two\\nlines')", "ImportError: two lines"),
    ],
)
def test_whatever_an_import_does_it_harms_only_who_names_it(site: Path, code: str, reason: str) -> None:
    put(site, "broken", "[ganlab.models]\ntoy = broken:Toy\n", code)
    put(site, "good", "[ganlab.models]\nfine = good:Toy\n", MODEL)
    registry = only("broken", "good")
    assert registry.names("model") == ["fine", "toy"]
    expected = f'model "toy" (broken 1.0) cannot be imported from broken:Toy: {reason}'
    assert refusal(registry, "model", "toy") == expected
    assert refusal(registry, "model", "toy") == expected  # remembered
    assert registry.broken() == [Broken("broken", "1.0", expected)]
    assert registry.get("model", "fine")


def test_a_real_interrupt_during_an_import_is_no_fault_of_the_plugin(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "slow", "[ganlab.models]\ntoy = slow:Toy\n", "import signal\nsignal.raise_signal(signal.SIGINT)")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        registry = only("slow")
        with pytest.raises(KeyboardInterrupt):
            registry.get("model", "toy")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert registry.broken() == []
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_plugins_own_handler_of_signals_stays(site: Path) -> None:
    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + dedent(MODEL)
    put(site, "deaf", "[ganlab.models]\ntoy = deaf:Toy\n", code)
    before = signal.getsignal(signal.SIGINT)
    try:
        only("deaf").get("model", "toy")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thread_may_load_too(site: Path) -> None:
    put(site, "toy", "[ganlab.models]\ntoy = toy:Toy\n", MODEL)
    registry, found = only("toy"), list[type]()
    thread = threading.Thread(target=lambda: found.append(registry.get("model", "toy")))
    thread.start()
    thread.join()
    assert [cls.__name__ for cls in found] == ["Toy"]


def test_what_a_plugin_prints_at_its_import_goes_to_stderr(site: Path) -> None:
    put(site, "loud", "[ganlab.models]\ntoy = loud:Toy\n", "print('hello')\n" + dedent(MODEL))
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        only("loud").get("model", "toy")
    assert (out.getvalue(), err.getvalue()) == ("", "hello\n")


def seeder(site: Path) -> Registry:
    code = "import torch\ntorch.manual_seed(7)\n" + dedent(AUGMENTATION)
    put(site, "seeder", "[ganlab.augmentations]\none = seeder:Toy\n", code)
    return only("seeder")


def test_seeding_at_the_import_is_undone_and_said(site: Path) -> None:
    registry = seeder(site)
    torch.manual_seed(123)
    torch.rand(3)
    expected = torch.default_generator.get_state()
    assert registry.get("augmentation", "one")
    assert torch.equal(torch.default_generator.get_state(), expected)
    assert torch.initial_seed() == 123
    assert registry.warnings() == [
        'augmentation "one" (seeder 1.0) seeds torch\'s random numbers at its import; that was undone'
    ]


@pytest.mark.parametrize("seeds", [False, True])
def test_a_plugin_that_is_the_first_to_import_torch_is_not_said_to_seed_it(site: Path, seeds: bool) -> None:
    code = "import torch\n" + "torch.manual_seed(7)\n" * seeds + dedent(AUGMENTATION)
    put(site, "first", "[ganlab.augmentations]\none = first:Toy\n", code)
    script = dedent(
        """
        import sys
        from ganlab.registry import registry
        assert "torch" not in sys.modules
        registry.get("augmentation", "one")
        import torch
        print(registry.warnings(), torch.initial_seed() == 7)
        """
    )
    path = os.pathsep.join([str(site), *sys.path])
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    warning = 'augmentation "one" (first 1.0) seeds torch\'s random numbers at its import; that was undone'
    assert ended.stdout == f"{[warning] if seeds else []} False\n"


def test_for_authors_seeding_is_an_error(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_STRICT_PLUGINS", "1")
    assert refusal(seeder(site), "augmentation", "one") == (
        'augmentation "one" (seeder 1.0) seeds torch\'s random numbers at its import; '
        "leave that to whoever runs it (GANLAB_STRICT_PLUGINS is set)"
    )


# What is raised later


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ZeroDivisionError("by their\nleave"), "ZeroDivisionError: by their leave"),
        (SystemExit(3), "SystemExit: 3"),
        (ValueError("\x1b[2J"), r"ValueError: \x1b[2J"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_component_that_breaks_down_is_blamed_by_its_provider(error: BaseException, sentence: str) -> None:
    for who in (Provider("loss", "toy", "toys", "1.0", "toys:Toy"), 'loss "toy" (toys 1.0)'):
        with pytest.raises(PluginError) as caught, blaming(who, "broke down"):
            raise error
        assert str(caught.value) == f'loss "toy" (toys 1.0) broke down: {sentence}'
        assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [GanlabError("a mistake"), KeyboardInterrupt()], ids=lambda value: type(value).__name__
)
def test_what_is_no_fault_of_the_component_comes_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, blaming("toy", "broke down"):
        raise error
    assert caught.value is error


# What a class must be


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("Toy = 3", "must be a class, not an int"),
        ("class Toy: pass", "must be a subclass of ganlab.Model alone; it is not (broken:Toy)"),
        (
            "from ganlab.interfaces import Model as Toy",
            "must be a subclass of ganlab.Model alone; it is not (broken:Toy)",
        ),
        (
            "from ganlab.interfaces import Observer\nclass Toy(Observer):\n    api = 1",
            "must be a subclass of ganlab.Model alone; it is an observer (broken:Toy)",
        ),
        (
            "from ganlab.interfaces import Model, Loss\nclass Toy(Model, Loss):\n    api = 1",
            "must be a subclass of ganlab.Model alone; it is a model and a loss (broken:Toy)",
        ),
        (MODEL.replace("api = 1", ""), "must state `api = 1` in the body of its class Toy"),
        (MODEL.replace("api = 1", "api = True"), "must state `api = 1` in the body of its class Toy"),
        (MODEL + "    class Other(Toy): pass\n    Toy = Other", "must state `api = 1` in the body of its class Other"),
        (
            MODEL.replace("api = 1", "api = 2"),
            "was written for api = 2; this ganlab has api = 1: install a newer ganlab",
        ),
        (
            MODEL.replace("api = 1", "api = 0"),
            "was written for api = 0; this ganlab has api = 1: install a newer version of broken",
        ),
        (MODEL.replace("def build", "def bild"), "does not define build"),
        (
            MODEL.replace("api = 1", "api = 1\n        name: str = 'x'"),
            'has an option "name"; that key names the component itself, call the option otherwise',
        ),
        (
            MODEL.replace("api = 1", "api = 1\n        networks = ('net',)"),
            'must have "generator" among its networks: that is what is shipped',
        ),
        (
            MODEL.replace("api = 1", "api = 1\n        networks = ('generator')"),
            "states networks = 'generator'; it must be a tuple of names of letters, digits and \"_\", such as "
            'networks = ("critic",)',
        ),
        (
            MODEL.replace("api = 1", "api = 1\n        networks = ('generator', 'a/b')"),
            "states networks = ('generator', 'a/b'); it must be a tuple of names of letters, digits and \"_\", such as "
            'networks = ("critic",)',
        ),
        (
            MODEL.replace("api = 1", "api = 1\n        networks = ('generator', 'generator')"),
            "states networks = ('generator', 'generator'), in which a name stands twice",
        ),
    ],
)
def test_a_class_that_breaks_a_rule_is_refused(site: Path, code: str, reason: str) -> None:
    put(site, "broken", "[ganlab.models]\ntoy = broken:Toy\n", dedent(code))
    assert refusal(only("broken"), "model", "toy") == f'model "toy" (broken 1.0) {reason}'


@pytest.mark.parametrize(
    ("better", "shown"),
    [("", "None"), ("better = 'smaller'", "'smaller'"), ("better = {}", "{}"), ("better = {'n': 1}", "{'n': 1}")],
)
def test_a_metric_says_which_of_its_numbers_are_better(site: Path, better: str, shown: str) -> None:
    code = f"""
    from ganlab import Metric

    class Toy(Metric):
        api = 1
        {better}
        def compute(self, comparison): ...
    """
    put(site, "broken", "[ganlab.metrics]\ntoy = broken:Toy\n", dedent(code))
    assert refusal(only("broken"), "metric", "toy") == (
        f'metric "toy" (broken 1.0) states better = {shown}; it must be "lower", "higher" or "neither", or a mapping '
        "from the names of its numbers to one of these"
    )


@pytest.mark.parametrize(
    ("brings", "reason"),
    [
        (
            "('k')",
            "states brings = 'k'; it must be a tuple of names of letters, digits and \"_\", such as "
            'brings = ("critic",)',
        ),
        ("('k', 'k')", "states brings = ('k', 'k'), in which a name stands twice"),
        (
            "('k', 'generator')",
            "states generator among its networks, which are the model's, and in what it brings along: take it out of "
            "`networks`",
        ),
    ],
)
def test_what_a_loss_brings_has_names_of_its_own(site: Path, brings: str, reason: str) -> None:
    code = f"""
        from ganlab.interfaces import Loss
        class Toy(Loss):
            api = 1
            brings = {brings}
            def updates(self, networks, batches, iteration):
                yield
    """
    put(site, "broken", "[ganlab.losses]\ntoy = broken:Toy\n", dedent(code))
    assert refusal(only("broken"), "loss", "toy") == f'loss "toy" (broken 1.0) {reason}'


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "def tick",
            "def tik",
            "tik is not an event; the events are phase, note, run_start, tick, snapshot, scored, finding, run_end",
        ),
        ("run, tick", "run, weather, wind", "tick has no argument weather, wind; it has run, tick"),
        ("@hookimpl", "@hookimpl(wrapper=True)", "tick: observers are called one by one; @hookimpl takes no wrapper"),
        ("@hookimpl", "@hookimpl(tryfirst=True)", "tick: observers are called one by one; @hookimpl takes no tryfirst"),
    ],
)
def test_a_hook_that_breaks_a_rule_is_refused(site: Path, old: str, new: str, reason: str) -> None:
    put(site, "broken", "[ganlab.observers]\ntoy = broken:Toy\n", OBSERVER.replace(old, new))
    expected = f'observer "toy" (broken 1.0): {reason}'
    assert refusal(only("broken"), "observer", "toy") == expected


def test_a_hook_may_leave_arguments_out_and_have_defaults_of_its_own(site: Path) -> None:
    put(site, "toy", "[ganlab.observers]\ntoy = toy:Toy\n", OBSERVER.replace("run, tick", "tick, mood='calm'"))
    assert only("toy").get("observer", "toy").__name__ == "Toy"
