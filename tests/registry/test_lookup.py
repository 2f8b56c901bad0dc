"""Finding components: metadata only, one distribution at a time, and every rule of a kind."""

from __future__ import annotations

import io
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ganlab.errors import PluginError
from ganlab.interfaces import Dataset, Loss, Model, Observer
from ganlab.registry import Registry
from ganlab.registry.entry_points import Broken, Provider

MODEL = """
    from ganlab.interfaces import Model

    class Toy(Model):
        api = 1
        def check(self, images): pass
        def build(self, images): return {}
"""


class Toy(Observer):
    """An observer of nothing."""

    api = 1


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path to put distributions into, and what they import is forgotten."""
    before = set(sys.modules)
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def put(site: Path, name: str, entry_points: str, code: str = "", *, version: str = "1.0") -> None:
    """Install a distribution and a module of the same name."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(dedent(entry_points))
    (site / f"{name.replace('-', '_')}.py").write_text(dedent(code))


def only(*distributions: str) -> Registry:
    """A registry that sees these distributions alone."""
    registry = Registry()
    registry.scan(lambda name: name in distributions)
    return registry


def sentence(registry: Registry, kind: Any, name: str) -> str:
    with pytest.raises(PluginError) as caught:
        registry.get(kind, name)
    return str(caught.value)


def test_a_component_is_found_without_importing_anything_and_loaded_when_named(site: Path) -> None:
    put(site, "toy-plugin", "[ganlab.models]\ntoy = toy_plugin:Toy\n", MODEL)
    registry = only("toy-plugin")
    assert registry.names("model") == ["toy"]
    assert registry.names("loss") == []
    assert registry.providers() == [Provider("model", "toy", "toy-plugin", "1.0", "toy_plugin:Toy")]
    assert registry.provider("model", "toy").title == 'model "toy" (toy-plugin 1.0)'
    assert "toy_plugin" not in sys.modules
    cls = registry.get("model", "toy")
    assert issubclass(cls, Model)
    assert registry.get("model", "Toy_Plugin:toy") is cls
    assert registry.broken() == []


def test_an_unknown_name_comes_with_the_nearest_and_all_that_are_installed(site: Path) -> None:
    put(site, "toy", "[ganlab.models]\ndcgan = toy:Toy\nsngan = toy:Toy\n[ganlab.losses]\nhinge = toy:Toy\n")
    registry = only("toy")
    assert sentence(registry, "model", "dcgn") == (
        'no model "dcgn" is installed; did you mean dcgan? (installed: dcgan, sngan)'
    )
    assert sentence(registry, "model", "hinge") == (
        'no model "hinge" is installed; "hinge" is a loss (installed: dcgan, sngan)'
    )
    assert sentence(registry, "exporter", "tflite") == 'no exporter "tflite" is installed (none is)'
    assert sentence(registry, "model", "other:dcgan") == (
        'no model "other:dcgan" is installed; "dcgan" is offered by toy 1.0'
    )


@pytest.mark.parametrize("name", ["", "a b", "os.path:join:x", "../x", "DCGAN", "x" * 1_000_000, "a\n"])
def test_what_is_no_name_is_refused_before_it_is_looked_up(name: str) -> None:
    message = sentence(only(), "model", name)
    assert "is not the name of a model: that is up to 64 of a-z, 0-9, _, . and -" in message
    assert len(message) < 300


def test_two_providers_are_an_error_that_names_both_and_a_distribution_settles_it(site: Path) -> None:
    put(site, "one", "[ganlab.models]\ntoy = one:Toy\n", MODEL)
    put(site, "two", "[ganlab.models]\ntoy = two:Toy\n", MODEL, version="2.1")
    registry = only("one", "two")
    assert registry.names("model") == ["toy"]
    assert sentence(registry, "model", "toy") == (
        'model "toy" is offered by one 1.0 and two 2.1; write "one:toy" or "two:toy"'
    )
    assert registry.get("model", "two:toy").__module__ == "two"


def test_of_a_distribution_that_lies_on_the_path_twice_the_first_counts(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "Toy_Plugin", "[ganlab.models]\nold = toy:Toy\n")
    first = tmp_path / "first"
    first.mkdir()
    put(first, "toy-plugin", "[ganlab.models]\nnew = toy:Toy\n", version="2.0")
    monkeypatch.syspath_prepend(first)
    assert only("toy-plugin").providers() == [Provider("model", "new", "toy-plugin", "2.0", "toy:Toy")]


def test_a_first_one_that_offers_nothing_hides_the_second(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "toy", "[ganlab.models]\nold = toy:Toy\n")
    first = tmp_path / "first"
    first.mkdir()
    put(first, "toy", "", version="2.0")
    monkeypatch.syspath_prepend(first)
    assert only("toy").providers() == []


