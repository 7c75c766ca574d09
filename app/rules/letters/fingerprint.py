"""Which failures are one and the same: the exception's type, its message without what varies, where it was raised, and
the connection: two accounts that refuse us are two causes, and each is mended by itself.

RateLimited: GET /acme/api/product/BP2905: 429 too many requests   app/sources/http.py:check
RateLimited: GET /acme/api/product/RT0117: 429 too many requests   app/sources/http.py:check
-> both RateLimited-5c1e3f0a
"""

from __future__ import annotations

import hashlib
import re
from types import TracebackType

_OURS = re.compile(r"(?:^|[/\\])((?:app|workers)[/\\].+\.py)$")
_PATH = re.compile(r"(?<=\b(?:GET|PUT) )/[^\s:]*|(?<=\bPOST )/[^\s:]*")  # of whatever kind: the place tells who asked
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_ID = re.compile(r"[A-Za-z_]*\d[\w.:+-]*")  # a word with a digit in it: numbers, dates, most ids
_STATUS = re.compile(r"(?<=: )[1-5]\d\d(?=[ ,])")  # ": 429 too many requests" is not ": 404 not found"
_OPAQUE = re.compile(r"(?<=/)[A-Z0-9_-]{8,}(?![\w-])|\b[0-9a-f]{8,}\b")
_KEPT = "\ue000"


def fingerprint(error_type: str, message: str, place: str, connection: str | None = None) -> str:
    """A name for what went wrong, the same however often and for whichever item of the connection:
    ``<type>-<8 hex digits>``. A message that is about no connection has ``None``.

    The connection is digested over the name without it, so that names given before could be brought up to date
    (migration 0009).
    """
    name = _named(error_type, f"{error_type}\n{normalised(message)}\n{place}")
    return name if connection is None else _named(error_type, f"{name}\n{connection}")


def _named(error_type: str, text: str) -> str:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4)
    return f"{error_type}-{digest.hexdigest()}"


def normalised(message: str) -> str:
    """The message with ids, numbers, moments and quoted texts replaced by ``#``; HTTP statuses stay."""
    statuses: list[str] = []

    def keep(found: re.Match[str]) -> str:
        statuses.append(found[0])
        return _KEPT

    text = _STATUS.sub(keep, message.replace(_KEPT, " "))
    for varies in (_PATH, _QUOTED, _OPAQUE, _ID):
        text = varies.sub("#", text)
    for status in statuses:
        text = text.replace(_KEPT, status, 1)
    return " ".join(text.split())


def place_of(error: BaseException) -> str:
    """Where an error was raised: the innermost of our own functions, as ``app/sources/http.py:check``; "" if none."""
    place = ""
    step: TracebackType | None = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        ours = _OURS.search(code.co_filename)
        if ours:
            place = f"{ours[1]}:{code.co_name}".replace("\\", "/")
        step = step.tb_next
    return place
