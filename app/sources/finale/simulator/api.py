"""The vendor's own endpoints: lists, records, actions, GraphQL, reports and the old cookie login."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.finale.simulator import graphql, lists, reports, wire, writes
from app.sources.finale.simulator.account import Account
from app.sources.finale.simulator.answers import login_page, not_found, refused, said, spoiled, streamed
from app.sources.finale.simulator.records import Done
from app.sources.finale.simulator.writes import IllegalAction

COLLECTIONS = ("product", "inventoryitem", "order", "facility", "partygroup")
PATHS = dict(zip(("product", "stock", "order", "location", "vendor"), COLLECTIONS, strict=True))
"""Where each kind of record is read."""

_SESSION = "simulated-session"
_Handler = Callable[[Request], Awaitable[Response]]


class Api:
    """Answers for one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._base = f"/{account.options.account}"

    def routes(self) -> list[Route]:
        """Everything below the account's path; the rest is a 404 in Finale's manner."""
        return [
            Route(f"{self._base}/api/auth", self._login, methods=["POST"]),
            Route(f"{self._base}/api/graphql", self._guarded(self._graphql), methods=["POST"]),
            Route(f"{self._base}/doc/report/pivotTable/{{rest:path}}", self._report),
            Route(f"{self._base}/api/{{rest:path}}", self._guarded(self._rest), methods=["GET", "POST"]),
            Route("/{rest:path}", self._nowhere, methods=["GET", "POST"]),
        ]

    def _guarded(self, handler: _Handler) -> _Handler:
        """Credentials, limits, slowness and faults around an endpoint."""

        async def answer(request: Request) -> Response:
            options, limits = self._account.options, self._account.limits
            self._account.requests[f"{request.method} {request.url.path}"] += 1
            if options.latency:
                await asyncio.sleep(options.latency)
            if not self._is_known(request):
                return refused(401, "Unauthorized")
            if options.forbidden and request.url.path.startswith(f"{self._base}/api/{PATHS[options.forbidden]}"):
                return refused(403, "You do not have permission to do this")
            headers = limits.take(request.method, is_list=self._is_list(request))
            if headers is None and options.next_429:
                options.next_429 -= 1
                headers = limits.refuse()
            if headers is not None:
                return Response("Too Many Requests", 429, headers)
            told = await spoiled(await handler(request), options)
            told.headers.update(limits.usual())
            return told

        return answer

    def _is_known(self, request: Request) -> bool:
        options = self._account.options
        if options.expired_token:
            return False
        if options.legacy_cookie:
            return request.cookies.get("JSESSIONID") == _SESSION
        given = request.headers.get("authorization", "")
        wanted = base64.b64encode(f"{options.api_key}:{options.api_secret}".encode()).decode()
        return hmac.compare_digest(given.encode(), f"Basic {wanted}".encode())

    def _is_list(self, request: Request) -> bool:
        return request.method == "GET" and request.path_params["rest"].rstrip("/") in COLLECTIONS

    async def _nowhere(self, request: Request) -> Response:
        return not_found(request.url.path)

    async def _login(self, request: Request) -> Response:
        """The old login: any name and password, a cookie, and the addresses of the collections."""
        if not self._account.options.legacy_cookie:
            return refused(401, "Unauthorized")
        told = said(
            {"name": "test", **{f"resource{name.title()}": f"{self._base}/api/{name}/" for name in COLLECTIONS}}
        )
        told.set_cookie("JSESSIONID", _SESSION)
        return told

    async def _graphql(self, request: Request) -> Response:
        return said(graphql.answer(self._account.world, self._account.options, await request.json()))

    async def _report(self, request: Request) -> Response:
        self._account.requests[f"GET {request.url.path}"] += 1
        if not self._is_known(request):
            return login_page()
        return said(reports.rows(self._account.world))

    async def _rest(self, request: Request) -> Response:
        # the raw path, because a tail is percent-encoded and stays so
        path = request.scope["raw_path"].decode().split("?")[0].removeprefix(f"{self._base}/api/")
        collection, slash, rest = path.partition("/")
        if collection not in COLLECTIONS:
            return not_found(request.url.path)
        if rest:
            return await self._one(request, collection, rest)
        needs_slash = collection == "inventoryitem" or self._account.options.strict_slash
        if needs_slash and not slash:
            return not_found(request.url.path)
        return (
            await self._create(request, collection) if request.method == "POST" else self._list(request, collection)
        )

    def _list(self, request: Request, collection: str) -> Response:
        world, options, query = self._account.world, self._account.options, request.query_params
        limit = int(query["limit"]) if query.get("limit", "").isdigit() else None
        now = datetime.fromtimestamp(self._account.clock(), UTC)
        try:
            found = lists.find(world, options, collection, query.get("filter"), limit, now)
        except lists.FilterRefused as error:
            return refused(400, str(error))
        return streamed(lists.document(found, options), len(found.records))

    async def _one(self, request: Request, collection: str, rest: str) -> Response:
        tail, _, action = rest.rstrip("/").partition("/")
        record = self._record(collection, tail)
        if record is None:
            return not_found(request.url.path)
        if request.method == "POST":
            return await self._change(request, collection, record, action)
        return not_found(request.url.path) if action else self._told(collection, record)

    def _record(self, collection: str, tail: str) -> Any:
        world = self._account.world
        found: dict[str, Callable[[], Any]] = {
            "product": lambda: world.product_at(tail),
            "order": lambda: world.orders.get(unquote(tail)),
            "facility": lambda: world.facilities.get(unquote(tail)),
            "partygroup": lambda: world.parties.get(unquote(tail)),
        }
        return found.get(collection, lambda: None)()

    def _told(self, collection: str, record: Any) -> Response:
        return said(wire.document(record, wire.columns(collection, self._account.world, self._account.options)))

    async def _create(self, request: Request, collection: str) -> Response:
        body = await _object(request)
        world, options = self._account.world, self._account.options
        if collection == "product":
            product = writes.create_product(world, options, body)
            self._account.note([Done("product", product.tail, "created", product.sku)])
            return self._told(collection, product)
        if collection == "order":
            order = writes.create_order(world, body)
            self._account.note([Done("order", order.id, "created")])
            return self._told(collection, order)
        return refused(403, f"the simulator creates no {collection}")

    async def _change(self, request: Request, collection: str, record: Any, action: str) -> Response:
        body = await _object(request)
        world = self._account.world
        try:
            if collection == "product":
                changed = (
                    writes.act_on_product(world, record, action)
                    if action
                    else writes.update_product(world, record, body)
                )
                self._account.note([Done("product", changed.tail, "updated", changed.sku)])
                return self._told(collection, changed)
            if collection == "order":
                order = writes.act_on_order(world, record, action)
                self._account.note([Done("order", order.id, action)])
                return self._told(collection, order)
        except IllegalAction as error:
            return refused(403, str(error))
        return refused(403, f"the simulator changes no {collection}")


async def _object(request: Request) -> dict[str, Any]:
    body = await request.body()
    found = json.loads(body) if body else {}
    return found if isinstance(found, dict) else {}
