"""The simulated inventory calls: counts, and the changes that made them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.simulating.answers import Json
from app.sources.square.simulator.answers import invalid, not_found, reply
from app.sources.square.simulator.counts import NEWEST, TRANSFERS_UNTIL, Change, Count, change_json, reason
from app.sources.square.simulator.request_catalog import ChangesRequest, ChangeType, CountsRequest, Sort
from app.sources.square.simulator.strict import listed, one_of, parameters, request_body, stamp, version_of
from app.sources.square.simulator.world import World

ROWS = 100
IGNORED = frozenset({"NONE", "SOLD", "UNLINKED_RETURN"})
"""Documented: a filter by these states is ignored."""
USUAL_CHANGES: tuple[ChangeType, ...] = ("PHYSICAL_COUNT", "ADJUSTMENT")
Key = tuple[int, int]
"""When a change occurred, and its number."""


class ChangeQuery(NamedTuple):
    """A search for changes in an evaluated form; times in microseconds, both exclusive. No ids or locations means
    all."""

    wares: Sequence[int] | None = None
    locations: frozenset[str] = frozenset()
    types: Sequence[str] = USUAL_CHANGES
    states: Sequence[str] = ()
    reasons: Sequence[str] = ()
    after: int = -1
    before: int = NEWEST
    newest_first: bool = False
    version: str = ""


class InventoryApi:
    """/v2/inventory."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.routes = [
            Route("/v2/inventory/counts/batch-retrieve", self.counts, methods=["POST"]),
            Route("/v2/inventory/batch-retrieve-counts", self.counts, methods=["POST"]),
            Route("/v2/inventory/changes/batch-retrieve", self.changes, methods=["POST"]),
            Route("/v2/inventory/batch-retrieve-changes", self.changes, methods=["POST"]),
            *(
                Route(f"/v2/inventory/{path}/{{change_id}}", self.change)
                for path in ("adjustments", "adjustment", "physical-counts", "physical-count")
            ),
            Route("/v2/inventory/{variation_id}", self.counts_of_one),
            Route("/v2/inventory/{variation_id}/changes", self.changes_of_one),
        ]

    async def counts(self, request: Request) -> Response:
        """The newest first, 100 a page unless requested otherwise; absent counts are left out, not zero."""
        body, wanted = await request_body(request, CountsRequest)
        return self._counts_page("counts", body, wanted)

    async def counts_of_one(self, request: Request) -> Response:
        """Counts of one variation."""
        given = parameters(request, "location_ids", "cursor")
        id_ = request.path_params["variation_id"]
        wanted = CountsRequest(catalog_object_ids=[id_], location_ids=listed(given, "location_ids"))
        return self._counts_page(f"counts/{id_}", given, wanted)

    def _counts_page(self, path: str, body: Json, wanted: CountsRequest) -> Response:
        limit = wanted.limit or ROWS
        counts, cursor = self._world.pages.page(path, body, lambda at: self._counts(wanted, at), limit)
        return reply(counts=counts, cursor=cursor)

    def _counts(self, wanted: CountsRequest, at: int | None) -> Iterator[tuple[int, Json]]:
        after = stamp(wanted.updated_after, -1)
        states = [state for state in wanted.states or [] if state not in IGNORED]
        for count in self._candidates(wanted.catalog_object_ids, at or NEWEST):
            if count.stamp <= after:
                return
            row = self._world.count_json(count)
            here = not wanted.location_ids or row["location_id"] in wanted.location_ids
            if here and (not states or row["state"] in states):
                yield count.stamp + 1, row

    def _candidates(self, ids: Sequence[str] | None, below: int) -> Iterator[Count]:
        if not ids:
            return self._world.counts.newest_first(below)
        rows = [count for number in self._wares(ids) for count in self._world.counts.of(number)]
        return iter(sorted((row for row in rows if row.stamp < below), key=lambda row: -row.stamp))

    def _wares(self, ids: Sequence[str]) -> list[int]:
        places = (self._world.catalog.place_of(one, "VAR") for one in dict.fromkeys(ids))
        return [number for number in places if number is not None]

    async def changes(self, request: Request) -> Response:
        """The oldest first, 100 a page unless requested otherwise.

        Versions before 2026-07-15 have transfers as a type of their own, shown only on request.
        """
        body, wanted = await request_body(request, ChangesRequest)
        version = version_of(request)
        if wanted.states and wanted.reason_ids:
            raise invalid("states and reason_ids exclude each other.", "CONFLICTING_PARAMETERS", "reason_ids")
        if version >= TRANSFERS_UNTIL:
            one_of(wanted.types or (), USUAL_CHANGES, "types")
        return self._changes_page("changes", body, wanted, version)

    async def changes_of_one(self, request: Request) -> Response:
        """Changes of one variation, the newest first."""
        given = parameters(request, "location_ids", "cursor")
        id_, version = request.path_params["variation_id"], version_of(request)
        wanted = ChangesRequest(
            catalog_object_ids=[id_],
            location_ids=listed(given, "location_ids"),
            types=[*USUAL_CHANGES, "TRANSFER"],
            sort=Sort(order="DESC"),
        )
        return self._changes_page(f"changes/{id_}", given, wanted, version)

    def _changes_page(self, path: str, body: Json, wanted: ChangesRequest, version: str) -> Response:
        query = ChangeQuery(
            wares=self._wares(wanted.catalog_object_ids) if wanted.catalog_object_ids else None,
            locations=frozenset(wanted.location_ids or ()),
            types=wanted.types or USUAL_CHANGES,
            states=wanted.states or (),
            reasons=[one.type for one in wanted.reason_ids or ()],
            after=stamp(wanted.updated_after, -1),
            before=stamp(wanted.updated_before, NEWEST),
            newest_first=wanted.sort is not None and wanted.sort.order == "DESC",
            version=version,
        )
        limit = wanted.limit or ROWS
        changes, cursor = self._world.pages.page(path, body, lambda at: self._changes(query, at), limit)
        return reply(changes=changes, cursor=cursor)

    async def change(self, request: Request) -> Response:
        """One adjustment, or one stock take."""
        parameters(request)
        id_, version = request.path_params["change_id"], version_of(request)
        kind = "adjustment" if "/adjustment" in request.url.path else "physical_count"
        named = (one for one in self._in_order(ChangeQuery(), None) if one.id == id_)
        change = next((one for one in named if one.type_at(version).lower() == kind), None)
        if change is None:
            raise not_found(f"Could not find {kind.replace('_', ' ')} with id {id_}.")
        shown = self._change_json(change, version)
        return reply(**{"count" if kind == "physical_count" else kind: shown[kind]})

    def _changes(self, query: ChangeQuery, at: Key | None) -> Iterator[tuple[Any, Json]]:
        """The fitting changes in their order, from a key on."""
        for one in self._in_order(query, at):
            key = _key(one)
            behind = at is not None and (key > at if query.newest_first else key < at)
            if not behind and self._fits(one, query):
                yield key, self._change_json(one, query.version)

    def _in_order(self, query: ChangeQuery, at: Key | None) -> Iterator[Change]:
        """The changes of the opening come ware by ware, before all others."""
        counts, down = self._world.counts, query.newest_first
        wares: Sequence[int] = range(counts.base_wares) if query.wares is None else sorted(set(query.wares))
        if at is not None and (place := counts.opened_with(at[1])) is not None:
            wares = wares[: bisect_right(wares, place)] if down else wares[bisect_left(wares, place) :]
        moves = (one for one in counts.moves if query.wares is None or one.ware in query.wares)
        later = sorted(moves, key=_key, reverse=down)
        if down:
            return chain(later, (one for ware in reversed(wares) for one in reversed([*counts.opening(ware)])))
        return chain((one for ware in wares for one in counts.opening(ware)), later)

    def _fits(self, change: Change, query: ChangeQuery) -> bool:
        """States and reasons filter adjustments only, as documented."""
        kind = change.type_at(query.version)
        here = {self._world.location_ids[place] for place, _ in change.spots()}
        return (
            kind in query.types
            and query.after < change.stamp < query.before
            and (not query.locations or bool(here & query.locations))
            and (
                kind != "ADJUSTMENT" or not query.states or any(state in query.states for _, state in change.spots())
            )
            and (kind != "ADJUSTMENT" or not query.reasons or reason(change) in query.reasons)
        )

    def _change_json(self, change: Change, version: str) -> Json:
        return change_json(change, self._world.catalog.variation_id(change.ware), self._world.location_ids, version)


def _key(change: Change) -> Key:
    return change.occurred, change.number
