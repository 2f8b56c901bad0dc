"""What the user has switched off: one small file, in its place, believed only where it is right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganlab.errors import GanlabError, RunError
from ganlab.registry import registry
from ganlab.registry.disabled import disabled, path, write_disabled
from ganlab.registry.entry_points import HOST

FILE = Path("config/plugins.toml")
"""Where the file lies in tests."""


def test_names_are_kept_normalized_and_in_order() -> None:
    assert path() == FILE.absolute()
    assert disabled() == frozenset()
    write_disabled(["Zebra_Plugin", "a.b", "zebra-plugin"])
    assert FILE.read_text().splitlines()[1:] == ['disabled = ["a-b", "zebra-plugin"]']
    assert FILE.read_text().startswith("# What ganlab leaves out.")
    assert disabled() == {"a-b", "zebra-plugin"}
    write_disabled([])
    assert disabled() == frozenset()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("disabled = [", "is not TOML: "),
        ("disabled = 3", 'must hold nothing but disabled = ["name", ...]'),
        ("disabled = [3]", 'must hold nothing but disabled = ["name", ...]'),
        ("other = 3", 'must hold nothing but disabled = ["name", ...]'),
    ],
)
def test_settings_that_are_no_settings_are_named_and_kept(text: str, sentence: str) -> None:
    FILE.parent.mkdir()
    FILE.write_text(text)
    with pytest.raises(GanlabError, match=r"; correct it or delete it$") as caught:
        registry.scan()
    assert str(caught.value).startswith(f"{FILE.absolute()}: {sentence}")
    assert FILE.read_text() == text
    registry.scan(lambda distribution: distribution == HOST)  # which asks for no settings
    FILE.unlink()
    registry.scan()


def test_a_file_that_cannot_be_read_or_written_is_named() -> None:
    FILE.mkdir(parents=True)
    with pytest.raises(GanlabError, match=r"config/plugins\.toml: cannot be read: Is a directory$"):
        disabled()
    with pytest.raises(RunError, match=r"cannot write .*config/plugins\.toml"):
        write_disabled(["toy"])


def test_settings_lie_where_others_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GANLAB_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert path() == tmp_path / "home" / ".config" / "ganlab" / "plugins.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert path() == tmp_path / "xdg" / "ganlab" / "plugins.toml"
    assert disabled() == frozenset()
    (tmp_path / "xdg").write_text("a file where a folder belongs")
    assert disabled() == frozenset()


def test_without_a_home_there_is_no_place_for_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GANLAB_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "nowhere/absolute")
    assert path() is None
    assert disabled() == frozenset()
    with pytest.raises(GanlabError, match="there is no home directory to keep settings in; set GANLAB_CONFIG"):
        write_disabled(["toy"])


def test_a_pipe_or_a_device_in_its_place_is_not_waited_for() -> None:
    FILE.parent.mkdir()
    os.mkfifo(FILE)
    for _ in range(2):
        with pytest.raises(
            GanlabError, match=r"config/plugins\.toml: cannot be read: it is a pipe or a device, not a file"
        ):
            disabled()
        FILE.unlink(missing_ok=True)
        FILE.symlink_to("/dev/zero")
