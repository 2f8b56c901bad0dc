"""onnxruntime-web, which computes the generator in the page: its files, whose digests are compared at each reading."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

from ganlab import PluginError

VERSION = "1.30.0"
FOLDER = Path(__file__).parent / "onnxruntime_web"
DIGESTS = {
    "ort.wasm.min.js": "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm.gz": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    "LICENSE": "2f07c72751aed99790b8a4869cf2311df85a860b22ded05fa22803587a48922c",
    "ThirdPartyNotices.txt.gz": "143764b952fdb1a7c69ce653bfba74a7744d6a8a573bfb73e235fba356c83de3",
}
"""SHA-256 of what they hold, unpacked, for programs pack the same bytes differently. `fetch` gets the files again."""


def packed(name: str) -> bytes:
    """Return a file as gzip, once its content has been compared. Raise `PluginError` where it is another one."""
    try:
        data = (FOLDER / name).read_bytes()
        content = gzip.decompress(data) if name.endswith(".gz") else data
    except (OSError, EOFError, zlib.error) as error:
        raise PluginError(f"{FOLDER / name}: cannot be read ({error}); install ganlab-page again") from error
    compare(name, content)
    return data if name.endswith(".gz") else gzip.compress(data, 9, mtime=0)


def compare(name: str, content: bytes) -> None:
    """Raise `PluginError` where `content` is not what the file of that name holds."""
    if hashlib.sha256(content).hexdigest() != DIGESTS[name]:
        raise PluginError(f"{name} is not that of onnxruntime-web {VERSION}; install ganlab-page again")
