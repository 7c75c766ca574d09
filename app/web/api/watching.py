"""Operations about gaps and alerts."""

from msgspec import UNSET, UnsetType

from app.flows.deps import Deps
from app.flows.inbox import outages
from app.flows.upkeep import alerts
from app.web.api.operation import Operations
from app.web.api.pages import given, one_more, rows_page
from app.web.api.params import Most, Params, RowId
from app.web.api.responses import Rows


class Watched(Params, frozen=True, kw_only=True):
    """A page of gaps or alerts."""

    limit: Most = 50
    before_id: RowId | UnsetType = UNSET


operations = Operations()


@operations.get("/api/gaps", "a page, newest first; each with a sentence")
def list_gaps(deps: Deps, params: Watched) -> Rows:
    """Times in which no webhooks arrived, and what was done about each."""
    rows = outages.list_outages(deps, limit=one_more(params.limit), before_id=given(params.before_id))
    return rows_page("/api/gaps", params, rows)


@operations.get("/api/alerts", "a page, newest first")
def list_alerts(deps: Deps, params: Watched) -> Rows:
    """What a person should know."""
    rows = alerts.list_alerts(deps, limit=one_more(params.limit), before_id=given(params.before_id))
    return rows_page("/api/alerts", params, rows)
