"""The ways in which one row can become wrong, each with the right reason."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple

from app.domain import ALL_ITEMS, Cause, Kind, Strategy
from app.errors import Unavailable, Unmappable
from app.flows.letters.letter_actions import discard
from app.prove.truth.shop import PLACE, STATE
from app.prove.truth.story import Story, later
from app.rules.drift.drift import DriftCause

PRODUCT, STOCK = Kind.PRODUCT, Kind.STOCK
HOUR = timedelta(hours=1)


class Injury(NamedTuple):
    """What becomes of a product ``id`` (or its count), and the reason that should be told of it."""

    cause: DriftCause
    befalls: Callable[[Story, str], None]


def _missed_edit(story: Story, id: str) -> None:
    story.wrong(PRODUCT, id, story.edit(id))


def _missed_count(story: Story, id: str) -> None:
    story.wrong(STOCK, id, story.recount(id))


def _missed_twice(story: Story, id: str) -> None:
    story.wrong(PRODUCT, id, story.edit(id))
    story.after(timedelta(minutes=9), lambda: story.wrong(PRODUCT, id, story.edit(id)))


def _new_product(story: Story, id: str) -> None:
    story.life.shop.put(f"{id}-new", story.now)
    story.wrong(PRODUCT, f"{id}-new", story.now)


def _silent(story: Story, id: str) -> None:
    story.life.shop.put_silently(id, name=f"silent {id}")
    story.wrong(PRODUCT, id, story.now)


def _gone(story: Story, id: str) -> None:
    del story.life.shop.products[id]
    story.wrong(PRODUCT, id, story.now)


def _backlog(story: Story, id: str) -> None:
    story.wrong(PRODUCT, id, story.edit(id))
    story.life.event(PRODUCT, id, work=False)


def _backlog_count(story: Story, id: str) -> None:
    story.wrong(STOCK, id, story.recount(id))
    story.life.event(STOCK, id, work=False)


def _deletion_owed(story: Story, id: str) -> None:
    _gone(story, id)
    story.life.event(PRODUCT, id, work=False)


def _owed_in_the_run(story: Story, id: str) -> None:
    story.wrong(PRODUCT, id, story.edit(id))
    story.during(lambda: story.life.event(PRODUCT, id, work=False))


def _whole_owed(story: Story, id: str) -> None:
    story.wrong(PRODUCT, id, story.edit(id))
    story.life.owe_whole(PRODUCT, Cause.WEBHOOK)


def _whole_count_owed(story: Story, id: str) -> None:
    story.wrong(STOCK, id, story.recount(id))
    story.life.owe_whole(STOCK, Cause.POLL)


def _poll_failing(story: Story, id: str) -> None:
    story.wrong(PRODUCT, id, story.edit(id))
    story.life.shop.refuses[PRODUCT] = Unavailable("503")
    story.life.owe_whole(PRODUCT)
    story.life.work(PRODUCT, ALL_ITEMS)
    story.before(lambda: story.life.shop.refuses.clear())


def _hours_late(story: Story, id: str) -> None:
    story.wrong(PRODUCT, id, story.edit(id))
    story.afterwards(story.rng.uniform(0.5, 9.0) * HOUR, lambda: story.life.event(PRODUCT, id))


def _in_the_run(story: Story, id: str) -> None:
    def change() -> None:
        story.wrong(PRODUCT, id, story.edit(id))

    story.during(change)
    story.afterwards(story.rng.uniform(0.0, 0.1) * HOUR, lambda: story.life.event(PRODUCT, id))


def _dead(story: Story, id: str) -> None:
    story.wrong(PRODUCT, id, story.edit(id))
    story.life.shop.poison[id] = Unmappable("price is x")
    story.life.event(PRODUCT, id)
    story.before(lambda: story.life.shop.poison.clear())


def _dead_count(story: Story, id: str) -> None:
    story.wrong(STOCK, id, story.recount(id))
    story.life.shop.poison[id] = Unmappable("quantity is x")
    story.life.event(STOCK, id)
    story.before(lambda: story.life.shop.poison.clear())


def _dead_deletion(story: Story, id: str) -> None:
    _gone(story, id)
    story.life.shop.poison[id] = Unmappable("price is x")
    story.life.event(PRODUCT, id)
    story.before(lambda: story.life.shop.poison.clear())


def _discarded(story: Story, id: str) -> None:
    _dead(story, id)
    story.after(later(5), lambda: discard(story.life.deps, f"item:{id}", "nobody needs it"))


def _retrying(story: Story, id: str) -> None:
    story.wrong(PRODUCT, id, story.edit(id))
    story.life.shop.poison[id] = Unavailable("503")
    story.life.event(PRODUCT, id)
    story.before(lambda: story.life.shop.poison.clear())


def _failed_in_a_read(story: Story, id: str) -> None:
    story.wrong(PRODUCT, id, story.edit(id))
    story.life.shop.unreadable.add(id)
    story.life.owe_whole(PRODUCT)
    story.life.work(PRODUCT, ALL_ITEMS)
    story.before(lambda: story.life.shop.unreadable.clear())


def _failed_in_a_run(story: Story, id: str) -> None:
    story.wrong(PRODUCT, id, story.edit(id))
    story.life.shop.unreadable.add(id)
    story.life.read(Strategy.CATALOG)
    story.before(lambda: story.life.shop.unreadable.clear())


def _superseded(story: Story, id: str) -> None:
    """An old letter, made good by a later event; then an event is dropped."""
    story.edit(id)
    story.life.shop.poison[id] = Unmappable("price is x")
    story.life.event(PRODUCT, id)

    def good() -> None:
        story.life.shop.poison.pop(id, None)
        story.edit(id)
        story.life.event(PRODUCT, id)

    story.after(later(4), good)
    story.after(later(9), lambda: story.wrong(PRODUCT, id, story.edit(id)))


def _hand(set: str, kind: Kind = PRODUCT) -> Callable[[Story, str], None]:
    table, key = ("listings", "external_id") if kind is PRODUCT else ("stock", "listing_id")

    def befalls(story: Story, id: str) -> None:
        moment = f"'{story.now:%Y-%m-%d %H:%M:%S}.000000'"
        if story.life.database.dialect == "postgresql":
            moment = f"'{story.now:%Y-%m-%d %H:%M:%S}+00'"
        story.life.by_hand(f"UPDATE {table} SET {set} WHERE {key} = '{id}'".replace("MOMENT", moment))
        story.wrong(kind, id, story.now)

    return befalls


def _hand_delete(kind: Kind) -> Callable[[Story, str], None]:
    table, key = ("listings", "external_id") if kind is PRODUCT else ("stock", "listing_id")

    def befalls(story: Story, id: str) -> None:
        story.life.by_hand(f"DELETE FROM {table} WHERE {key} = '{id}'")
        story.wrong(kind, id, story.now)

    return befalls


def _hand_insert(story: Story, id: str) -> None:
    columns = "connection, external_id, sku, name, active, deleted, version, row_hash, read_at, written_at"
    values = columns.replace("external_id, sku", f"'{id}-mine', '{id}-mine'")
    story.life.by_hand(f"INSERT INTO listings ({columns}) SELECT {values} FROM listings WHERE external_id = '{id}'")
    story.wrong(PRODUCT, f"{id}-mine", story.now)


def _hand_insert_count(story: Story, id: str) -> None:
    columns = "connection, listing_id, location_id, state, quantity, deleted, version, row_hash, read_at, written_at"
    values = columns.replace("listing_id", f"'{id}-mine'")
    story.life.by_hand(f"INSERT INTO stock ({columns}) SELECT {values} FROM stock WHERE listing_id = '{id}'")
    story.wrong(STOCK, f"{id}-mine", story.now)


def _stale(story: Story, id: str) -> None:
    story.life.shop.stale[id] = story.life.shop.products[id]
    story.wrong(PRODUCT, id, story.edit(id))
    story.after(later(1), lambda: story.life.event(PRODUCT, id))
    story.before(lambda: story.life.shop.stale.clear())


def item(kind: Kind, id: str) -> str:
    """A row's key, joined."""
    return id if kind is PRODUCT else f"{id}/{PLACE}/{STATE}"


