"""Operations about gaps and alerts."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from app.flows.deps import Deps
from app.flows.inbox import outages
from app.flows.upkeep import alerts
from app.web.api.answers import Rows
from app.web.api.asked import Asked, Most, RowId
from app.web.api.pages import before_last, one_more, page
from app.web.api.spelling import camel


class Watched(Asked, frozen=True, kw_only=True):
    """A page of gaps or alerts."""

    limit: Most = 50
    before_id: RowId | UnsetType = UNSET


def list_gaps(deps: Deps, asked: Watched) -> Rows:
    """Gaps in the deliveries, newest first."""
    found = outages.list_outages(deps, limit=one_more(asked.limit), before_id=_before(asked))
    rows, following = page("/api/gaps", asked, msgspec.to_builtins(found), before_last)
    return Rows(camel(rows), following)


def list_alerts(deps: Deps, asked: Watched) -> Rows:
    """Alerts, newest first."""
    found = alerts.list_alerts(deps, limit=one_more(asked.limit), before_id=_before(asked))
    rows, following = page("/api/alerts", asked, found, before_last)
    return Rows(camel(rows), following)


def _before(asked: Watched) -> int | None:
    return None if asked.before_id is UNSET else asked.before_id
