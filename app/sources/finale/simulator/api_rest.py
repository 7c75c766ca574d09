"""Lists, records and actions of the account's collections, and its customization."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from app.sources.finale.simulator import lists, wire, writes
from app.sources.finale.simulator.account import Account
from app.sources.finale.simulator.answers import json_answer, streamed
from app.sources.finale.simulator.records import Done
from app.sources.finale.simulator.strict import Illegal, NotFound, object_in, only_methods, parameters, positive

COLLECTIONS = ("product", "inventoryitem", "order", "facility", "partygroup", "shipment")
PATHS = dict(zip(("product", "stock", "order", "location", "vendor"), COLLECTIONS, strict=False))
"""Where each kind of record is read."""

SESSION = "simulated-session"
"""The session of the old login; each POST must repeat it in its body."""

_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "product": ("activate", "deactivate"),
    "order": tuple(writes.ORDER_ACTIONS),
    "shipment": ("receive",),
}


class Rest:
    """Answers everything below ``/{account}/api/``."""

    def __init__(self, account: Account, base: str) -> None:
        self._account = account
        self._base = f"{base}/api/"

    async def answer(self, request: Request) -> Response:
        """A list, a record, the customization, or the result of a POST. Raises the exceptions of ``strict``."""
        # the raw path, because a tail is percent-encoded and stays so
        path = request.scope["raw_path"].decode().split("?")[0].removeprefix(self._base)
        collection, slash, rest = path.partition("/")
        if path.rstrip("/") == "customization":
            only_methods(request, "GET")
            parameters(request)
            return json_answer(wire.customization())
        if collection not in COLLECTIONS:
            raise NotFound
        if rest:
            return await self._one(request, collection, rest)
        needs_slash = collection == "inventoryitem" or self._account.options.strict_slash
        if needs_slash and not slash:
            raise NotFound
        return await self._collection(request, collection)

    async def _collection(self, request: Request, collection: str) -> Response:
        only_methods(request, *(("GET",) if collection == "inventoryitem" else ("GET", "POST")))
        if request.method == "GET":
            return self._list(request, collection)
        parameters(request)
        return self._shown(collection, self._created(collection, await self._body(request)))

    def _list(self, request: Request, collection: str) -> Response:
        world, options = self._account.world, self._account.options
        given = parameters(request, "filter", "limit", "offset")  # offset is known, and ignored
        limit = positive(given.get("limit"), "limit")
        now = datetime.fromtimestamp(self._account.clock(), UTC)
        listed = lists.find(world, options, collection, given.get("filter"), limit, now)
        return streamed(lists.document(listed, options), len(listed.records))

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
        return json_answer(
            wire.document(record, wire.columns(collection, self._account.world, self._account.options))
        )

    def _created(self, collection: str, body: dict[str, Any]) -> Any:
        world, options = self._account.world, self._account.options
        if collection == "product":
            product = writes.create_product(world, options, body)
            self._account.note([Done("product", product.tail, "created", product.sku)])
            return product
        if collection == "order":
            order = writes.create_order(world, body)
            self._account.note([Done("order", order.id, "created")])
            return order
        raise Illegal(f"the simulator creates no {collection}")

    def _changed(self, collection: str, record: Any, action: str, body: dict[str, Any]) -> Any:
        world, options = self._account.world, self._account.options
        if collection == "product":
            product = (
                writes.act_on_product(world, record, action)
                if action
                else writes.update_product(world, options, record, body)
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
