"""JavaScript of pages, run by node without a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NODE = shutil.which("node") or ""
MISSING = "" if NODE else "no node is installed: apt-get install nodejs"


def answer(files: Sequence[Path], script: str, given: object = None) -> Any:
    """Return what `script`, an expression that sees `given` and what the files define, is worth, by way of JSON."""
    assert NODE, MISSING
    program = "\n".join(path.read_text(encoding="utf-8") for path in files)
    program += f"\nconst given = {json.dumps(given)};\nprocess.stdout.write(JSON.stringify({script}));"
    done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
