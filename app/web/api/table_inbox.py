"""The operations about the inbox, and about what did not reach it."""

from __future__ import annotations

from typing import Any

from app.web.api import inbox, watching
from app.web.api.answers import Rows
from app.web.api.operation import Operation
from app.web.api.replays import ReplayLink

BASE = "/api/inbox"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        BASE,
        "Deliveries that a filter matches",
        inbox.list_events,
        Rows,
        "a page, newest first",
        inbox.EventPage,
        errors=(422,),
        heavy=True,
    ),
    Operation(
        "GET",
        BASE + "/{id:int}",
        "One delivery as received, and its outcome",
        inbox.show_event,
        dict[str, Any],
        "headers, body, verdict, and the outcome of each item",
        inbox.OfEvent,
        heavy=True,
    ),
    Operation(
        "POST",
        BASE + "/{id:int}/replay",
        "Fetch the items of one delivery again",
        inbox.replay_event,
        ReplayLink,
        "the replay waits for a worker, or is under way",
        inbox.OfEvent,
        status=202,
        errors=(409, 422),
    ),
    Operation(
        "POST",
        BASE + "/replay",
        "Fetch the items of all deliveries that a filter matches again",
        inbox.replay_events,
        ReplayLink,
        "the replay waits for a worker, or is under way",
        inbox.ReplayEvents,
        in_body=True,
        status=202,
        errors=(408, 413, 422),
        heavy=True,
    ),
    Operation(
        "GET",
        "/api/gaps",
        "Times in which nothing was heard, and what was done about each",
        watching.list_gaps,
        Rows,
        "a page, newest first; each with a sentence",
        watching.Watched,
    ),
    Operation(
        "GET",
        "/api/alerts",
        "What a person should know",
        watching.list_alerts,
        Rows,
        "a page, newest first",
        watching.Watched,
    ),
)
