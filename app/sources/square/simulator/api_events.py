"""The simulated Events API."""

from collections.abc import Mapping
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sources.square.simulator.answers import ApiError, reply
from app.sources.square.simulator.pages import from_place
from app.sources.square.simulator.request_orders import EventFilter, EventQuery, EventSearch, TimeRange
from app.sources.square.simulator.scopes import known_types
from app.sources.square.simulator.strict import check_version, parameters, request_body, stamp
from app.sources.square.simulator.webhooks import API_VERSION, Event
from app.sources.square.simulator.world import World

MOST_ROWS = 100


class EventsApi:
    """/v2/events."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.routes = [
            Route("/v2/events", self.search, methods=["POST"]),
            Route("/v2/events/types", self.types),
            Route("/v2/events/enable", self.enable, methods=["PUT"]),
            Route("/v2/events/disable", self.disable, methods=["PUT"]),
        ]

    async def search(self, request: Request) -> Response:
        """Events that happened while the API was enabled, in the last 28 days."""
        if not self._world.options.events_enabled:
            raise ApiError(
                403, "AUTHENTICATION_ERROR", "FORBIDDEN", "Events search is disabled for this application."
            )
        body, wanted = await request_body(request, EventSearch)
        query = wanted.query or EventQuery()
        filter_ = query.filter or EventFilter()
        times = filter_.created_at or TimeRange()
        events = self._world.outbox.recorded(stamp(times.start_at, 0), stamp(times.end_at, 1 << 62))
        events = [one for one in events if not filter_.event_types or one.type in filter_.event_types]
        if filter_.merchant_ids or filter_.location_ids:
            events = [one for one in events if _is_at(one, filter_)]
        rows = events[:: -1 if query.sort and query.sort.order == "DESC" else 1]
        events, cursor = self._world.pages.page("events", body, partial(from_place, rows), wanted.limit or MOST_ROWS)
        metadata = [{"event_id": one.id, "api_version": API_VERSION} for one in events]
        shown = [msgspec.Raw(one.body) for one in events]
        return reply(events=shown, metadata=metadata, cursor=cursor)

    async def types(self, request: Request) -> Response:
        """Every type that events can be searched by."""
        return types_reply(parameters(request, "api_version"))

    async def enable(self, request: Request) -> Response:
        """From now on events are kept."""
        parameters(request)
        return self._switched(True)

    async def disable(self, request: Request) -> Response:
        """From now on they are not."""
        parameters(request)
        return self._switched(False)

    def _switched(self, enabled: bool) -> Response:
        self._world.options.events_enabled = enabled
        self._world.on_change()
        return reply()


def types_reply(given: Mapping[str, str]) -> Response:
    """The event types of the requested version of the API, else of the newest one."""
    version = given.get("api_version")
    check_version(version, "api_version")
    types = {name: one for name, one in known_types().items() if version is None or one.since <= version}
    rows = [
        {"event_type": name, "api_version_introduced": one.since, "release_status": one.release}
        for name, one in types.items()
    ]
    return reply(event_types=list(types), metadata=rows)


def _is_at(event: Event, filter_: EventFilter) -> bool:
    """Whether an event is about one of the merchants and locations."""
    envelope = msgspec.json.decode(event.body, type=_Envelope)
    here = not filter_.location_ids or envelope.location_id in filter_.location_ids
    return here and (not filter_.merchant_ids or envelope.merchant_id in filter_.merchant_ids)


class _Envelope(msgspec.Struct):
    merchant_id: str | None = None
    location_id: str | None = None
