"""`ganlab schema`: JSON Schema of a recipe, with which editors complete and check one."""

from __future__ import annotations

from pathlib import Path

import click

from ganlab.cli.output import say


@click.command(short_help="Write the JSON Schema of recipes, for editors.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to write, a .json file, instead of to stdout."
)
def schema(out: Path | None) -> None:
    """Write JSON Schema of a recipe: ganlab's tables and the options of every component that is installed.

    \b
    ganlab schema --out ganlab.schema.json
    #:schema ganlab.schema.json            first line of a recipe in the same folder

    Editors with Taplo (Even Better TOML) or Tombi then complete the recipe, show what options mean, and mark mistakes.
    Names of components that are not installed here are left unchecked.
    """
    import json

    from ganlab.durable import replacing_file
    from ganlab.errors import GanlabError
    from ganlab.recipe.json_schema import FILE, recipe_schema
    from ganlab.regular import named_path

    if out is not None and named_path(out).suffix.lower() != ".json":  # a recipe is what people have at hand here
        raise GanlabError(f"{out}: a JSON Schema is a .json file; name one with --out, such as {FILE}")
    found = recipe_schema()
    for sentence in found.left_open:
        say(f"ganlab: left unchecked: {sentence}", err=True)
    text = json.dumps(found.schema, indent=1) + "\n"
    if out is None:
        say(text, nl=False)
        return
    with replacing_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(f"{out}: begin a recipe beside it with #:schema {out.name}")