def test_malformed_lines_harm_nobody_else_and_are_remembered(site: Path) -> None:
    put(
        site,
        "bad",
        """\
        ; a comment
        [console_scripts]
        junk junk

        [ganlab.models]
        junk
        Toy = bad:Toy
        spaced = no target
        fine = bad:Toy
        fine = bad:Other
        [ganlab.modells]
        x = bad:X
        [elsewhere
        """,
        MODEL,
    )
    put(site, "good", "[ganlab.models]\ntoy = good:Toy\n", MODEL)
    nameless = site / "nameless-1.0.dist-info"
    nameless.mkdir()
    (nameless / "entry_points.txt").write_text("[ganlab.models]\nx = y:Z\n")
    binary = site / "binary-1.0.dist-info"
    binary.mkdir()
    (binary / "entry_points.txt").write_bytes(b"\xff\xfe[ganlab.models]")
    registry = only("bad", "good")
    assert [(found.distribution, found.name) for found in registry.providers()] == [("bad", "fine"), ("good", "toy")]
    broken = registry.broken()
    assert [item.reason for item in broken if item.distribution == "bad"] == [
        'entry_points.txt:6: "junk" is not of the form name = module:class',
        'entry_points.txt:7: "Toy" is not a name: up to 64 of a-z, 0-9, _, . and -',
        'entry_points.txt:8: "spaced = no target" is not of the form name = module:class',
        'offers model "fine" twice; the first counts',
        "entry_points.txt:11: this ganlab has no entry points [ganlab.modells]; did you mean ganlab.models?",
    ]
    unreadable = [item.reason for item in broken if item.distribution == "an unreadable distribution"]
    assert len(unreadable) == 2
    assert any(reason.startswith("ValueError: no Name in the METADATA") for reason in unreadable)
    assert any(reason.startswith("UnicodeDecodeError") for reason in unreadable)


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
    assert sentence(registry, "model", "toy") == expected
    assert sentence(registry, "model", "toy") == expected  # remembered
    assert registry.broken() == [Broken("broken", "1.0", expected)]
    assert registry.get("model", "fine")


def test_a_real_interrupt_during_an_import_is_no_fault_of_the_plugin(site: Path) -> None:
    put(site, "slow", "[ganlab.models]\ntoy = slow:Toy\n", "import signal\nsignal.raise_signal(signal.SIGINT)")
    before = signal.getsignal(signal.SIGINT)
    registry = only("slow")
    with pytest.raises(KeyboardInterrupt):
        registry.get("model", "toy")
    assert signal.getsignal(signal.SIGINT) is before
    assert registry.broken() == []


def test_what_a_plugin_prints_at_its_import_goes_to_stderr(site: Path) -> None:
    put(site, "loud", "[ganlab.models]\ntoy = loud:Toy\n", "print('hello')\n" + dedent(MODEL))
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        only("loud").get("model", "toy")
    assert (out.getvalue(), err.getvalue()) == ("", "hello\n")


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
    ],
)
def test_a_class_that_breaks_a_rule_is_refused(site: Path, code: str, reason: str) -> None:
    put(site, "broken", "[ganlab.models]\ntoy = broken:Toy\n", dedent(code))
    assert sentence(only("broken"), "model", "toy") == f'model "toy" (broken 1.0) {reason}'


def test_classes_can_be_added_replaced_and_removed() -> None:
    class Other(Observer):
        api = 1

    registry = only()
    registry.add("observer", "toy", Toy)
    assert registry.get("observer", "toy") is Toy
    assert registry.provider("observer", "toy").origin == "this process"
    registry.add("observer", "toy", Other)
    assert registry.get("observer", "toy") is Other
    assert registry.names("observer") == ["toy"]
    registry.scan(lambda name: False)
    assert registry.get("observer", "toy") is Other
    registry.remove("observer", "toy")
    registry.remove("observer", "toy")
    assert registry.names("observer") == []


def test_an_addition_must_keep_the_rules_and_hides_nothing(site: Path) -> None:
    put(site, "toy", "[ganlab.observers]\ntaken = toy:Toy\n")
    registry = only("toy")
    with pytest.raises(PluginError, match=r'observer "taken" is already offered by toy 1\.0; add yours under another'):
        registry.add("observer", "taken", Toy)
    with pytest.raises(PluginError, match='"A" is not a name'):
        registry.add("observer", "A", Toy)
    with pytest.raises(PluginError, match=r'loss "toy" \(this process\) must be a subclass of ganlab.Loss alone'):
        registry.add("loss", "toy", Toy)
    assert [provider.name for provider in registry.providers()] == ["taken"]


def test_a_scan_of_many_distributions_takes_well_under_a_tenth_of_a_second(site: Path) -> None:
    for index in range(80):
        put(site, f"other{index}", "[console_scripts]\n" + "".join(f"tool{i} = other:main\n" for i in range(20)))
    for index in range(10):
        put(site, f"toy{index}", f"[ganlab.models]\ntoy{index} = toy:Toy\n")
    registry = Registry()
    registry.scan()  # the first reads the folders
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        registry.scan()
        seconds.append(time.perf_counter() - begin)
    assert len([name for name in registry.names("model") if name.startswith("toy")]) == 10
    assert min(seconds) < 0.1


def test_every_kind_has_its_group_and_class() -> None:
    from ganlab.registry.kinds import GROUPS
    from ganlab.registry.loading import BASES

    assert list(GROUPS.values()) == list(BASES)
    assert (BASES["model"], BASES["dataset"], BASES["loss"]) == (Model, Dataset, Loss)
