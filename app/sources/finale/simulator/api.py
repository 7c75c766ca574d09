"""The account's API: credentials, limits and faults before lists, records, actions, the customization, GraphQL, reports
and the old login."""

import asyncio
import base64
import hmac
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.finale.simulator import graphql, lists, reports, wire, writes
from app.sources.finale.simulator.account import Account
from app.sources.finale.simulator.answers import (
    json_answer,
    login_page,
    not_found,
    refused,
    spoiled,
    streamed,
    wrong_method,
)
from app.sources.finale.simulator.records import Done
from app.sources.finale.simulator.strict import (
    BadRequest,
    Illegal,
    NotFound,
    WrongMethod,
    login_in,
    object_in,
    only_methods,
    parameters,
    positive,
)
from app.sources.simulating.settings import is_due

COLLECTIONS = tuple(wire.COLUMNS)
PATHS = dict(zip(("product", "stock", "order", "location", "vendor"), COLLECTIONS, strict=False))
"""Where each kind of record is read."""

SESSION = "simulated-session"
"""The session of the old login; each POST must repeat it in its body."""

_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "product": ("activate", "deactivate"),
    "order": tuple(writes.ORDER_ACTIONS),
    "shipment": ("receive",),
}

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_Handler = Callable[[Request], Awaitable[Response]]


