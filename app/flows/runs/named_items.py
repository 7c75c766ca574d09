"""Items that the pages of a dry run only name. A real run owes them to the workers; a dry run fetches them itself, so that
it knows the rows that they bring and the calls that they cost."""

from collections.abc import Sequence

from sqlalchemy import Connection

from app.domain import Cause, Change, Kind, Ref, batches
from app.flows.deps import Deps
from app.flows.items.owing import NewlyOwed, owe_unknown_in
from app.flows.runs.dry_run import rolled_back
from app.flows.runs.run_items import fetch_some
from app.flows.runs.run_state import ActiveRun
from app.rules.runs.kind_counts import KindCounts


def named_news(deps: Deps, connection: str, kind: Kind, changes: Sequence[Change]) -> NewlyOwed:
    """What ``owe_unknown`` would return for these changes; nothing is owed."""

    def owe(conn: Connection) -> NewlyOwed:
        return owe_unknown_in(conn, connection, kind, changes, Cause.RECONCILE, deps.now())

    return rolled_back(deps, owe)


def dry_run_named(run: ActiveRun, kind: Kind, news: NewlyOwed) -> None:
    """Fetch what would be owed, and write down what that would change. A resumed run begins after the last item."""
    after = run.checkpoint.after
    ids = [id for id in sorted(key.external_id for key in news.fresh) if after is None or id > after]
    for some in batches(ids, run.source.batch_size(kind)):
        run.progress.batch = f"{kind} {some[0]} to {some[-1]}"
        run.count(kind, KindCounts(processed=-len(some)))  # the reader of the page counts them as named
        fetch_some(run, [Ref(kind, id) for id in some])
