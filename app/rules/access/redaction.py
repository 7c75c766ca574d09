"""Removes secrets from texts: known values, and headers whose names suggest a secret."""

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import takewhile
from urllib.parse import quote, quote_plus

REMOVED = "(removed)"

SHORTEST = 6
"""Characters: removing a shorter secret would remove ordinary words from every text."""

HEAD = 8
"""Characters that identify a secret if a quotation ends within it."""

LONG_HEAD = 12
"""Characters that identify a secret that is cut off anywhere."""

QUOTATION_ENDS = "'\"\\\u2026<"

_SECRET_HEADER = re.compile("auth|key|token|secret|jwt|session|passw|bearer|cookie|credential", re.IGNORECASE)


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that removes every one of ``secrets`` from a text: as it is, escaped for a URL, JSON or HTML, or in
    base64, alone or inside a longer value (``Authorization: Basic`` holds a user and a password). A secret that is cut
    off is recognised by ``LONG_HEAD`` characters, at the end of a quotation by ``HEAD``.

    Secrets of fewer than ``SHORTEST`` characters are left alone.
    """
    long_enough = [secret for secret in secrets if len(secret) >= SHORTEST]
    spellings = {spelling for secret in long_enough for spelling in (*_escaped(secret), *_in_base64(secret))}
    if not spellings:
        return str
    known = re.compile("|".join((_any_of(spellings), *map(_in_an_address, long_enough))))
    cut_off = _cut_off(spellings)
    return lambda text: cut_off(known.sub(REMOVED, text))


def safe_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers by lower-case name; the value of those that may carry a secret is ``REMOVED``.

    Signatures stay: each proves one body, which is stored with it, and gives no access.
    """
    return {name.lower(): REMOVED if carries_secret(name) else value for name, value in headers.items()}


def carries_secret(header: str) -> bool:
    """Whether a header by this name may carry a credential."""
    return _SECRET_HEADER.search(header) is not None


def _any_of(texts: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(texts, key=len, reverse=True)))


def _in_an_address(secret: str) -> str:
    """A pattern for a secret that is URL-encoded any number of times: URLs contain URLs, and encoders differ."""
    return "".join(char if char.isalnum() and char.isascii() else _encoded(char) for char in secret)


def _encoded(char: str) -> str:
    octets = "".join(f"%(?:25)*(?i:{octet:02x})" for octet in char.encode())
    return f"(?:{re.escape(char)}|{octets})"


def _cut_off(spellings: Iterable[str]) -> Callable[[str], str]:
    """A function that removes secrets that are cut off: we quote vendors up to some length, maybe to the middle of one."""
    heads: dict[str, list[str]] = {}
    for spelling in spellings:
        if len(spelling) > HEAD:
            heads.setdefault(spelling[:HEAD], []).append(spelling)
    head = re.compile(_any_of(heads))

    def removed(text: str) -> str:
        parts, at = [], 0
        for match in head.finditer(text):
            start = match.start()
            end = max((_agrees(text, start, one) for one in heads[match[0]]), default=start)
            if start >= at and (end - start >= LONG_HEAD or text[end : end + 1] in QUOTATION_ENDS):
                parts += [text[at:start], REMOVED]
                at = end
        return "".join((*parts, text[at:]))

    return removed if heads else str


def _agrees(text: str, start: int, spelling: str) -> int:
    """Where the text stops matching the spelling."""
    pairs = zip(spelling, text[start : start + len(spelling)], strict=False)
    return start + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _escaped(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield html.escape(secret)
    for in_json in (json.dumps(secret), json.dumps(secret, ensure_ascii=False)):
        yield in_json[1:-1]


def _in_base64(secret: str) -> Iterator[str]:
    """The whole secret, and for each of three offsets in a text the characters that do not depend on its neighbours."""
    raw = secret.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode()
        yield whole
        yield whole.rstrip("=")
        for before, mixed in ((0, 0), (1, 2), (2, 3)):
            inside = encode(bytes(before) + raw).decode()[mixed : (before + len(raw)) * 8 // 6]
            if len(inside) >= SHORTEST:
                yield inside
