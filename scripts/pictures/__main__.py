"""Makes the pictures of the documentation: `python scripts/pictures WORK [PICTURE...]`. Without WORK it lists them.

WORK is a folder for the trainings that the pictures are of; each is made once, and taken from there the next time.
With PICTURE, a path below the repository, only that is made. Pictures of pages need Chromium, and the page of a
generator `pip install ./plugins/page ./plugins/conditional`; the recording of a terminal needs `pip install pyte`.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]  # Chromium is driven as the tests drive it

from pictures.catalogue import LARGEST_BYTES, LONGER, MADE  # noqa: E402  # beside this script
from pictures.trainings import ROOT, Trainings  # noqa: E402


def main(arguments: list[str]) -> int:
    """Make pictures, or list them; return the exit code."""
    if not arguments:
        print(__doc__)
        for title, commands in (
            ("made here", {name: made.command for name, made in MADE.items()}),
            ("made by hand of what these commands leave, for they take long", LONGER),
        ):
            print(f"{title}:", *(f"  {name}\n      {command}" for name, command in commands.items()), sep="\n")
        return 0
    work, *wanted = arguments
    if unknown := [name for name in wanted if name not in MADE]:
        print(f"{unknown[0]} is not made here; python scripts/pictures lists what is", file=sys.stderr)
        return 2
    trainings = Trainings(Path(work))
    for name in wanted or MADE:
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        MADE[name].make(trainings, path)
        size = path.stat().st_size
        print(f"{name}  {size / 1000:,.0f} kB")
        if size > LARGEST_BYTES:
            print(f"{name} is larger than {LARGEST_BYTES:,} bytes: make it smaller", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
