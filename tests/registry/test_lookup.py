"""The registry: names of all kinds to classes, what is left out, what clashes, and what is added by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from broken_plugins import OBSERVER
from distributions import MODEL, only, put, refusal

from ganlab.errors import PluginError
from ganlab.interfaces import Model, Observer
from ganlab.registry import Registry
from ganlab.registry.disabled import write_disabled
from ganlab.registry.entry_points import Provider


class Toy(Observer):
    """An observer of nothing."""

    api = 1


def test_a_component_is_loaded_when_it_is_named_and_once(site: Path) -> None:
    put(site, "toy-plugin", "[ganlab.models]\ntoy = toy_plugin:Toy\n", MODEL)
    registry = only("toy-plugin")
    assert registry.names("model") == ["toy"]
    assert registry.names("loss") == []
    provider = registry.provider("model", "toy")
    assert registry.providers() == registry.providers("model") == [provider]
    assert provider == Provider("model", "toy", "toy-plugin", "1.0", "toy_plugin:Toy")
    assert "toy_plugin" not in sys.modules
    cls = registry.get("model", "toy")
    assert issubclass(cls, Model)
    assert registry.get("model", "Toy_Plugin:toy") is registry.load(provider) is cls
    assert registry.broken() == []


def test_what_is_offered_comes_in_the_order_of_kind_name_and_distribution(site: Path) -> None:
    put(site, "b", "[ganlab.losses]\ny = b:Y\nx = b:X\n[ganlab.models]\nz = b:Z\n")
    put(site, "a", "[ganlab.losses]\nx = a:X\n[ganlab.datasets]\nw = a:W\n")
    found = [(who.kind, who.name, who.distribution) for who in only("a", "b").providers()]
    assert found == [
        ("model", "z", "b"),
        ("dataset", "w", "a"),
        ("loss", "x", "a"),
        ("loss", "x", "b"),
        ("loss", "y", "b"),
    ]


def test_an_unknown_name_comes_with_the_nearest_and_all_that_are_installed(site: Path) -> None:
    put(site, "toy", "[ganlab.models]\ndcgan = toy:Toy\nsngan = toy:Toy\n[ganlab.losses]\nhinge = toy:Toy\n")
    registry = only("toy")
    assert refusal(registry, "model", "dcgn") == (
        'no model "dcgn" is installed; did you mean dcgan? (installed: dcgan, sngan)'
    )
    assert refusal(registry, "model", "hinge") == (
        'no model "hinge" is installed; "hinge" is a loss (installed: dcgan, sngan)'
    )
    assert refusal(registry, "exporter", "tflite") == 'no exporter "tflite" is installed (none is)'
    assert refusal(registry, "model", "other:dcgan") == (
        'no model "other:dcgan" is installed; "dcgan" is offered by toy 1.0'
    )


def test_what_cannot_be_read_is_told_to_who_may_have_meant_it(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(site, "bad", "[ganlab.models]\nwanted\nfine = bad:Toy\n", MODEL)
    registry = only("bad")
    sentence = 'bad 1.0: entry_points.txt:2: "wanted" is not of the form name = module:class'
    assert refusal(registry, "model", "wanted") == f'model "wanted" cannot be used: {sentence}'
    assert refusal(registry, "model", "other") == (
        'no model "other" is installed (installed: fine; broken, see ganlab plugins: bad)'
    )
    assert [item.sentence for item in registry.unreadable()] == [sentence]
    assert registry.broken() == registry.unreadable()
    assert registry.get("model", "fine")
    monkeypatch.setenv("GANLAB_STRICT_PLUGINS", "1")
    assert refusal(registry, "model", "fine") == f"{sentence} (GANLAB_STRICT_PLUGINS is set)"


@pytest.mark.parametrize("name", ["", "a b", "os.path:join:x", "../x", "DCGAN", "x" * 1_000_000, "a\n"])
def test_what_is_no_name_is_refused_before_it_is_looked_up(name: str) -> None:
    message = refusal(only(), "model", name)
    assert "is not the name of a model: that is up to 64 of a-z, 0-9, _, . and -" in message
    assert len(message) < 300


def test_two_providers_are_an_error_that_names_both_and_a_distribution_settles_it(site: Path) -> None:
    put(site, "one", "[ganlab.models]\ntoy = one:Toy\n", MODEL)
    put(site, "two", "[ganlab.models]\ntoy = two:Toy\n", MODEL, version="2.1")
    registry = only("one", "two")
    assert registry.names("model") == ["toy"]
    sentence = 'model "toy" is offered by one 1.0 and two 2.1; write "one:toy" or "two:toy"'
    assert refusal(registry, "model", "toy") == sentence
    assert registry.clashes() == [sentence]
    assert registry.get("model", "two:toy").__module__ == "two"


def test_a_name_of_ganlabs_own_stands_for_that(site: Path) -> None:
    put(site, "again", "[ganlab.losses]\nbce = again:Toy\n", "raise ValueError('never needed')")
    registry = only("ganlab", "again")
    assert registry.get("loss", "bce").__name__ == "BCE"
    assert registry.provider("loss", "again:bce").distribution == "again"
    assert registry.clashes() == [
        'loss "bce" is offered by again 1.0 too, but the name stands for ganlab\'s own; write "again:bce" for the other'
    ]
    assert registry.broken() == []


def test_what_is_left_out_is_told_to_who_names_it(site: Path) -> None:
    put(site, "toy", "[ganlab.models]\ntoy = toy:Toy\n", MODEL)
    registry = only()
    assert [who.distribution for who in registry.left_out() if who.name == "toy"] == ["toy"]
    assert refusal(registry, "model", "toy") == ('model "toy" is offered by toy 1.0, which is left out by --no-plugins')
    write_disabled(["toy"])
    registry.scan()
    assert refusal(registry, "model", "toy") == (
        'model "toy" is offered by toy 1.0, which is disabled: ganlab plugins enable toy'
    )
    write_disabled([])
    assert refusal(registry, "model", "toy")  # what was found once stays until the next scan
    registry.scan()
    assert registry.get("model", "toy")


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


def test_a_component_has_a_title_for_messages(site: Path) -> None:
    put(site, "toy", "[ganlab.observers]\nfar = toy:Toy\n", OBSERVER)
    registry = only("toy")
    registry.add("observer", "near", Toy)
    assert registry.title(registry.get("observer", "far")()) == 'observer "far" (toy 1.0)'
    assert registry.title(Toy()) == 'observer "near" (this process)'
    assert Registry().title(Toy()) == "observer Toy"
