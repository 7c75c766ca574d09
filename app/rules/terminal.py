"""Foreign text made safe for a terminal, which takes control characters for commands: titles, colours, a cleared screen."""

from __future__ import annotations

# Kept: a tab and the end of a line. Shown by its picture: C0 and DEL (ECMA-48). No picture: C1, and the marks that turn
# the direction of a line round (Unicode 16, 23.2), so that it reads as something else.
_PICTURES = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_UNSEEN = [*range(0x80, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_SHOWN = _PICTURES | dict.fromkeys(_UNSEEN, 0xFFFD)
_ESCAPED = {code: f"\\u{code:04x}" for code in [*_UNSEEN, 0x7F]}


def for_terminal(text: str) -> str:
    """``text`` as it can be printed: a control character is seen (␛, or U+FFFD), not obeyed."""
    return text.translate(_SHOWN)


def json_for_terminal(text: str) -> str:
    """A JSON document that says the same and can be printed: its strings may hold what JSON need not escape."""
    return text.translate(_ESCAPED)
