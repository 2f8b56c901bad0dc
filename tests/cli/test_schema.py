"""`ganlab schema`: the same schema on the terminal and in a file."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import Command

from ganlab.recipe.json_schema import DIRECTIVE, FILE, recipe_schema


def test_the_schema_is_written_to_stdout_or_to_a_file(command: Command) -> None:
    expected = recipe_schema().schema
    printed = command("schema")
    assert printed.code == 0
    assert json.loads(printed.out) == expected
    assert command("schema", "--out", FILE).out == f"{FILE}: begin a recipe beside it with {DIRECTIVE}\n"
    assert Path(FILE).read_text() == printed.out
    Path("folder.json").mkdir()
    ended = command("schema", "--out", "folder.json")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith(
        "ganlab: cannot write folder.json: folder.json exists and is not a file"
    )


def test_a_recipe_is_not_overwritten(command: Command, recipe: Path) -> None:
    before = recipe.read_text()
    for out in (str(recipe), "schema"):
        ended = command("schema", "--out", out)
        assert ended.code == 2
        assert ended.err == f"ganlab: {out}: a JSON Schema is a .json file; name one with --out, such as {FILE}\n"
    assert recipe.read_text() == before
    assert not Path("schema").exists()
