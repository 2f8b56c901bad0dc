"""How text from the code is written in Markdown."""

from __future__ import annotations

import html
import re


def prose(text: str | None) -> str:
    """Return a docstring as paragraphs, each on one line."""
    paragraphs = re.split(r"\n\s*\n", (text or "").strip())
    return "\n\n".join(safe(" ".join(paragraph.split())) for paragraph in paragraphs)


def cell(text: str) -> str:
    """Return text as it can stand in a table. Code with a bar in it is HTML: no sign for it fits all readers there."""
    one_line = safe(" ".join(text.split()))
    return re.sub(r"`([^`]*\|[^`]*)`", lambda code: f"<code>{html.escape(code[1])}</code>", one_line).replace(
        "|", "&#124;"
    )


def safe(text: str) -> str:
    """Keep what stands in angle brackets, outside code, from being taken for HTML."""
    return re.sub(r"(`[^`]*`)|<", lambda match: match[1] or "&lt;", text)


def linked(text: str) -> str:
    """Make links of bare addresses."""
    return re.sub(r"https?://[^\s),]+", r"<\g<0>>", text)
