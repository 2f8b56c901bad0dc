"""Writes docs/reference/ from the code: `python scripts/reference`. With --check it only names stale pages."""

from __future__ import annotations

import sys
from pathlib import Path

import checks
import commands
import names
import options
import shipped

ROOT = Path(__file__).parents[2]
PAGES = {
    "options.md": options.page,
    "commands.md": commands.page,
    "recipes.md": shipped.page,
    "names.md": names.page,
    "checks.md": checks.page,
}
NOTICE = "<!-- Written by scripts/reference from the code; do not edit it here. -->"


def main(arguments: list[str]) -> int:
    """Write the pages, or name those that differ from the code; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale = 0
    for name, page in PAGES.items():
        path = ROOT / "docs" / "reference" / name
        text = "\n".join((NOTICE, *page())).rstrip() + "\n"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if arguments:
            print(f"{path.relative_to(ROOT)} is out of date: run python scripts/reference")
            stale = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
