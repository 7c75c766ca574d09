"""Takes secrets out of texts: the values we know, and headers whose names say what they carry."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote

REMOVED = "(removed)"

SHORTEST = 6
"""Characters: a shorter secret would take ordinary words out of every text."""

_SECRET_HEADERS = ("authorization", "cookie", "secret", "token", "password", "api-key", "apikey", "credential")


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that replaces every one of ``secrets`` in a text, as it is, URL-encoded or in base64.

    Secrets of fewer than ``SHORTEST`` characters are left alone.
    """
    spellings = {spelling for secret in secrets if len(secret) >= SHORTEST for spelling in _spellings(secret)}
    if not spellings:
        return str
    known = re.compile("|".join(map(re.escape, sorted(spellings, key=len, reverse=True))))
    return lambda text: known.sub(REMOVED, text)


def safe_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers by lower-case name, those that carry a secret with ``REMOVED`` as their value.

    Signatures stay: they prove one body, which is stored beside them, and open nothing.
    """
    return {name.lower(): REMOVED if carries_secret(name) else value for name, value in headers.items()}


def carries_secret(header: str) -> bool:
    """Whether a header by this name may carry a credential."""
    lower = header.lower()
    return any(word in lower for word in _SECRET_HEADERS)


def _spellings(secret: str) -> Iterable[str]:
    yield secret
    yield quote(secret, safe="")
    encoded = base64.b64encode(secret.encode()).decode()
    yield encoded
    yield encoded.rstrip("=")
