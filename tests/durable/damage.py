"""Mutations: of bytes, of nested tables, and of the two files of a checkpoint, sealed anew as a stranger would."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from typing import Any

JUNK: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**53, 2**63, -(2**63), 2**200, 10**300, 0.5, -1.5, 1e308, 1e-320,
    float("nan"), float("inf"), "", "0", "x" * 1000, "../../etc/passwd", "/etc/passwd", "~", "\0", "\x1b[31m",
    "é\u202e", "os:system", "F32", "U8", "X9", [], {}, [[]], [0], [-1, 2**40], [0, 2**62], {"a": {}}, ["x"] * 50,
)  # fmt: skip
"""Values that belong nowhere."""


def mutated_bytes(data: bytes, dice: random.Random) -> bytes:
    """Flip, cut, repeat, insert or overwrite."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at = dice.randrange(len(changed) + 1)
        match dice.randrange(6):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << dice.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                del changed[at : at + dice.randrange(1, 40)]
            case 3:
                changed[at:at] = changed[max(0, at - dice.randrange(60)) : at] * dice.choice((1, 2, 30))
            case 4:
                changed[at:at] = dice.randbytes(dice.randrange(1, 9))
            case _:
                changed[at : at + 8] = struct.pack("<Q", dice.choice((0, 1, 2**20, 2**31, 2**62, 2**63, 2**64 - 1)))
    return bytes(changed)


def mutated_tree(tree: Any, dice: random.Random) -> Any:
    """Replace, drop, rename, double or nest one thing anywhere in tables and lists."""
    if isinstance(tree, dict) and tree and dice.random() < 0.9:
        copy = dict(tree)
        key = dice.choice(list(copy))
        match dice.randrange(8):
            case 0:
                del copy[key]
            case 1:
                copy[dice.choice(("", "x", "..", key.upper(), f"{key}s", "schema", "__metadata__"))] = copy.pop(key)
            case 2:
                copy[key] = dice.choice(JUNK)
            case 3:
                copy[key] = nested(copy[key], dice.choice((1, 30, 400, 2000)))
            case _:
                copy[key] = mutated_tree(copy[key], dice)
        return copy
    if isinstance(tree, list) and tree and dice.random() < 0.7:
        copy_of_list = list(tree)
        at = dice.randrange(len(copy_of_list))
        copy_of_list[at] = mutated_tree(copy_of_list[at], dice)
        return copy_of_list if dice.random() < 0.8 else copy_of_list * 2
    if isinstance(tree, int | float) and not isinstance(tree, bool) and dice.random() < 0.5:
        return dice.choice((tree + 1, tree - 1, -tree, tree * 2**40, float(tree), str(tree)))
    return dice.choice(JUNK)


def nested(value: Any, depth: int) -> Any:
    """Wrap a value in tables."""
    for _ in range(depth):
        value = {"a": value}
    return value


def header_and_data(file: bytes) -> tuple[dict[str, Any], bytes]:
    """Take a safetensors file apart."""
    length = int.from_bytes(file[:8], "little")
    return json.loads(file[8 : 8 + length]), file[8 + length :]


def safetensors_file(header: dict[str, Any] | bytes, data: bytes = b"") -> bytes:
    """Put a safetensors file together, whatever it holds."""
    text = header if isinstance(header, bytes) else dumped(header)
    return struct.pack("<Q", len(text)) + text + data


def dumped(tree: Any) -> bytes:
    """Return JSON of whatever depth the library still writes, else something that is none."""
    try:
        return json.dumps(tree).encode("utf-8", "surrogatepass")
    except RecursionError:
        return b'{"a":' * 5000 + b"1" + b"}" * 5000


def sealed(manifest: dict[str, Any], state: bytes | None = None) -> bytes:
    """Return a manifest's text with the checksums that fit, as a stranger can make it."""
    table = {key: value for key, value in manifest.items() if key != "checksum"}
    if state is not None:
        table |= {"sha256": hashlib.sha256(state).hexdigest(), "bytes": len(state)}
    try:
        table["checksum"] = hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
        return json.dumps(table, indent=1, sort_keys=True).encode() + b"\n"
    except (RecursionError, TypeError):  # too deep for JSON, or keys of several types
        return dumped(table)
