"""The ways in which one row can become wrong, each with the right reason."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple

from app.domain import ALL_ITEMS, Cause, Kind, Strategy
from app.errors import TallyhookError, Unavailable, Unmappable
from app.flows.letters.letter_actions import discard
from app.prove.truth.shop import PLACE, STATE
from app.prove.truth.story import Story, later
from app.rules.drift.drift import DriftCause

PRODUCT, STOCK = Kind.PRODUCT, Kind.STOCK
HOUR = timedelta(hours=1)


Befalls = Callable[[Story, str], None]

TABLES = {PRODUCT: ("listings", "external_id"), STOCK: ("stock", "listing_id")}
"""The table of a kind, and the column that names the product."""

UNREADABLE_PRICE = Unmappable("price is x")


class Injury(NamedTuple):
    """What becomes of a product ``id`` (or its count), and the reason that should be told of it."""

    cause: DriftCause
    befalls: Befalls


def _all(*parts: Befalls) -> Befalls:
    """One after the other."""

    def befalls(story: Story, id: str) -> None:
        for part in parts:
            part(story, id)

    return befalls


def _edited(story: Story, id: str) -> None:
    story.harm(PRODUCT, id)


def _recounted(story: Story, id: str) -> None:
    story.harm(STOCK, id)


def _edited_twice(story: Story, id: str) -> None:
    story.harm(PRODUCT, id)
    story.after(timedelta(minutes=9), lambda: story.harm(PRODUCT, id))


def _new_product(story: Story, id: str) -> None:
    story.shop.put(f"{id}-new", story.now)
    story.wrong(PRODUCT, f"{id}-new", story.now)


def _silent(story: Story, id: str) -> None:
    story.shop.put_silently(id, name=f"silent {id}")
    story.wrong(PRODUCT, id, story.now)


def _gone(story: Story, id: str) -> None:
    del story.shop.products[id]
    story.wrong(PRODUCT, id, story.now)


def _owed(kind: Kind) -> Befalls:
    return lambda story, id: story.event(kind, id, work=False)


def _owed_in_the_run(story: Story, id: str) -> None:
    story.during(lambda: story.event(PRODUCT, id, work=False))


def _whole_owed(kind: Kind, cause: Cause) -> Befalls:
    return lambda story, id: story.owe_whole(kind, cause)


def _polled(story: Story, id: str) -> None:
    story.owe_whole(PRODUCT)
    story.work(PRODUCT, ALL_ITEMS)


def _poll_failing(story: Story, id: str) -> None:
    story.shop.refuses[PRODUCT] = Unavailable("503")
    _polled(story, id)
    story.before(lambda: story.shop.refuses.clear())


def _hours_late(story: Story, id: str) -> None:
    story.afterwards(story.rng.uniform(0.5, 9.0) * HOUR, lambda: story.event(PRODUCT, id))


def _in_the_run(story: Story, id: str) -> None:
    story.during(lambda: story.harm(PRODUCT, id))
    story.afterwards(story.rng.uniform(0.0, 0.1) * HOUR, lambda: story.event(PRODUCT, id))


def _failing(kind: Kind, error: TallyhookError) -> Befalls:
    """A worker cannot fetch it."""

    def befalls(story: Story, id: str) -> None:
        story.shop.poison[id] = error
        story.event(kind, id)
        story.before(lambda: story.shop.poison.clear())

    return befalls


def _discarded(story: Story, id: str) -> None:
    story.after(later(5), lambda: discard(story.deps, f"item:{id}", "nobody needs it"))


def _unreadable(story: Story, id: str) -> None:
    story.shop.unreadable.add(id)
    story.before(lambda: story.shop.unreadable.clear())


def _read_by_a_run(story: Story, id: str) -> None:
    story.read(Strategy.CATALOG)


def _superseded(story: Story, id: str) -> None:
    """An old letter, made good by a later event; then an event is dropped."""
    story.edit(id)
    story.shop.poison[id] = UNREADABLE_PRICE
    story.event(PRODUCT, id)

    def good() -> None:
        story.shop.poison.pop(id, None)
        story.edit_with_event(id)

    story.after(later(4), good)
    story.after(later(9), lambda: story.harm(PRODUCT, id))


def _by_hand(statement: str, kind: Kind = PRODUCT) -> Befalls:
    """A statement about the row by a person; ``TABLE`` in it is the table."""
    table, key = TABLES[kind]

    def befalls(story: Story, id: str) -> None:
        moment = f"'{story.now:%Y-%m-%d %H:%M:%S}.000000'"
        if story.database.dialect == "postgresql":
            moment = f"'{story.now:%Y-%m-%d %H:%M:%S}+00'"
        written = statement.replace("TABLE", table).replace("MOMENT", moment)
        story.by_hand(f"{written} WHERE {key} = '{id}'")
        story.wrong(kind, id, story.now)

    return befalls


def _inserted_by_hand(kind: Kind, columns: str) -> Befalls:
    """A person copies the row under another key; ``columns`` are those that it needs beside the key and ours."""
    table, key = TABLES[kind]
    columns = f"connection, {key}, {columns}, deleted, version, row_hash, read_at, written_at"

    def befalls(story: Story, id: str) -> None:
        values = columns.replace(key, f"'{id}-mine'").replace("sku", f"'{id}-mine'")
        story.by_hand(f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table} WHERE {key} = '{id}'")
        story.wrong(kind, f"{id}-mine", story.now)

    return befalls


def _stale(story: Story, id: str) -> None:
    story.shop.stale[id] = story.shop.products[id]
    story.harm(PRODUCT, id)
    story.after(later(1), lambda: story.event(PRODUCT, id))
    story.before(lambda: story.shop.stale.clear())


def item(kind: Kind, id: str) -> str:
    """A row's key, joined."""
    return id if kind is PRODUCT else f"{id}/{PLACE}/{STATE}"


