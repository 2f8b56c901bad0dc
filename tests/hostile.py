"""Names as a stranger may give them, which would steer a terminal, pass for a line of ours, or be read as markup."""

from __future__ import annotations

LINE = "ganlab: all is well"
NAME = f"\x1b]0;owned\x07\x9b31m\x1b[2J[red]:bomb:\u202egnp.\u2066\r\n{LINE}\n\u2028{LINE}\x85\x7f"
"""A title, colours, an erased screen, rich's markup, letters turned around; a line of ours after each line break."""
TYPED = NAME.replace("\n", "").replace("\r", "")
"""The same without line breaks, as it is completed by a shell."""


def check_harmless(text: str, own: str = "") -> None:
    """Assert that nothing in a text steers a terminal but what matches `own`, and that no line of it is forged."""
    letters = {letter for letter in text if not (letter.isprintable() or letter in "\n\t" or letter in own)}
    assert letters == set()
    assert not any(line.startswith(LINE) for line in text.splitlines())
