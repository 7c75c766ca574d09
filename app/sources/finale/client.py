"""Finale's REST calls, one record or one list at a time, within its limits. An error page is never taken for an
answer."""

import base64
import json
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

import httpx
import msgspec

from app.domain.decoding import decode
from app.errors import AuthRejected, BadAnswer, VendorForbidden, VendorRefused
from app.sources import complaint
from app.sources.base import Context
from app.sources.client import any_answer
from app.sources.finale.columnar import Band, bands, single
from app.sources.finale.isolation import text_in
from app.sources.finale.options import Options
from app.sources.finale.wire import tail
from app.sources.http import Http

LIST_TIMEOUT = 180.0  # seconds; working clients wait 60 to 180 for lists
RECORD_TIMEOUT = 30.0
CHECK_TIMEOUT = 10.0
COMPANY = "PRIMARY"  # the party that every account has
_MILLISECONDS_FROM = 1e11  # an X-RateLimit-Reset above this cannot be seconds (that would be the year 5138)
_EPOCH_FROM = 1e8  # and one below this cannot be a time at all: it is the seconds to wait
_LOOKED_AT = 65_536
_SHOWN = 120  # characters of a page
_LOCKED_OUT = (b"login", b"log in", b"sign in", b"password", b"trial", b"subscription has expired")

KEYS: Mapping[str, str] = {
    "product": "productUrl",
    "inventoryitem": "inventoryItemUrl",
    "order": "orderUrl",
    "facility": "facilityUrl",
    "partygroup": "partyUrl",
}
"""The column of each collection that every record has: its URL."""


class Client:
    """Reads of one account, with Basic authentication by API key and secret. Safe to share between threads."""

    def __init__(self, context: Context, options: Options) -> None:
        credentials = base64.b64encode(f"{options.api_key}:{options.api_secret}".encode()).decode()
        headers = {"authorization": f"Basic {credentials}", "accept": "application/json"}
        self.http = Http(context, options.base_url, headers, timeout=RECORD_TIMEOUT)
        self._wait_of = partial(reset_wait, now=lambda: context.now().timestamp())
        self._account = options.account
        self._record_limits = options.record_limits
        self.limits = options.list_limits
        """Every limit that some call counts against."""

    def check(self) -> None:
        """Read one record, the company itself.

        Returns when the account answers, even if there is no such record or this key may not read it.
        """
        with any_answer():
            self._get(self._path("partygroup") + COMPANY, timeout=CHECK_TIMEOUT, attempts=1)

    def record(self, collection: str, id_: str) -> Band | None:
        """One record by the last segment of its URL, as a band of one row; ``None`` when there is none (404).

        Raises ``BadAnswer`` for a body that is not such a record, or that is a different record from the requested one.
        """
        if not id_:
            return None  # its URL would be the collection's
        path = self._path(collection) + as_segment(id_)
        body = self._get(path)
        if body is None:
            return None
        band = single(body)
        received = tail(text_in(band, KEYS[collection]))
        if received is None:
            raise BadAnswer(f"GET {path}: no {KEYS[collection]} in the answer{_complaint(body)}")
        if unquote(received) != unquote(id_):
            raise BadAnswer(f"GET {path}: asked for {id_!r}, got {received!r}")
        return band

    def customization(self) -> bytes:
        """The account's names for its own fields and lists, as received; empty where there are none or this key may
        not read them."""
        try:
            return self._get(self._path("customization")) or b""
        except VendorForbidden:
            return b""

    def collection(self, collection: str, filter_: Mapping[str, tuple[str, str]] | None = None) -> list[Band]:
        """All records of a collection, or those inside closed ranges of top-level fields.

        The answer is streamed to a temporary file: only the decoded bands are in memory, however large it is. Raises
        ``BadAnswer`` for anything but a complete list, ``VendorRefused`` when there is no such collection.
        """
        path = self._path(collection)
        with tempfile.TemporaryFile() as file:
            answer = self.http.request(
                "GET",
                path,
                limits=self.limits,
                params={"filter": encoded(filter_)} if filter_ else None,
                timeout=LIST_TIMEOUT,
                wait_of=self._wait_of,
                into=file,
            )
            if answer.status_code == 404:
                raise VendorRefused(
                    f"GET {path}: 404; is {self._account!r} the account's name in Finale's addresses?"
                )
            return self._decoded(answer, file, collection, path)

    def _decoded(self, answer: httpx.Response, file: BinaryIO, collection: str, path: str) -> list[Band]:
        file.seek(0)
        opening = file.read(_LOOKED_AT)
        refuse_page(answer.headers.get("content-type", ""), opening, f"GET {path}")
        try:
            return bands(file, KEYS[collection])
        except BadAnswer as error:
            raise BadAnswer(f"GET {path}: {error}{_complaint(opening)}") from error

    def _get(self, path: str, timeout: float = RECORD_TIMEOUT, attempts: int = 3) -> bytes | None:
        """The body of a single-record read, ``None`` for a 404."""
        answer = self.http.request(
            "GET", path, limits=self._record_limits, timeout=timeout, wait_of=self._wait_of, attempts=attempts
        )
        if answer.status_code == 404:
            return None
        refuse_page(answer.headers.get("content-type", ""), answer.content[:_LOOKED_AT], f"GET {path}")
        return answer.content

    def _path(self, collection: str) -> str:
        # inventoryitem without the slash is a 404, the others answer either way
        return f"/{self._account}/api/{collection}/"


def as_segment(id_: str) -> str:
    """An id as one URL segment; what is percent-encoded already stays as it is."""
    if id_ in (".", ".."):
        return id_.replace(".", "%2E")  # by itself it would mean another folder
    return quote(id_, safe="%!$&'()*+,;=:@~")


def encoded(filter_: Mapping[str, tuple[str, str]]) -> str:
    """The ``filter`` parameter: base64 of a JSON object of closed ranges (reference/filtering-resources)."""
    text = json.dumps({field: list(bounds) for field, bounds in filter_.items()}, separators=(",", ":"))
    return base64.b64encode(text.encode()).decode()


def reset_wait(answer: httpx.Response, now: Callable[[], float]) -> float | None:
    """Seconds until ``X-RateLimit-Reset``, whose unit is epoch milliseconds or seconds depending on whom one asks."""
    try:
        reset = float(answer.headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return None
    if reset < _EPOCH_FROM:
        return max(reset, 0.0)
    return max(reset / (1000 if reset > _MILLISECONDS_FROM else 1) - now(), 0.0)


def refuse_page(content_type: str, opening: bytes, where: str) -> None:
    """HTML with status 200 is a login page (``AuthRejected``) or an error page (``BadAnswer``), never data."""
    text = opening.lstrip().lower()
    if "html" not in content_type and not text.startswith(b"<"):
        return
    said = complaint.words(opening)[:_SHOWN]
    if any(word in text for word in _LOCKED_OUT):
        raise AuthRejected(f"{where}: a login page instead of data: {said}")
    raise BadAnswer(f"{where}: an HTML page instead of data: {said}")


def _complaint(body: bytes) -> str:
    """What an error body says for itself (``success: false``, ``errorMessage``, ``errors``, ``msg``)."""
    try:
        said = complaint.of_document(decode(body, dict[str, Any]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return f"; Finale says {said[:200]!r}" if said else ""
