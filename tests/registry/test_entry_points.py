"""Who offers components: read from metadata alone, one distribution at a time, whatever lies on the path."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest
from distributions import MODEL, put

from ganlab.registry.entry_points import Broken, Provider, installed, normalized, strict


def found(*distributions: str) -> list[Provider]:
    """Return what these distributions offer."""
    return [provider for provider in installed()[0] if normalized(provider.distribution) in distributions]


def test_a_component_is_found_without_importing_anything(site: Path) -> None:
    put(site, "toy-plugin", "[ganlab.models]\ntoy = toy_plugin:Toy\n", MODEL)
    assert found("toy-plugin") == [Provider("model", "toy", "toy-plugin", "1.0", "toy_plugin:Toy")]
    assert "toy_plugin" not in sys.modules


def test_of_a_distribution_that_lies_on_the_path_twice_the_first_counts(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "Toy_Plugin", "[ganlab.models]\nold = toy:Toy\n")
    first = tmp_path / "first"
    first.mkdir()
    put(first, "toy-plugin", "[ganlab.models]\nnew = toy:Toy\n", version="2.0")
    monkeypatch.syspath_prepend(first)
    assert found("toy-plugin") == [Provider("model", "new", "toy-plugin", "2.0", "toy:Toy")]


def test_a_first_one_that_offers_nothing_hides_the_second(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "toy", "[ganlab.models]\nold = toy:Toy\n")
    first = tmp_path / "first"
    first.mkdir()
    put(first, "toy", "", version="2.0")
    monkeypatch.syspath_prepend(first)
    assert found("toy") == []


def test_malformed_lines_harm_nobody_else_and_are_told(site: Path) -> None:
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
    )
    put(site, "good", "[ganlab.models]\ntoy = good:Toy\n")
    nameless = site / "nameless-1.0.dist-info"
    nameless.mkdir()
    (nameless / "entry_points.txt").write_text("[ganlab.models]\nx = y:Z\n")
    binary = site / "binary-1.0.dist-info"
    binary.mkdir()
    (binary / "entry_points.txt").write_bytes(b"\xff\xfe[ganlab.models]")
    assert [(offer.distribution, offer.name) for offer in found("bad", "good")] == [("bad", "fine"), ("good", "toy")]
    broken = installed()[1]
    assert [(item.reason, item.kind, item.name) for item in broken if item.distribution == "bad"] == [
        ('entry_points.txt:6: "junk" is not of the form name = module:class', "model", "junk"),
        ('entry_points.txt:7: "Toy" is not a name: up to 64 of a-z, 0-9, _, . and -', None, ""),
        ('entry_points.txt:8: "spaced = no target" is not of the form name = module:class', "model", "spaced"),
        ('offers model "fine" twice; the first counts', None, ""),
        (
            "entry_points.txt:11: this ganlab has no entry points [ganlab.modells]; did you mean ganlab.models?",
            None,
            "",
        ),
    ]
    unreadable = [item.reason for item in broken if item.distribution == "an unreadable distribution"]
    assert len(unreadable) == 2
    assert any(reason.startswith("ValueError: no Name in the METADATA") for reason in unreadable)
    assert any(reason.startswith("UnicodeDecodeError") for reason in unreadable)


def test_of_those_that_offer_nothing_to_ganlab_one_small_file_is_read(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(8):
        put(site, f"other{index}", "[console_scripts]\n" + "".join(f"tool{i} = other:main\n" for i in range(20)))
    put(site, "toy", "[ganlab.models]\ntoy = toy:Toy\n")
    reads: Counter[tuple[str, str]] = Counter()
    read_text = metadata.PathDistribution.read_text

    def counted(distribution: metadata.PathDistribution, file: str) -> str | None:
        folder = Path(str(distribution.locate_file("")))
        if folder == site:
            reads[str(distribution._path.name), file] += 1  # type: ignore[attr-defined]  # it has no other name yet
        return read_text(distribution, file)

    monkeypatch.setattr(metadata.PathDistribution, "read_text", counted)
    assert [offer.name for offer in found("toy")] == ["toy"]
    others = {place: count for place, count in reads.items() if place[0].startswith("other")}
    assert others == {(f"other{index}-1.0.dist-info", "entry_points.txt"): 1 for index in range(8)}
    assert reads["toy-1.0.dist-info", "entry_points.txt"] == 2  # once to see that it offers something


def test_pythons_own_reading_passes_over_what_it_cannot_parse(site: Path) -> None:
    put(site, "bad", "[ganlab.models]\nno equals sign\n")
    put(site, "good", "[ganlab.models]\nfine = good:Toy\n")
    code = (
        "from importlib.metadata import entry_points\n"
        "try: print(entry_points(group='ganlab.models'))\n"
        "except Exception: print('broken')\n"
        "from ganlab.registry.entry_points import forgive_malformed_entry_points\n"
        "forgive_malformed_entry_points()\n"
        "print('fine' in entry_points(group='ganlab.models').names)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "broken\nTrue\n"


def test_what_messages_call_them() -> None:
    provider = Provider("loss", "toy", "toy-plugin", "1.0", "toy:Toy")
    assert provider.origin == "toy-plugin 1.0"
    assert provider.title == 'loss "toy" (toy-plugin 1.0)'
    assert provider._replace(version="").title == 'loss "toy" (toy-plugin)'
    assert Broken("toy", "1.0", "is odd").sentence == "toy 1.0: is odd"
    assert Broken("toy", "", "is odd").sentence == "toy: is odd"


@pytest.mark.parametrize("name", ["toy-plugin", "Toy_Plugin", "toy.plugin", "TOY--_plugin"])
def test_a_distribution_has_one_name(name: str) -> None:
    assert normalized(name) == "toy-plugin"  # PEP 503


@pytest.mark.parametrize(("value", "expected"), [(None, False), ("", False), ("0", False), ("1", True), ("yes", True)])
def test_authors_ask_for_strictness(value: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GANLAB_STRICT_PLUGINS", raising=False)
    if value is not None:
        monkeypatch.setenv("GANLAB_STRICT_PLUGINS", value)
    assert strict() is expected
