"""Names failures so that equal ones have the same name. It is made of the exception's type, its message without the parts
that vary, where it was raised, and the connection: two accounts that refuse us are two causes.

RateLimited: GET /acme/api/product/BP2905: 429 too many requests   app/sources/http.py:check
RateLimited: GET /acme/api/product/RT0117: 429 too many requests   app/sources/http.py:check
-> both RateLimited-5c1e3f0a
"""

import hashlib
import re
import traceback

_OURS = re.compile(r"(?:^|[/\\])((?:app|workers)[/\\].+\.py)$")
_PATH = re.compile(
    r"(?<=\b(?:GET|PUT) )/[^\s:]*|(?<=\bPOST )/[^\s:]*"
)  # whatever was requested: the place tells which code did
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_ID = re.compile(r"[A-Za-z_]*\d[\w.:+-]*")  # a word with a digit in it: numbers, dates, most ids
_STATUS = re.compile(r"(?<=: )[1-5]\d\d(?=[ ,])")  # ": 429 too many requests" is not ": 404 not found"
_OPAQUE = re.compile(r"(?<=/)[A-Z0-9_-]{8,}(?![\w-])|\b[0-9a-f]{8,}\b")
_KEPT = "\ue000"


def fingerprint(error_type: str, message: str, place: str, connection: str | None = None) -> str:
    """The name of a failure, the same for every item of the connection: ``<type>-<8 hex digits>``. ``connection`` is
    ``None`` for a message that is about no connection.

    The digest with the connection is made of the name without it, so that migration 0009 could update older names.
    """
    name = _named(error_type, f"{error_type}\n{normalised(message)}\n{place}")
    return name if connection is None else _named(error_type, f"{name}\n{connection}")


def _named(error_type: str, text: str) -> str:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4)
    return f"{error_type}-{digest.hexdigest()}"


def normalised(message: str) -> str:
    """The message with ids, numbers, moments and quoted texts replaced by ``#``; HTTP statuses stay."""
    statuses: list[str] = []

    def keep(match: re.Match[str]) -> str:
        statuses.append(match[0])
        return _KEPT

    text = _STATUS.sub(keep, message.replace(_KEPT, " "))
    for pattern in (_PATH, _QUOTED, _OPAQUE, _ID):
        text = pattern.sub("#", text)
    for status in statuses:
        text = text.replace(_KEPT, status, 1)
    return " ".join(text.split())


def place_of(error: BaseException) -> str:
    """The innermost of our own functions that an error was raised in, as ``app/sources/http.py:check``; "" if none."""
    place = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        ours = _OURS.search(frame.f_code.co_filename)
        if ours:
            place = f"{ours[1]}:{frame.f_code.co_name}".replace("\\", "/")
    return place
