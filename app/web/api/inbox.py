"""Operations about the inbox: look at deliveries, fetch their items again; and about gaps and alerts."""

from typing import Annotated

from msgspec import Meta

from app.flows.deps import Deps
from app.flows.inbox import inbox, outages
from app.flows.inbox.inbox import DeliveryView
from app.flows.letters.replay import RATE
from app.flows.upkeep import alerts
from app.web.api.operation import Operations
from app.web.api.params import Page, Params
from app.web.api.replays import WAITS, Name, Rate, ReplayLink, link
from app.web.api.responses import Rows, given, one_more, rows_page

INBOX = "/api/inbox"

Filter = Annotated[
    str,
    Meta(
        max_length=2000,
        description="terms like connection:acme type:order.* item:A outcome:dead since:2h; all must hold. Without a "
        "time, terms about item, kind, type or outcome cover the last 7 days",
        examples=["outcome:dead since:2h"],
    ),
]
EventId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="an event's number")]


class EventPage(Page, frozen=True):
    """A page of deliveries."""

    filter: Filter = ""


class ReplayEvents(Params, frozen=True, kw_only=True):
    """The items of all deliveries that a filter matches, each once."""

    filter: Filter
    name: Name
    rate: Rate = RATE
    canary: bool = True


operations = Operations()


@operations.get(INBOX, "a page, newest first", heavy=True)
def list_events(deps: Deps, params: EventPage) -> Rows:
    """Deliveries that a filter matches."""
    before = given(params.before_id)
    events = inbox.find(deps, params.filter, limit=one_more(params.limit), before_id=before)
    return rows_page(INBOX, params, events)


@operations.get(INBOX + "/{id:int}", "headers, body, verdict, and the outcome of each item", heavy=True)
def show_event(deps: Deps, id: EventId) -> DeliveryView:
    """One delivery as received, and its outcome."""
    return inbox.show(deps, id)


@operations.post(INBOX + "/{id:int}/replay", WAITS, status=202, errors=(409, 422))
def replay_event(deps: Deps, id: EventId) -> ReplayLink:
    """Fetch the items of one delivery again."""
    return link(deps, inbox.replay_event(deps, id))


@operations.post(INBOX + "/replay", WAITS, status=202, heavy=True)
def replay_events(deps: Deps, params: ReplayEvents) -> ReplayLink:
    """Fetch the items of all deliveries that a filter matches again."""
    return link(deps, inbox.replay_events(deps, params.filter, params.name, rate=params.rate, canary=params.canary))


@operations.get("/api/gaps", "a page, newest first; each with a sentence")
def list_gaps(deps: Deps, params: Page) -> Rows:
    """Times in which nothing was heard, and what was done about each."""
    found = outages.list_outages(deps, limit=one_more(params.limit), before_id=given(params.before_id))
    return rows_page("/api/gaps", params, found)


@operations.get("/api/alerts", "a page, newest first")
def list_alerts(deps: Deps, params: Page) -> Rows:
    """What a person should know."""
    found = alerts.list_alerts(deps, limit=one_more(params.limit), before_id=given(params.before_id))
    return rows_page("/api/alerts", params, found)
