"""The trainings that the pictures are of: each is made once in the work folder, and taken again from there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pictures.recording import Recording, keep, kept, record

ROOT = Path(__file__).parents[2]
TYPED = ("ganlab run quickstart", "ganlab sample --count 64 --seed 7", "ganlab export --onnx")
"""What the recording shows: the first thing that a reader of the front page types, and what comes after it."""


class Trainings:
    """Runs in a folder, with a cache of their own."""

    def __init__(self, work: Path) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.work = work.resolve()
        found = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        self._environment = {**os.environ, "PATH": found, "GANLAB_CACHE": str(self.work / "cache")}

    def recorded(self) -> list[Recording]:
        """Return the quickstart as it was typed, trained on where nobody has yet."""
        file = self.work / "recording.json"
        if not file.exists():
            keep([record(command, self.work, self._environment) for command in TYPED], file)
        return kept(file)

    def quickstart(self) -> Path:
        """Return the run that was recorded."""
        self.recorded()
        return self.work / "runs" / "quickstart" / "0001"

    def clothes(self) -> Path:
        """Return the tutorial's run: its first two blocks are done as a reader does them."""
        run = self.work / "clothes-run"
        if not (run / "generator.safetensors").exists():
            page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
            (self.work / "clothes.py").write_text(_block(page, "python"), encoding="utf-8")
            (self.work / "clothes.toml").write_text(_block(page, "toml"), encoding="utf-8")
            if not (self.work / "clothes").exists():
                self.run(sys.executable, "clothes.py")
        self.run("ganlab", "run", "clothes.toml", "--out", run.name, "--progress", "plain")
        return run

    def conditional(self) -> Path:
        """Return a run whose page has classes; four epochs are enough for that."""
        recipe = ROOT / "plugins" / "conditional" / "recipes" / "conditional_fashion_mnist.toml"
        run = self.work / "conditional"
        self.run("ganlab", "run", str(recipe), "--out", run.name, "--set", "train.epochs=4", "--progress", "plain")
        return run

    def run(self, *words: str) -> None:
        """Run a command in the folder. Raise `SystemExit` where it fails; what it said has been seen."""
        if code := subprocess.run(words, cwd=self.work, env=self._environment, check=False).returncode:
            raise SystemExit(f"{' '.join(words)} in {self.work} ended with {code}")


def _block(page: str, language: str) -> str:
    """Return the first block of a language in a page."""
    return page.partition(f"```{language}\n")[2].partition("```")[0]