class Api:
    """Answers for one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._base = f"/{account.options.account}"

    def routes(self) -> list[Route]:
        """Everything below the account's path; any other path is a 404 in Finale's form."""
        answers: dict[str, _Handler] = {
            f"{self._base}/api/auth": self._login,
            f"{self._base}/api/graphql": self._guarded(self._graphql),
            f"{self._base}/doc/report/pivotTable/{{rest:path}}": self._guarded(self._report, login_page),
            f"{self._base}/api/{{rest:path}}": self._guarded(self._rest),
            "/{rest:path}": self._nowhere,
        }
        return [Route(path, self._explained(answer), methods=_METHODS) for path, answer in answers.items()]

    def _explained(self, handler: _Handler) -> _Handler:
        """A handler whose refusals become Finale's answers."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except BadRequest as error:
                return refused(400, str(error))
            except Illegal as error:
                return refused(403, str(error))
            except NotFound:
                return not_found(request.url.path)
            except WrongMethod as error:
                return wrong_method(error.allowed)

        return answer

    def _guarded(self, handler: _Handler, unknown: Callable[[], Response] | None = None) -> _Handler:
        """An endpoint behind credentials, limits, latency and faults; ``unknown`` answers wrong credentials."""
        explained = self._explained(handler)

        async def answer(request: Request) -> Response:
            options, limits = self._account.options, self._account.limits
            self._account.requests[f"{request.method} {request.url.path}"] += 1
            if options.latency:
                await asyncio.sleep(options.latency)
            if not self._is_known(request):
                return unknown() if unknown else refused(401, "Unauthorized")
            if options.forbidden and request.url.path.startswith(f"{self._base}/api/{PATHS[options.forbidden]}"):
                return refused(403, "You do not have permission to do this")
            headers = limits.take(request.method, is_list=self._is_list(request))
            if headers is None and is_due(options, "next_429"):
                headers = limits.refuse()
            if headers is not None:
                return Response("Too Many Requests", 429, headers)
            return await spoiled(await explained(request), options)

        return answer

    def _is_known(self, request: Request) -> bool:
        options = self._account.options
        if options.expired_token:
            return False
        if options.legacy_cookie:
            return request.cookies.get("JSESSIONID") == SESSION
        given = request.headers.get("authorization", "")
        wanted = base64.b64encode(f"{options.api_key}:{options.api_secret}".encode()).decode()
        return hmac.compare_digest(given.encode(), f"Basic {wanted}".encode())

    def _is_list(self, request: Request) -> bool:
        return request.method == "GET" and request.path_params.get("rest", "").rstrip("/") in COLLECTIONS

    async def _nowhere(self, request: Request) -> Response:
        return not_found(request.url.path)

    async def _login(self, request: Request) -> Response:
        """The old login: accepts any name and password, sets a cookie, and returns the addresses of the collections
        in the two spellings of its two documents."""
        only_methods(request, "POST")
        parameters(request)
        if not self._account.options.legacy_cookie:
            return refused(401, "Unauthorized")
        await login_in(request)
        spelled = {f"resource{name.title()}{end}": name for name in COLLECTIONS for end in ("", "Url")}
        answer = json_answer({"name": "test", **{key: f"{self._base}/api/{name}/" for key, name in spelled.items()}})
        answer.set_cookie("JSESSIONID", SESSION)
        return answer

    async def _graphql(self, request: Request) -> Response:
        only_methods(request, "POST")
        parameters(request)
        return json_answer(graphql.answer(self._account.world, await object_in(request)))

    async def _report(self, request: Request) -> Response:
        only_methods(request, "GET")
        if not request.url.path.endswith(".json"):
            raise NotFound
        return json_answer(reports.rows(self._account.world, parameters(request, *reports.PARAMETERS)))

    async def _rest(self, request: Request) -> Response:
        """A list, a record, the customization, or the result of a POST. Raises the exceptions of ``strict``."""
        # the raw path, because a tail is percent-encoded and stays so
        path = request.scope["raw_path"].decode().split("?")[0].removeprefix(f"{self._base}/api/")
        collection, slash, rest = path.partition("/")
        if path.rstrip("/") == "customization":
            only_methods(request, "GET")
            parameters(request)
            return json_answer(wire.customization())
        if collection not in COLLECTIONS:
            raise NotFound
        if rest:
            return await self._one(request, collection, rest)
        if collection == "inventoryitem" and not slash:
            raise NotFound
        return await self._collection(request, collection)

    async def _collection(self, request: Request, collection: str) -> Response:
        only_methods(request, *(("GET",) if collection == "inventoryitem" else ("GET", "POST")))
        if request.method == "GET":
            return self._list(request, collection)
        parameters(request)
        return self._shown(collection, self._created(collection, await self._body(request)))

    def _list(self, request: Request, collection: str) -> Response:
        world = self._account.world
        given = parameters(request, "filter", "limit", "offset")  # offset is known, and ignored
        limit = positive(given.get("limit"), "limit")
        now = datetime.fromtimestamp(self._account.clock(), UTC)
        listed = lists.find(world, collection, given.get("filter"), limit, now)
        return streamed(lists.document(listed, world.options), len(listed.records))

    async def _one(self, request: Request, collection: str, rest: str) -> Response:
        tail, _, action = rest.rstrip("/").partition("/")
        only_methods(request, *(("POST",) if action in _ACTIONS.get(collection, ()) else ("GET", "POST")))
        parameters(request)
        record = self._record(collection, tail)
        if record is None or (action and action not in _ACTIONS.get(collection, ())):
            raise NotFound
        if request.method == "GET":
            return self._shown(collection, record)
        return self._shown(collection, self._changed(collection, record, action, await self._body(request)))

    async def _body(self, request: Request) -> dict[str, Any]:
        body = await object_in(request)
        if self._account.options.legacy_cookie and body.pop("sessionSecret", None) != SESSION:
            raise Illegal("sessionSecret is missing or wrong")
        return body

    def _record(self, collection: str, tail: str) -> Any:
        world = self._account.world
        finders: dict[str, Callable[[], Any]] = {
            "product": lambda: world.product_at(tail),
            "order": lambda: world.orders.get(unquote(tail)),
            "facility": lambda: world.facilities.get(unquote(tail)),
            "partygroup": lambda: world.parties.get(unquote(tail)),
            "shipment": lambda: world.shipments.get(unquote(tail)),
        }
        return finders.get(collection, lambda: None)()

    def _shown(self, collection: str, record: Any) -> Response:
        return json_answer(wire.document(record, wire.COLUMNS[collection](self._account.world)))

    def _created(self, collection: str, body: dict[str, Any]) -> Any:
        world = self._account.world
        if collection == "product":
            product = writes.create_product(world, body)
            self._account.note([Done("product", product.tail, "created", product.sku)])
            return product
        if collection == "order":
            order = writes.create_order(world, body)
            self._account.note([Done("order", order.id, "created")])
            return order
        raise Illegal(f"the simulator creates no {collection}")

    def _changed(self, collection: str, record: Any, action: str, body: dict[str, Any]) -> Any:
        world = self._account.world
        if collection == "product":
            product = (
                writes.act_on_product(world, record, action) if action else writes.update_product(world, record, body)
            )
            self._account.note([Done("product", product.tail, "updated", product.sku)])
            return product
        if collection == "order" and action:
            order = writes.act_on_order(world, record, action)
            self._account.note([Done("order", order.id, action)])
            return order
        if collection == "shipment" and action:
            done = writes.receive(world, record)
            self._account.note(done)
            return world.shipments[record.id]
        raise Illegal(f"the simulator changes no {collection}")
