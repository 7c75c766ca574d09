"""Asks a simulated Square account as any client would."""

from typing import Any

import httpx

from tests.sources.square.square_account import TOKEN, Account

SEARCH = "/v2/catalog/search"
ITEMS = "/v2/catalog/search-catalog-items"
COUNTS = "/v2/inventory/counts/batch-retrieve"
CHANGES = "/v2/inventory/changes/batch-retrieve"
ORDERS = "/v2/orders/search"
VENDORS = "/v2/vendors/search"
BATCH = "/v2/catalog/batch-retrieve"

Json = dict[str, Any]


def post(account: Account, path: str, body: Json | None = None, **headers: str) -> httpx.Response:
    """The answer to a POST."""
    return account.control.post(path, json=body or {}, headers=_signed(headers))


def get(account: Account, path: str, params: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
    """The answer to a GET."""
    return account.control.get(path, params=params, headers=_signed(headers))


def document_of(answer: httpx.Response) -> Json:
    """The document of an answer that is a success."""
    assert answer.status_code == 200, answer.text
    result: Json = answer.json()
    return result


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and field of an answer that is none."""
    first = answer.json()["errors"][0]
    return answer.status_code, first["code"], first.get("field")


def every(account: Account, path: str, body: Json, name: str) -> list[Json]:
    """The rows of all pages."""
    rows: list[Json] = []
    cursor = None
    while True:
        page = document_of(post(account, path, {**body, **({"cursor": cursor} if cursor else {})}))
        rows += page.get(name, [])
        cursor = page.get("cursor")
        if not cursor:
            return rows


def order_query(account: Account, **filters: Any) -> Json:
    """An order search over all locations, the newest first."""
    return {"location_ids": account.world.location_ids, "query": {"filter": filters}}


def _signed(headers: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"authorization": f"Bearer {TOKEN}", **named}