INJURIES: Mapping[str, Injury] = {
    "webhook dropped": Injury(DriftCause.MISSED, _missed_edit),
    "webhook of a count dropped": Injury(DriftCause.MISSED, _missed_count),
    "two webhooks dropped": Injury(DriftCause.MISSED, _missed_twice),
    "webhook of a new product dropped": Injury(DriftCause.MISSED, _new_product),
    "silent edit": Injury(DriftCause.SILENT, _silent),
    "deletion without an event": Injury(DriftCause.MISSED, _gone),
    "old letter made good, then an event dropped": Injury(DriftCause.MISSED, _superseded),
    "owed in a backlog": Injury(DriftCause.LATE, _backlog),
    "deletion owed in a backlog": Injury(DriftCause.LATE, _deletion_owed),
    "count owed in a backlog": Injury(DriftCause.LATE, _backlog_count),
    "owed during the run": Injury(DriftCause.LATE, _owed_in_the_run),
    "whole kind owed": Injury(DriftCause.LATE, _whole_owed),
    "whole stock owed": Injury(DriftCause.LATE, _whole_count_owed),
    "event hours after the run": Injury(DriftCause.LATE, _hours_late),
    "changed during the run": Injury(DriftCause.LATE, _in_the_run),
    "dead letter": Injury(DriftCause.FAILED, _dead),
    "count in a dead letter": Injury(DriftCause.FAILED, _dead_count),
    "deletion in a dead letter": Injury(DriftCause.FAILED, _dead_deletion),
    "discarded letter": Injury(DriftCause.FAILED, _discarded),
    "retrying": Injury(DriftCause.FAILED, _retrying),
    "failed in a read": Injury(DriftCause.FAILED, _failed_in_a_read),
    "failed in a run": Injury(DriftCause.FAILED, _failed_in_a_run),
    "poll failing": Injury(DriftCause.FAILED, _poll_failing),
    "update by hand": Injury(DriftCause.LOCAL, _hand("name = 'mine'")),
    "count updated by hand": Injury(DriftCause.LOCAL, _hand("quantity = quantity + 5", STOCK)),
    "update by hand moving written_at": Injury(DriftCause.LOCAL, _hand("name = 'mine', written_at = MOMENT")),
    "update by hand setting row_hash": Injury(DriftCause.LOCAL, _hand("name = 'mine', row_hash = 12345")),
    "soft delete by hand": Injury(DriftCause.LOCAL, _hand("deleted = true")),
    "delete by hand": Injury(DriftCause.LOCAL, _hand_delete(PRODUCT)),
    "count deleted by hand": Injury(DriftCause.LOCAL, _hand_delete(STOCK)),
    "insert by hand": Injury(DriftCause.LOCAL, _hand_insert),
    "count inserted by hand": Injury(DriftCause.LOCAL, _hand_insert_count),
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

UNHEARD = frozenset(
    name for name, one in INJURIES.items() if one.cause is DriftCause.MISSED and name in POLLS_MEND
) | {"event hours after the run", "changed during the run", "owed during the run"}

FIRST_OF_ALL = ("failed in a read", "failed in a run")
"""These need a read, which repairs whatever was wrong before."""

WITHOUT_A_TIME = frozenset({"deletion without an event", "webhook of a count dropped"})
"""Injuries without a time: on a day with a downtime or a restored backup nobody could tell them apart, so they are left out
there."""
