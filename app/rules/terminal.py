"""Makes foreign text safe for a terminal, where control characters are commands: titles, colours, a cleared screen."""

# Tabs and line ends stay. C0 and DEL (ECMA-48) become their pictures. C1 has none, and neither have the marks that
# reverse the direction of a line (Unicode 16, 23.2), so that it reads as something else.
_PICTURES = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_UNSEEN = [*range(0x80, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_SHOWN = _PICTURES | dict.fromkeys(_UNSEEN, 0xFFFD)
_ESCAPED = {code: f"\\u{code:04x}" for code in [*_UNSEEN, 0x7F]}


def for_terminal(text: str) -> str:
    """``text`` in printable form: a control character is shown (␛, or U+FFFD), not obeyed."""
    return text.translate(_SHOWN)


def json_for_terminal(text: str) -> str:
    """The same JSON document in printable form: escapes also the control characters that JSON allows in strings."""
    return text.translate(_ESCAPED)
