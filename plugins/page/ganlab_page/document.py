"""The page as one file: its parts joined, the policy that lets nothing else run, and its parts found again."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganlab import ArtefactError
from ganlab_page.runtime import FOLDER, VERSION, packed

WEB = Path(__file__).parent / "web"
SCRIPTS = (
    *("random", "latents", "pixels", "link", "gif", "view", "generator", "engine"),
    *("choices", "sliders", "plane", "gallery", "walk", "card", "main"),
)
"""In the order in which they are joined; the worker is a program of its own."""
ISLANDS = {
    "ort": "ort.wasm.min.js",
    "glue": "ort-wasm-simd-threaded.mjs",
    "wasm": "ort-wasm-simd-threaded.wasm.gz",
    "third-party": "ThirdPartyNotices.txt.gz",
}
"""What lies in the page as gzip in base64, by id."""
FIXED_BYTES = 5_010_000
"""About what a page has without its generator."""


def written(metadata: str, about: Mapping[str, Any], generator: bytes) -> bytes:
    """Return the page: `metadata` is JSON as the host gave it, `about` what the page shows beside, `generator` ONNX."""
    style, script = _text("page.css"), "\n".join(_text(f"{name}.js") for name in SCRIPTS)
    islands = [
        _island("metadata", "application/json", _json_in_html(metadata)),
        _island("page", "application/json", _json_in_html(json.dumps(about))),
        _island("worker", "text/plain", _text("worker.js")),
        *(_island(name, "text/plain", _base64(packed(file))) for name, file in ISLANDS.items()),
        _island("generator", "text/plain", _base64(generator)),
    ]
    parts = {
        "policy": _policy(script, style),
        "title": html.escape(str(about["title"])),
        "style": style,
        "version": VERSION,
        "licence": html.escape((FOLDER / "LICENSE").read_text(encoding="utf-8")),
        "islands": "\n".join(islands),
        "script": script,
    }
    # In one pass: what a title says is no place for another part.
    return re.sub(r"\{\{([a-z]+)\}\}", lambda found: parts[found[1]], _text("page.html")).encode()


def metadata_of(path: Path) -> str:
    """Return the metadata in a page. Raise `ArtefactError` where it is another page, or none."""
    return _found(path, "metadata").decode("utf-8", "replace")


def generator_of(path: Path) -> bytes:
    """Return the ONNX file in a page. Raise `ArtefactError` where it is another page, or damaged."""
    try:
        return base64.b64decode(_found(path, "generator"), validate=True)
    except ValueError as error:
        raise ArtefactError(f"{path}: its generator is damaged; copy or export it again") from error


def _found(path: Path, name: str) -> bytes:
    try:
        page = path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror}") from error
    _, mark, rest = page.partition(f'<script id="{name}" '.encode())
    _, begun, rest = rest.partition(b">")
    content, end, _ = rest.partition(b"</script>")
    if not (mark and begun and end):
        raise ArtefactError(
            f"{path}: is a web page, but none that ganlab export --to page has written: a download may have given an "
            "error page instead; download or export it again"
        )
    return content.strip()


def _policy(script: str, style: str) -> str:
    """Return the Content-Security-Policy: nothing is fetched, and no script runs but ours and onnxruntime's.

    `blob:` is the worker and onnxruntime's module, which the page's own script makes of what lies in the page.
    """
    return (
        f"default-src 'none'; script-src {_hash(script)} blob: 'wasm-unsafe-eval'; worker-src blob:; "
        f"style-src {_hash(style)}; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _island(name: str, kind: str, text: str) -> str:
    return f'<script id="{name}" type="{kind}">{text}</script>'


def _json_in_html(text: str) -> str:
    """Return JSON that means the same and holds nothing that HTML could take for its own."""
    for letter in "<>&":  # which JSON has within texts only
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _text(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")
