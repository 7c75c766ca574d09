"""Square's REST calls as methods: paging that cannot loop or end early, pacing, and nothing about our domain.

A cursor is bound to the body of its first request (the same body is sent again with it), lives about five
minutes and is never a watermark. An empty page that has a cursor is not the end.
"""

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from app.errors import BadAnswer, BudgetSpent, RateLimited, VendorRefused
from app.sources.base import Context
from app.sources.client import any_answer
from app.sources.http import Http
from app.sources.square import wire
from app.sources.square.isolation import id_in
from app.sources.square.pace import Pace, backoff, retry_after

CATALOG_IDS = 1000  # batch_retrieve_max_object_ids of /v2/catalog/info
COUNT_ROWS = 1000
CATALOG_ROWS = 1000  # search_max_page_limit
ORDER_IDS = 100
ORDER_ROWS = 500
ENTRY_ROWS = 1000
ORDER_LOCATIONS = 10  # more: "Cannot provide more than 10 location_ids."
VENDOR_IDS = 100
CHECK_TIMEOUT = 10.0  # seconds
SUBSCRIPTIONS = "/v2/webhooks/subscriptions"


class Places(NamedTuple):
    """All locations, and the vendor's clock (whole seconds, UTC) when it listed them."""

    locations: list[Any]
    answered_at: datetime

    @property
    def ids(self) -> list[str]:
        """All readable ids."""
        return list(filter(None, map(id_in, self.locations)))

    @property
    def zones(self) -> dict[str, str]:
        """Each location's time zone, UTC where it has none."""
        named = {id_in(place): id_in(place, "timezone") or "UTC" for place in self.locations}
        return {place: zone for place, zone in named.items() if place}