_dead = _failing(PRODUCT, UNREADABLE_PRICE)

INJURIES: Mapping[str, Injury] = {
    "webhook dropped": Injury(DriftCause.MISSED, _edited),
    "webhook of a count dropped": Injury(DriftCause.MISSED, _recounted),
    "two webhooks dropped": Injury(DriftCause.MISSED, _edited_twice),
    "webhook of a new product dropped": Injury(DriftCause.MISSED, _new_product),
    "silent edit": Injury(DriftCause.SILENT, _silent),
    "deletion without an event": Injury(DriftCause.MISSED, _gone),
    "old letter made good, then an event dropped": Injury(DriftCause.MISSED, _superseded),
    "owed in a backlog": Injury(DriftCause.LATE, _all(_edited, _owed(PRODUCT))),
    "deletion owed in a backlog": Injury(DriftCause.LATE, _all(_gone, _owed(PRODUCT))),
    "count owed in a backlog": Injury(DriftCause.LATE, _all(_recounted, _owed(STOCK))),
    "owed during the run": Injury(DriftCause.LATE, _all(_edited, _owed_in_the_run)),
    "whole kind owed": Injury(DriftCause.LATE, _all(_edited, _whole_owed(PRODUCT, Cause.WEBHOOK))),
    "whole stock owed": Injury(DriftCause.LATE, _all(_recounted, _whole_owed(STOCK, Cause.POLL))),
    "event hours after the run": Injury(DriftCause.LATE, _all(_edited, _hours_late)),
    "changed during the run": Injury(DriftCause.LATE, _in_the_run),
    "dead letter": Injury(DriftCause.FAILED, _all(_edited, _dead)),
    "count in a dead letter": Injury(
        DriftCause.FAILED, _all(_recounted, _failing(STOCK, Unmappable("quantity is x")))
    ),
    "deletion in a dead letter": Injury(DriftCause.FAILED, _all(_gone, _dead)),
    "discarded letter": Injury(DriftCause.FAILED, _all(_edited, _dead, _discarded)),
    "retrying": Injury(DriftCause.FAILED, _all(_edited, _failing(PRODUCT, Unavailable("503")))),
    "failed in a read": Injury(DriftCause.FAILED, _all(_edited, _unreadable, _polled)),
    "failed in a run": Injury(DriftCause.FAILED, _all(_edited, _unreadable, _read_by_a_run)),
    "poll failing": Injury(DriftCause.FAILED, _all(_edited, _poll_failing)),
    "update by hand": Injury(DriftCause.LOCAL, _by_hand("UPDATE TABLE SET name = 'mine'")),
    "count updated by hand": Injury(DriftCause.LOCAL, _by_hand("UPDATE TABLE SET quantity = quantity + 5", STOCK)),
    "update by hand moving written_at": Injury(
        DriftCause.LOCAL, _by_hand("UPDATE TABLE SET name = 'mine', written_at = MOMENT")
    ),
    "update by hand setting row_hash": Injury(
        DriftCause.LOCAL, _by_hand("UPDATE TABLE SET name = 'mine', row_hash = 12345")
    ),
    "soft delete by hand": Injury(DriftCause.LOCAL, _by_hand("UPDATE TABLE SET deleted = true")),
    "delete by hand": Injury(DriftCause.LOCAL, _by_hand("DELETE FROM TABLE")),
    "count deleted by hand": Injury(DriftCause.LOCAL, _by_hand("DELETE FROM TABLE", STOCK)),
    "insert by hand": Injury(DriftCause.LOCAL, _inserted_by_hand(PRODUCT, "sku, name, active")),
    "count inserted by hand": Injury(DriftCause.LOCAL, _inserted_by_hand(STOCK, "location_id, state, quantity")),
    "vendor answered stale": Injury(DriftCause.STALE, _stale),
}
"""The injuries by name. ``disasters`` has those that harm many rows."""

POLLS_MEND = frozenset(name for name, one in INJURIES.items() if one.cause is not DriftCause.LOCAL) - {
    "silent edit",
    "deletion without an event",
    "deletion owed in a backlog",
    "deletion in a dead letter",
    "vendor answered stale",
    "failed in a read",
    "failed in a run",
}
"""The next poll repairs these, where polls run."""

WHOLE_KIND = ("whole kind owed", "whole stock owed", "poll failing")
"""An injury of a whole kind also explains every other missed change of that kind: a day has at most one, and then none of
those."""

NOT_WHILE_DOWN = frozenset(
    name for name, one in INJURIES.items() if one.cause is DriftCause.MISSED and name in POLLS_MEND
) | {"event hours after the run", "changed during the run", "owed during the run"}

FIRST_OF_ALL = ("failed in a read", "failed in a run")
"""These need a read, which repairs whatever was wrong before."""

WITHOUT_A_TIME = frozenset({"deletion without an event", "webhook of a count dropped"})
"""Injuries without a time: on a day with a downtime or a restored backup nobody could tell them apart, so they are left out
there."""
