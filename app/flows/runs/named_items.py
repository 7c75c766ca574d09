"""Items that a dry run's pages only name: a real run owes them, to be fetched right after; here they are fetched now, so
that the rows they bring and the calls they cost can be told."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from app.domain import Cause, Change, Kind, Ref, batches
from app.flows.deps import Deps
from app.flows.items.pull import BATCH_SIZE, NewlyOwed, owe_unknown_in
from app.flows.runs.dry_run import taken_back
from app.flows.runs.run_items import fetch_some
from app.flows.runs.run_state import Course


def named_news(deps: Deps, connection: str, kind: Kind, changes: Sequence[Change]) -> NewlyOwed:
    """What ``owe_unknown`` would say of these hints; nothing is owed."""
    news = NewlyOwed(0, [])

    def owe(conn: Connection) -> None:
        nonlocal news
        for some in batches(changes, BATCH_SIZE):
            found = owe_unknown_in(conn, connection, kind, some, Cause.RECONCILE, deps.now())
            news = NewlyOwed(news.unseen + found.unseen, news.fresh + found.fresh)

    taken_back(deps, owe)
    return news


def rehearse_named(course: Course, kind: Kind, news: NewlyOwed) -> None:
    """Fetch what would be owed, and note what that would write. A run that goes on here begins behind the last one."""
    after = course.checkpoint.after
    ids = [id for id in sorted(key.external_id for key in news.fresh) if after is None or id > after]
    for some in batches(ids, course.source.batch_size(kind)):
        course.progress.batch = f"{kind} {some[0]} to {some[-1]}"
        course.count(kind, processed=-len(some))  # as ones that were named they are counted by who read the page
        fetch_some(course, [Ref(kind, id) for id in some])
