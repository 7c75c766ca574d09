"""Operations about gaps and alerts."""

import msgspec
from msgspec import UNSET, UnsetType

from app.flows.deps import Deps
from app.flows.inbox import outages
from app.flows.upkeep import alerts
from app.web.api.operation import Operation
from app.web.api.pages import before_last, one_more, page
from app.web.api.params import Most, Params, RowId
from app.web.api.responses import Rows
from app.web.api.spelling import camel


class Watched(Params, frozen=True, kw_only=True):
    """A page of gaps or alerts."""

    limit: Most = 50
    before_id: RowId | UnsetType = UNSET


def list_gaps(deps: Deps, params: Watched) -> Rows:
    """Gaps in the deliveries, newest first."""
    found = outages.list_outages(deps, limit=one_more(params.limit), before_id=_before(params))
    rows, following = page("/api/gaps", params, msgspec.to_builtins(found), before_last)
    return Rows(camel(rows), following)


def list_alerts(deps: Deps, params: Watched) -> Rows:
    """Alerts, newest first."""
    found = msgspec.to_builtins(alerts.list_alerts(deps, limit=one_more(params.limit), before_id=_before(params)))
    rows, following = page("/api/alerts", params, found, before_last)
    return Rows(camel(rows), following)


def _before(params: Watched) -> int | None:
    return None if params.before_id is UNSET else params.before_id


OPERATIONS = (
    Operation(
        "GET",
        "/api/gaps",
        list_gaps,
        "Times in which nothing was heard, and what was done about each",
        "a page, newest first; each with a sentence",
    ),
    Operation("GET", "/api/alerts", list_alerts, "What a person should know", "a page, newest first"),
)
