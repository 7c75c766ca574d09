"""Makes an answer's bytes such that JSON decoders can read them and databases can hold their texts.

NUL characters, lone surrogates and bytes that are no UTF-8 become U+FFFD, in whichever spelling they come. Bytes
without any of these are not copied, and looking for them costs about a millisecond per megabyte at most.
"""

import re
from collections.abc import Iterable, Iterator

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_RAW = REPLACEMENT.encode()
_ODD = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_ESCAPE = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_TOKEN = re.compile(rb'("(?:[^"\\]|\\.)*")|(-?Infinity|NaN|-?[0-9][0-9.eE+-]{400,})', re.DOTALL)
_KEY_OR_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"(?:\s*:)?', re.DOTALL)
_CONTROLS = re.compile(rb"[\x00-\x1f]")
_NESTING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
DEEPEST = 100
TOO_DEEP = f"(nested more than {DEEPEST} deep)"
_LONGEST_TEXT = 1 << 22  # bytes without a comma or quote that are kept back to be cleaned in one piece


def clean(body: bytes) -> bytes:
    """The body with U+FFFD for every character that a database cannot hold."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            body = body.decode(errors="replace").encode()
    if b"\0" in body:
        body = body.replace(b"\0", _RAW)
    return clean_escapes(body)


def clean_escapes(body: bytes) -> bytes:
    r"""The body with U+FFFD for the escapes ``\u0000`` and lone surrogates such as ``\ud800``."""
    if b"\\u" not in body or not _ODD.search(body):
        return body
    replaced = _ESCAPE.sub(_replaced, body)
    return body if replaced == body else replaced  # complete surrogate pairs are harmless


def _replaced(escape: re.Match[bytes]) -> bytes:
    return _RAW if escape[2] else escape[0]


def cleaned(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same for a body that comes in pieces, which are cut where no character is cut in two.

    No escape and no character of several bytes continues behind a quote or a comma.
    """
    kept = b""
    for chunk in chunks:
        kept += chunk
        cut = max(kept.rfind(b'"'), kept.rfind(b",")) + 1
        if cut or len(kept) > _LONGEST_TEXT:
            cut = cut or len(kept)
            yield clean(kept[:cut])
            kept = kept[cut:]
    if kept:
        yield clean(kept)


def repaired(document: bytes) -> bytes:
    """A document that is not JSON, with the usual mistakes of writers repaired: bare ``NaN`` and ``Infinity``, and numbers
    with too many digits, become texts (so that they affect only their own record); control characters in texts become
    U+FFFD."""
    return _TOKEN.sub(_token, document)


def without_blanks(document: bytes) -> bytes:
    """A JSON document with ``null`` for every value that is an empty text."""
    return _KEY_OR_TEXT.sub(lambda token: b"null" if token[0] == b'""' else token[0], document)


def shallow(document: bytes) -> bytes:
    """A document in which everything nested deeper than ``DEEPEST`` is replaced by a text that says so, so that it
    affects only its own record. Other documents are not copied."""
    kept: list[bytes] = []
    level = start = 0
    for token in _NESTING.finditer(document):
        if token[0] in (b"[", b"{"):
            level += 1
            if level == DEEPEST + 1:
                kept += document[start : token.start()], b'"%b"' % TOO_DEEP.encode()
        elif token[0] in (b"]", b"}"):
            start = token.end() if level == DEEPEST + 1 else start
            level -= 1
    return b"".join([*kept, document[start:] if level <= DEEPEST else b""]) if kept else document


def _token(token: re.Match[bytes]) -> bytes:
    return _CONTROLS.sub(_RAW, token[1]) if token[1] else b'"' + token[2] + b'"'