class Client:
    """Blocking and thread-safe. Every method raises ``app.errors`` only."""

    def __init__(self, context: Context, base_url: str, token: str, version: str, rate: float) -> None:
        headers = {"authorization": f"Bearer {token}", "square-version": version, "accept": "application/json"}
        self.http = Http(context, base_url, headers)
        self._context = context
        self.version = version
        self.now = context.now
        self.pace = Pace(rate)

    def catalog_search(self, body: wire.Json, cursor: str | None = None) -> Iterator[wire.Reply]:
        """Pages of POST /v2/catalog/search; ``limit`` is set here. With a ``cursor`` of the same body the pages continue
        after it."""
        return self._pages("/v2/catalog/search", {**body, "limit": CATALOG_ROWS}, cursor)

    def catalog_retrieve(self, ids: Sequence[str]) -> list[Any]:
        """The objects with these ids (at most 1,000), deleted ones too; unknown ids are left out."""
        body = {"object_ids": list(ids), "include_deleted_objects": True}
        return self._call("/v2/catalog/batch-retrieve", body).objects or []

    def catalog_related(self, ids: Sequence[str]) -> list[Any]:
        """The live objects with these ids (at most 1,000), each category with those above it (``path_to_root``), which
        excludes asking for deleted ones."""
        body = {"object_ids": list(ids), "include_category_path_to_root": True}
        return self._call("/v2/catalog/batch-retrieve", body).objects or []

    def counts(self, body: wire.Json, cursor: str | None = None) -> Iterator[wire.Reply]:
        """Pages of POST /v2/inventory/counts/batch-retrieve, newest ``calculated_at`` first."""
        return self._pages("/v2/inventory/counts/batch-retrieve", {**body, "limit": COUNT_ROWS}, cursor)

    def changes(self, body: wire.Json) -> Iterator[wire.Reply]:
        """Pages of POST /v2/inventory/changes/batch-retrieve, oldest ``occurred_at`` first."""
        return self._pages("/v2/inventory/changes/batch-retrieve", {**body, "limit": COUNT_ROWS})

    def orders_search(self, body: wire.Json, cursor: str | None = None) -> Iterator[wire.Reply]:
        """Pages of POST /v2/orders/search; ``body`` names at most 10 locations."""
        body = {**body, "return_entries": False, "limit": ORDER_ROWS}
        return self._pages("/v2/orders/search", body, cursor)

    def orders_entries(self, body: wire.Json) -> Iterator[wire.Reply]:
        """Pages of the same call with ``return_entries``: ids only, twice as many to a page."""
        return self._pages("/v2/orders/search", {**body, "return_entries": True, "limit": ENTRY_ROWS})

    def orders_retrieve(self, ids: Sequence[str]) -> list[Any]:
        """The orders with these ids (at most 100); unknown and not yet readable ones are left out."""
        return self._call("/v2/orders/batch-retrieve", {"order_ids": list(ids)}).orders or []

    def locations(self) -> Places:
        """Every location, inactive ones too; the call has no pages."""
        response = self._request("GET", "/v2/locations", None)
        locations = wire.read(response).locations or []
        return Places(locations, _answered_at(response) or self.now())

    def check(self) -> None:
        """List the locations, within ten seconds and without a retry.

        Returns when the account answers, even if this token may not list them, or not so often.
        """
        with any_answer():
            response = self._send("GET", "/v2/locations", None, timeout=CHECK_TIMEOUT, attempts=1)
            wire.read(response)

    def vendors_search(self, cursor: str | None = None) -> Iterator[wire.Reply]:
        """Pages of POST /v2/vendors/search. The body is flat: Square's own example wraps it wrongly in ``query``."""
        body = {"filter": {"status": ["ACTIVE", "INACTIVE"]}, "sort": {"field": "CREATED_AT", "order": "ASC"}}
        return self._pages("/v2/vendors/search", body, cursor)

    def vendors_retrieve(self, ids: Sequence[str]) -> dict[str, wire.Reply]:
        """For each vendor id (at most 100) the vendor, or the reason why there is none."""
        return self._call("/v2/vendors/bulk-retrieve", {"vendor_ids": list(ids)}).responses or {}

    def events_search(self, since: str, until: str) -> Iterator[wire.Reply]:
        """Pages (of 100) of POST /v2/events; refused while the Events API is not enabled."""
        body = {"query": {"filter": {"created_at": {"start_at": since, "end_at": until}}}, "limit": 100}
        return self._pages("/v2/events", body)

    def subscriptions(self) -> list[Any]:
        """Webhook subscriptions, disabled ones too; needs a personal access token."""
        pages = self._pages(SUBSCRIPTIONS, {"include_disabled": "true"}, method="GET")
        return [subscription for page in pages for subscription in page.subscriptions or []]

    def subscription(self, id_: str) -> wire.Json:
        """One webhook subscription, with its signature key."""
        return self._call(f"{SUBSCRIPTIONS}/{quote(id_, safe='')}", None, "GET").subscription

    def subscribe(self, wanted: wire.Json, idempotency_key: str) -> wire.Json:
        """Make a webhook subscription; needs a personal access token. Returns it with its signature key."""
        body = {"idempotency_key": idempotency_key, "subscription": wanted}
        return self._call(SUBSCRIPTIONS, body).subscription

    def change_subscription(self, id_: str, changes: wire.Json) -> None:
        """Change some fields of a webhook subscription."""
        self._call(f"{SUBSCRIPTIONS}/{quote(id_, safe='')}", {"subscription": changes}, "PUT")

    def _pages(
        self, path: str, body: wire.Json, cursor: str | None = None, method: str = "POST"
    ) -> Iterator[wire.Reply]:
        seen = {cursor} if cursor else set()
        while True:
            page = self._one_page(path, body if cursor is None else {**body, "cursor": cursor}, method)
            yield page
            cursor = page.cursor
            if not cursor:
                return
            if cursor in seen:
                raise BadAnswer(f"{path}: the same cursor came twice, the read would never end")
            seen.add(cursor)

    def _one_page(self, path: str, body: wire.Json, method: str) -> wire.Reply:
        try:
            return self._call(path, body, method)
        except VendorRefused as error:
            if "cursor" in body and wire.EXPIRED_CURSOR in str(error):
                raise wire.CursorRefused(f"{path}: the cursor has expired, the read must begin again") from error
            raise

    def _call(self, path: str, body: wire.Json | None, method: str = "POST") -> wire.Reply:
        return wire.read(self._request(method, path, body))

    def _request(self, method: str, path: str, body: wire.Json | None) -> httpx.Response:
        """One request; a 429 slows us down and is tried again as long as the context's patience lasts."""
        waited = 0.0
        for attempt in itertools.count():
            try:
                response = self._send(method, path, body)
            except BudgetSpent:
                raise  # our own budget, which has been waited for already
            except RateLimited as error:
                wait = backoff(attempt) if error.retry_after is None else error.retry_after
                if waited + wait > self._context.patience:
                    raise
            else:
                self.pace.went_well()
                return response
            self._context.sleep(wait)
            waited += wait
        raise AssertionError("unreachable: the loop has no end")

    def _send(
        self, method: str, path: str, body: wire.Json | None, timeout: float | None = None, attempts: int = 3
    ) -> httpx.Response:
        content: dict[str, Any] = {"params": body} if method == "GET" else {"json": body}
        limits = self.pace.limits()
        return self.http.request(
            method, path, limits=limits, wait_of=self._refused, timeout=timeout, attempts=attempts, **content
        )

    def _refused(self, response: httpx.Response) -> float | None:
        """Slow down after a 429; returns how many seconds Square wants us to wait, if it says so."""
        self.pace.was_refused()
        return retry_after(response)


def _answered_at(response: httpx.Response) -> datetime | None:
    """The ``Date`` header; ``None`` where a proxy has removed or garbled it."""
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None
