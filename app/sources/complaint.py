"""The vendor's own words in an answer that refuses, short enough for a message."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

import msgspec

LONGEST = 300  # characters
_KEYS = ("errors", "errorMessage", "error_description", "message", "msg", "detail", "error")
_NOT_SHOWN = re.compile(r"<(script|style|head|title)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def words(body: bytes) -> str:
    """The complaint in a body of JSON, HTML or plain text; empty when there is none."""
    try:
        text = of_document(msgspec.json.decode(body))
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        text = _of_page(body.decode(errors="replace"))
    return " ".join(text.split())[:LONGEST]


def of_document(document: Any) -> str:
    """The complaint in decoded JSON: ``CODE: detail`` where both are there."""
    if isinstance(document, str):
        return document
    if isinstance(document, list):
        return next(filter(None, map(of_document, document)), "")
    if not isinstance(document, Mapping):
        return ""
    code, detail = document.get("code"), document.get("detail") or document.get("message")
    if isinstance(code, str) and code:
        return f"{code}: {detail}" if isinstance(detail, str) and detail else code
    return next(filter(None, (of_document(document.get(key)) for key in _KEYS)), "")


def _of_page(text: str) -> str:
    if "<" not in text:
        return text
    title_tag, shown = _TITLE.search(text), " ".join(_NOT_SHOWN.sub(" ", text).split())
    title = " ".join(title_tag[1].split()) if title_tag else ""
    return unescape(shown if shown.startswith(title) else f"{title} {shown}")
