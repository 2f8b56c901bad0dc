"""`ganlab plugins`: the list, what it shows of one component, and distributions that are switched off and on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from broken_plugins import AUGMENTATION, LOSS, Plugin, install

from ganlab.cli import main
from ganlab.errors import GanlabError
from ganlab.recipe.options import REQUIRED, UNSET, options_of, snippet
from ganlab.recipe.recipe import make_component, parse_recipe
from ganlab.recipe.toml import parse
from ganlab.registry import registry
from ganlab.registry.disabled import disabled, path
from ganlab.registry.entry_points import Provider

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


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Ended]


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
    for plugin in ("Mild_Plugin", "Mild_Plugin_extra", "picky_plugin", "seeder_one", "seeder_two"):
        sys.modules.pop(plugin, None)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs `ganlab plugins` with arguments, as a new process would."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ganlab", *arguments])
        if "--no-plugins" not in arguments:
            registry.scan()
        try:
            main()
        except SystemExit as error:
            return Ended(int(error.code or 0), *capsys.readouterr())
        return Ended(0, *capsys.readouterr())

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


@pytest.mark.parametrize("provider", [who for who in registry.providers() if who.distribution == "ganlab"], ids=str)
def test_a_snippet_gives_the_defaults(provider: Provider) -> None:
    kind, name = provider[:2]
    cls = registry.get(kind, name)
    text = snippet(provider, cls, name)
    if kind == "exporter":
        settings = [word.strip("'") for word in text.split(" ") if word.startswith("'")]
        assert text.startswith(f"ganlab export --to {name}")
        assert make_component(kind, name, settings) == cls()
        return
    required = {option.name: "somewhere" for option in options_of(cls) if option.default == REQUIRED}
    expected = cls.model_validate_json(json.dumps(required))
    table = parse(text).table
    if kind == "observer":
        assert parse_recipe({"dataset": {"name": "stripes"}, **table}).observers[name] == expected
        return
    table[kind] |= required
    recipe = parse_recipe({"dataset": {"name": "stripes"}, **table})
    assert {"model": recipe.model, "dataset": recipe.dataset, "loss": recipe.loss}[kind] == expected
    written = {option.name for option in options_of(cls) if option.default not in (REQUIRED, UNSET)}
    assert table[kind].keys() == {"name", *required, *written}


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


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("disabled = [", "correct it or delete it"),
        ("disabled = 3", 'must hold nothing but disabled = ["name", ...]; correct it or delete it'),
        ("disabled = [3]", 'must hold nothing but disabled = ["name", ...]'),
        ("other = 3", 'must hold nothing but disabled = ["name", ...]'),
    ],
)
def test_settings_that_are_no_settings_are_named_and_kept(command: Command, text: str, sentence: str) -> None:
    file = Path("config/plugins.toml")
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(GanlabError, match="correct it or delete it") as caught:
        registry.scan()
    assert str(caught.value).startswith(f"{file.absolute()}: ")
    assert sentence in str(caught.value)
    file.unlink()
    registry.scan()


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


SEEDER = f"    import torch\n    torch.manual_seed(7)\n{AUGMENTATION}"


def test_seeding_at_the_import_is_undone_and_said(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", Plugin("seeder-one", "augmentation", "one", SEEDER))
    install(tmp_path / "site", Plugin("seeder-two", "augmentation", "two", SEEDER))
    torch.manual_seed(123)
    torch.rand(3)
    expected = torch.default_generator.get_state()
    registry.scan()
    registry.get("augmentation", "one")
    assert torch.equal(torch.default_generator.get_state(), expected)
    assert torch.initial_seed() == 123
    assert registry.warnings() == [
        'augmentation "one" (seeder-one 1.0) seeds torch\'s random numbers at its import; that was undone'
    ]
    monkeypatch.setenv("GANLAB_STRICT_PLUGINS", "1")
    ended = command("plugins", "show", "augmentation", "two")
    assert ended.code == 2
    assert ended.err.endswith(
        'augmentation "two" (seeder-two 1.0) seeds torch\'s random numbers at its import; '
        "leave that to whoever runs it (GANLAB_STRICT_PLUGINS is set)\n"
    )


def test_help_and_checks_stay_fast_and_without_torch(tmp_path: Path) -> None:
    """The bounds are those of a quiet machine, so what counts is which modules are there."""
    code = (
        "import sys\n"
        "sys.argv[0] = 'ganlab'\n"
        "from ganlab.cli import main\n"
        "try: main()\n"
        "except SystemExit as error: assert not error.code, error.code\n"
        "import json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    for arguments, absent in (
        (["--help"], {"pydantic", "importlib.metadata", "ganlab.registry.lookup", "torch"}),
        (["plugins", "--help"], {"pydantic", "ganlab.registry.lookup", "torch"}),
        (["recipes", "check", "dcgan_mnist"], {"torch", "rich", "numpy", "onnx", "ganlab.recipe.json_schema"}),
    ):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert not absent & set(json.loads(done.stderr)), arguments
