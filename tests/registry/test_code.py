"""What counts as a component's code, and what does not."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from ganlab.registry.code import code_digest


def imported(site: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> type:
    """Import `Toy` anew from a module below a folder, as another process would."""
    monkeypatch.syspath_prepend(site)
    for name in [name for name in sys.modules if name.startswith("coded")]:
        monkeypatch.delitem(sys.modules, name)
    importlib.invalidate_caches()
    found: type = vars(importlib.import_module(module))["Toy"]
    return found


def test_a_package_is_its_code_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = []
    for number, changes in enumerate(
        (
            {},
            {"coded/weights.bin": "other", "coded/__pycache__/x.py": "other"},
            {"coded/deep/layers.py": "B = 2"},
            {"coded/deep/layer.py": "B = 1"},
        )
    ):
        site = tmp_path / str(number)
        files = {"coded/__init__.py": "", "coded/toy.py": "class Toy: pass", "coded/deep/layers.py": "B = 1"}
        for path, text in (files | changes).items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text)
        digests.append(code_digest(imported(site, "coded.toy", monkeypatch)))
    assert None not in digests
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_a_module_alone_is_its_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "coded_alone.py").write_text("class Toy: pass")
    first = code_digest(imported(tmp_path, "coded_alone", monkeypatch))
    (tmp_path / "another.py").write_text("")
    assert code_digest(imported(tmp_path, "coded_alone", monkeypatch)) == first
    (tmp_path / "coded_alone.py").write_text("class Toy: value = 1")
    assert code_digest(imported(tmp_path, "coded_alone", monkeypatch)) != first


def test_what_has_no_file_is_its_class_or_unknown() -> None:
    class Here:
        pass

    class Gone:
        pass

    Here.__module__ = Gone.__module__ = "__main__"
    Gone.__qualname__ = Gone.__name__ = "Elsewhere"
    assert code_digest(Gone) is None
