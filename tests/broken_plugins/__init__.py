"""Broken plugins as real distributions: `install(folder)` writes all of them, metadata and modules, into a folder."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

from ganlab.registry.kinds import GROUPS


class Plugin(NamedTuple):
    """A distribution with one module, and what is to be said of it."""

    name: str
    kind: str
    component: str
    code: str
    reason: str = ""
    """What whoever names its component is told, after its kind, name and distribution; nothing where it works."""
    entry_points: str = ""
    """Instead of the one line that names the class `Toy`."""

    @property
    def module(self) -> str:
        return self.name.replace("-", "_")

    @property
    def title(self) -> str:
        return f'{self.kind} "{self.component}" ({self.name} 1.0)'


LOSS = '''
    from ganlab import Loss, Update

    class Toy(Loss):
        """Pulls the logits of real pictures up."""

        api = 1

        def updates(self, networks, batches, iteration):
            batch = next(batches)
            yield Update("discriminator", -networks["discriminator"](batch.real).mean())
            yield Update("generator", networks["generator"](batch.inputs["z"]).square().mean())
'''
OBSERVER = """
    from ganlab import Observer, hookimpl

    class Toy(Observer):
        api = 1

        @hookimpl
        def tick(self, run, tick):
            pass
"""
AUGMENTATION = '''
    from ganlab import Augmentation

    class Toy(Augmentation):
        """Changes nothing."""

        api = 1

        def augment(self, images, state):
            return images
'''


def _importing(code: str) -> str:
    return "cannot be imported from {module}:Toy: " + code


AT_IMPORT = [
    Plugin("import-error", "loss", "import_error", "import nothing_like_this", _importing("ModuleNotFoundError")),
    Plugin("syntax-error", "loss", "syntax_error", "def f(:", _importing("SyntaxError: invalid syntax")),
    Plugin("sys-exit", "loss", "sys_exit", "import sys\nsys.exit(7)", _importing("SystemExit: 7")),
    Plugin("interrupt", "loss", "interrupt", "raise KeyboardInterrupt", _importing("KeyboardInterrupt")),
    Plugin("recursion", "loss", "recursion", "def f():\n    f()\nf()", _importing("RecursionError: maximum recursion")),
    Plugin("no-such-class", "loss", "no_such_class", "Tou = 1", _importing("AttributeError: module 'no_such_class'")),
    Plugin(
        "hostile-error",
        "loss",
        "hostile_error",
        "class Mean(Exception):\n    def __str__(self):\n        raise ValueError\nraise Mean",
        _importing("Mean"),
    ),
    Plugin(
        "escape-codes",
        "loss",
        "escape_codes",
        "raise ValueError('\\x1b[2Jline one\\nline two' + 'x' * 100_000)",
        _importing("ValueError: \\x1b[2Jline one line two"),
    ),
]
OF_THE_WRONG_FORM = [
    Plugin(
        "wrong-signature",
        "observer",
        "wrong_signature",
        OBSERVER.replace("run, tick", "run, nonsense"),
        "tick has no argument nonsense; it has run, tick",
    ),
    Plugin(
        "misspelt-hook",
        "observer",
        "misspelt_hook",
        OBSERVER.replace("def tick", "def tik"),
        "tik is not an event; the events are phase, note, run_start, tick, snapshot, scored, finding, run_end",
    ),
    Plugin("wrong-kind", "model", "wrong_kind", LOSS, "must be a subclass of ganlab.Model alone; it is a loss"),
    Plugin("junk", "model", "junk", "Toy = 42", "must be a class, not an int"),
    Plugin("abstract", "loss", "abstract", LOSS.replace("def updates", "def update"), "does not define updates"),
    Plugin("future-api", "loss", "future_api", LOSS.replace("api = 1", "api = 2"), "was written for api = 2;"),
    Plugin(
        "hostile-class",
        "loss",
        "hostile_class",
        "class Junk:\n    __class__ = property(lambda self: 1 / 0)\nToy = Junk()",
        "cannot be used: ZeroDivisionError: division by zero",
    ),
    Plugin(
        "unknown-type",
        "loss",
        "unknown_type",
        "    from __future__ import annotations\n" + LOSS.replace("api = 1", "api = 1\n        size: Missing = 1"),
        "cannot be used: PydanticUndefinedAnnotation: name 'Missing' is not defined",
    ),
]
BY_METADATA = [
    Plugin("twin-one", "loss", "twin", LOSS),
    Plugin("twin-two", "loss", "twin", LOSS),
    Plugin("dcgan-again", "model", "dcgan", "raise ValueError('never needed')"),
    Plugin(
        "malformed",
        "loss",
        "malformed",
        LOSS,
        'malformed 1.0: entry_points.txt:3: "malformed = no class" is not of the form name = module:class',
        "[ganlab.losses]\nno equals sign\nmalformed = no class\n[ganlab.lossses]\nx = malformed:Toy\n",
    ),
]
WORKING = [
    Plugin("noisy", "loss", "noisy", "    print('hello from noisy')\n" + LOSS),
    Plugin("seeder", "augmentation", "seeder", "    import torch\n    torch.manual_seed(7)\n" + AUGMENTATION),
    Plugin("raiser", "observer", "raiser", OBSERVER.replace("pass", "raise ValueError('tick, tick')")),
    Plugin(
        "breaker",
        "loss",
        "breaker",
        "    import os\n"
        + LOSS.replace(
            "batch = next",
            "if int(iteration.progress * 12 + 0.5) == int(os.environ.get('BREAK', -1)):\n"
            "                raise ValueError('it is Tuesday')\n"
            "            batch = next",
        ),
    ),
    Plugin(
        "stock-layers",
        "model",
        "stock_layers",
        """
        from ganlab import Model

        class Toy(Model):
            api = 1

            def check(self, images):
                pass

            def build(self, images):
                from torch import nn
                size = images.channels * images.height * images.width
                generator = nn.Sequential(
                    nn.Linear(self.latent_dim, size), nn.Tanh(), nn.Unflatten(1, tuple(images[:3]))
                )
                return {"generator": generator, "discriminator": nn.Linear(size + 1, 1)}
        """,
    ),
]
"""What imports, and does harm or not when it is used."""

ALL = AT_IMPORT + OF_THE_WRONG_FORM + BY_METADATA + WORKING
UNREADABLE = {
    "nameless-1.0.dist-info": {"METADATA": b"Version: 1\n", "entry_points.txt": b"[ganlab.losses]\nx = y:Z\n"},
    "binary-1.0.dist-info": {"METADATA": b"\xff\xfe", "entry_points.txt": b"\xff\xfe[ganlab.losses]"},
}
"""Folders of metadata that tell nothing."""


def install(folder: Path, *plugins: Plugin) -> Path:
    """Write the distributions, by default all of them, as an installer leaves them; return the folder."""
    for plugin in plugins or ALL:
        _write(folder, plugin)
    for name, files in {} if plugins else UNREADABLE.items():
        (folder / name).mkdir(parents=True)
        for file, data in files.items():
            (folder / name / file).write_bytes(data)
    return folder


def _write(folder: Path, plugin: Plugin) -> None:
    info = f"{plugin.module}-1.0.dist-info"
    group = next(group for group, kind in GROUPS.items() if kind == plugin.kind)
    entry_points = plugin.entry_points or f"[{group}]\n{plugin.component} = {plugin.module}:Toy\n"
    files = {
        f"{plugin.module}.py": dedent(plugin.code),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {plugin.name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/INSTALLER": "tests\n",
        f"{info}/entry_points.txt": entry_points,
    }
    record = [f"{name},sha256={_digest(text)},{len(text.encode())}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    (folder / info).mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
