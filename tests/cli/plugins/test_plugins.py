"""`ganlab plugins`: the list, what it shows of one component, and distributions that are switched off and on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from broken_plugins import AUGMENTATION, LOSS, Plugin, install
from command_line import Command, Ended

from ganlab.recipe.toml import parse
from ganlab.registry import registry
from ganlab.registry.disabled import disabled, path

PICKY = '''
    from pathlib import Path
    from pydantic import PositiveInt
    from ganlab import Loss

    class Toy(Loss):
        """Wants much (Nobody et al. 2020). And more."""

        api = 1

        size: PositiveInt
        """How large."""
        ratio: float | None = None
        """How round. Unset: not at all."""
        root: Path = Path("data")
        """Where."""

        def updates(self, networks, batches, iteration):
            yield from ()
'''


@pytest.fixture(autouse=True)
def _strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two distributions beside ganlab and whatever else this machine has."""
    site = install(
        tmp_path / "site",
        Plugin("Mild_Plugin", "loss", "mild", LOSS),
        Plugin("Mild_Plugin-extra", "augmentation", "mild", AUGMENTATION),
        Plugin("picky-plugin", "loss", "picky", PICKY),
    )
    monkeypatch.syspath_prepend(site)
    registry.scan()
    yield
    monkeypatch.undo()
    registry.scan(lambda distribution: True)
    for plugin in ("Mild_Plugin", "Mild_Plugin_extra", "picky_plugin"):
        sys.modules.pop(plugin, None)


@pytest.fixture
def command(command: Command) -> Command:
    """Return a function that runs `ganlab` with arguments, and looks at the distributions anew as a process would."""

    def run(*arguments: str) -> Ended:
        if "--no-plugins" not in arguments:
            registry.scan()
        return command(*arguments)

    return run


def test_the_list_has_a_row_a_component(command: Command) -> None:
    ended = command("plugins")
    assert (ended.code, ended.err) == (0, "")
    heading, *rows = ended.out.partition("\n\n")[0].splitlines()
    assert heading.split() == ["kind", "name", "from", "what", "it", "is"]
    (row,) = [row for row in rows if row.split()[:2] == ["loss", "picky"]]
    assert row[heading.index("from") :].split("  ")[0] == "picky-plugin 1.0"
    assert row[heading.index("what it is") :] == "Wants much (Nobody et al. 2020)."
    assert len(rows) == len(registry.providers())
    for provider in registry.providers():
        assert any(row.split()[:2] == [provider.kind, provider.name] and provider.origin in row for row in rows)
    assert "Broken:" not in ended.out or "picky" not in ended.out.partition("Broken:")[2]


def test_show_prints_every_option_with_type_bounds_default_and_meaning(command: Command) -> None:
    ended = command("plugins", "show", "loss", "picky")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == 'loss "picky" (picky-plugin 1.0)'
    assert lines[1].startswith("picky_plugin:Toy in /")
    assert lines[1].endswith("/site/picky_plugin.py")
    assert ended.out.partition("\n\n")[2] == (
        "Wants much (Nobody et al. 2020). And more.\n\n"
        "Options:\n"
        "  size = required\n      a whole number above 0. How large.\n"
        "  ratio = unset\n      a number. How round. Unset: not at all.\n"
        '  root = "data"\n      a path. Where.\n\n'
        '[loss]\nname = "picky"\n'
        "# size =   required: a whole number above 0\n"
        "# ratio =   unset: a number\n"
        'root = "data"\n'
    )
    assert "It has no options." in command("plugins", "show", "loss", "mild").out
    assert 'name = "mild_plugin:mild"' in command("plugins", "show", "loss", "mild_plugin:mild").out
    ended = command("plugins", "show", "loss", "pickky")
    assert ended.code == 2
    assert "did you mean picky?" in ended.err


def test_a_disabled_distribution_is_left_out_until_it_is_enabled(command: Command) -> None:
    ended = command("plugins", "disable", "mild-plugin")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "Mild_Plugin is disabled; ganlab plugins enable Mild_Plugin takes that back\n"
    assert path() == Path("config/plugins.toml").absolute()
    assert parse(Path("config/plugins.toml").read_bytes()).table == {"disabled": ["mild-plugin"]}

    ended = command("plugins")
    assert "\nDisabled (ganlab plugins enable NAME):\n  Mild_Plugin 1.0: loss mild\n" in ended.out
    assert not any(row.startswith("loss          mild ") for row in ended.out.splitlines())
    assert any(row.startswith("augmentation  mild ") for row in ended.out.splitlines())
    ended = command("plugins", "show", "loss", "mild")
    assert ended.code == 2
    assert ended.err == (
        'ganlab: loss "mild" is offered by Mild_Plugin 1.0, which is disabled: ganlab plugins enable Mild_Plugin\n'
    )
    assert command("plugins", "disable", "Mild_Plugin").out == "Mild_Plugin is disabled already\n"
    assert command("plugins", "disable", "picky.plugin").code == 0
    assert disabled() == {"mild-plugin", "picky-plugin"}

    assert command("plugins", "enable", "MILD_plugin").out == "Mild_Plugin is enabled\n"
    assert command("plugins", "enable", "mild-plugin").out == "Mild_Plugin is not disabled\n"
    assert disabled() == {"picky-plugin"}
    assert command("plugins", "show", "loss", "mild").code == 0


def test_a_distribution_that_is_gone_can_still_be_enabled(command: Command) -> None:
    (Path("config")).mkdir()
    Path("config/plugins.toml").write_text('disabled = ["long-gone"]\n')
    assert command("plugins", "enable", "Long.Gone").out == "Long.Gone is enabled\n"
    assert disabled() == frozenset()


def test_no_plugins_leaves_ganlab_alone_and_needs_no_settings(command: Command) -> None:
    (Path("config")).mkdir()
    Path("config/plugins.toml").write_text("this is no TOML")
    ended = command("--no-plugins", "plugins")
    assert ended.code == 0
    assert "\nLeft out by --no-plugins:\n" in ended.out
    assert "  picky-plugin 1.0: loss picky\n" in ended.out
    ended = command("--no-plugins", "plugins", "show", "loss", "picky")
    assert ended.err == 'ganlab: loss "picky" is offered by picky-plugin 1.0, which is left out by --no-plugins\n'


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["disable", "ganlab"], "ganlab itself cannot be disabled; a recipe switches an observer off with name = fal"),
        (["disable", "pickyplugin"], '"pickyplugin" is no distribution with components; did you mean picky-plugin?'),
        (["disable", "picky"], '"picky" is no distribution with components; did you mean picky-plugin?'),
        (["disable", "numpy"], '"numpy" is no distribution with components (installed: '),
        (["enable", "pickyplugin"], "did you mean picky-plugin?"),
        (["disable"], "Missing argument 'NAME'"),
    ],
)
def test_a_name_that_is_none_is_refused(command: Command, arguments: list[str], sentence: str) -> None:
    ended = command("plugins", *arguments)
    assert ended.code == 2
    assert sentence in ended.err
    assert not Path("config").exists()
