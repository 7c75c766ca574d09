"""Brings this host's index of what listings are called up to the newest change."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace

import structlog

from app.domain import Kind
from app.errors import InvalidRequest, Unavailable
from app.flows.deps import Deps
from app.stores import history
from app.stores.catalog.naming import CalledListing, connections_with_listings, named_listings
from app.stores.search import Entry

BATCH_SIZE = 500

PATIENCE = 4.0
"""Seconds that a question with a time limit waits for an index that is being filled."""

FILL = 600.0
"""Seconds that one without a limit waits for another process that fills the index."""

log = structlog.get_logger()


def follow(deps: Deps) -> None:
    """Bring the index up to the newest change. The first time, and after the database was replaced, it is filled anew.

    Where the database has a time limit, a thread without one fills it, and goes on when the question is over: begun again
    by every question, it would never end. Raises ``Unavailable`` while it does.
    """
    if deps.database.is_limited:
        _follow_in_time(deps)
    else:
        with deps.search.following:
            _follow(deps)


def _follow_in_time(deps: Deps) -> None:
    if not deps.search.following.acquire(timeout=PATIENCE):
        raise _being_built()
    try:
        is_newest, _ = _step_by_step(deps)
    finally:
        deps.search.following.release()
    if not is_newest:
        _fill_in_background(replace(deps, database=deps.database.unlimited()))


def _fill_in_background(deps: Deps) -> None:
    failures = list[Exception]()

    def work() -> None:
        try:
            follow(deps)
        except Exception as error:  # the question that began it may be over
            log.warning("search_index_not_filled", error=f"{type(error).__name__}: {error}")
            failures.append(error)

    thread = threading.Thread(target=work, name="search-index", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        raise _being_built()
    if failures:
        raise failures[0]


def _being_built() -> Unavailable:
    return Unavailable("the search index is being built; try again in a few seconds", retry_after=5)


def _wait(deps: Deps) -> float:
    return PATIENCE if deps.database.is_limited else FILL


def _follow(deps: Deps) -> None:
    while True:
        is_newest, cursor = _step_by_step(deps)
        if is_newest:
            return
        fill(deps, cursor)


def _step_by_step(deps: Deps) -> tuple[bool, str | None]:
    """Follow the changes behind the index's cursor; returns whether it is the newest now, and the last cursor. If it is
    not, the index has to be filled."""
    cursor = deps.search.cursor()
    while cursor is not None:
        try:
            following, is_done = _step(deps, cursor)
        except InvalidRequest:  # the cursor is of another database
            return False, cursor
        if following is None:
            return False, cursor
        if is_done:
            return True, following
        cursor = following
    return False, None


def _step(deps: Deps, text: str) -> tuple[str | None, bool]:
    """Follow some changes behind a cursor; returns the next one, ``None`` if all must be read again, and whether this was
    the last step."""
    with deps.database.read() as conn:
        last = history.end(conn)
        everywhere = sorted({*connections_with_listings(conn), *deps.search.connections()})
        changes, cursor = history.after(
            conn, history.Cursor.parse(text), everywhere, BATCH_SIZE, kinds=[Kind.PRODUCT]
        )
        ids: dict[str, list[str]] = {}
        for change in changes:
            ids.setdefault(change.connection, []).append(change.external_id)
        listings = {connection: named_listings(conn, connection, some) for connection, some in ids.items()}
    if any(change.op == history.LOADED for change in changes):
        return None, False
    following = str(cursor if changes else last)
    if following != text:
        _write(deps, text, following, ids, listings)
    return following, not changes


def _write(
    deps: Deps, text: str, following: str, ids: Mapping[str, list[str]], listings: Mapping[str, list[CalledListing]]
) -> None:
    with deps.search.writing(_wait(deps)) as index:
        if index.cursor() != text:
            return  # another process was here
        for connection, some in ids.items():
            index.remove(connection, some)
            index.put(Entry(*row) for row in listings[connection])
        index.move(following)


def fill(deps: Deps, seen: str | None) -> None:
    """Read all living listings, unless another process has done so since the index's cursor was ``seen``.

    Every connection of the database, for processes that share the index may be configured with others. Changes made
    meanwhile are shown behind the cursor, which is taken first.
    """
    count = 0
    with deps.search.writing(_wait(deps)) as index:
        if index.cursor() != seen:
            return
        with deps.database.read() as conn:
            cursor = history.end(conn)
            connections = connections_with_listings(conn)
        index.clear()
        for connection in connections:
            for entries in _all(deps, connection):
                index.put(entries)
                count += len(entries)
        index.move(str(cursor))
    log.info("search_index_filled", items=count)


def _all(deps: Deps, connection: str) -> Iterator[list[Entry]]:
    after = ""
    while True:
        with deps.database.read() as conn:
            rows = named_listings(conn, connection, after=after, limit=BATCH_SIZE * 10)
        if not rows:
            return
        yield [Entry(*row) for row in rows]
        after = rows[-1].external_id
