"""Disasters, each of which harms many rows: a restored backup, a new mapping, downtime, no polls, refused deliveries."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from app.domain import Kind
from app.prove.truth.story import Story, later
from app.rules.drift.drift import DriftCause

PRODUCT, STOCK = Kind.PRODUCT, Kind.STOCK


class Day(NamedTuple):
    """The time in which something may happen; the last poll is over at ``quiet_from``."""

    began: datetime
    quiet_from: datetime
    ended: datetime


class Disaster(NamedTuple):
    """``befalls`` plans what happens to some products, and returns until when other injuries may happen. With
    ``hides`` it cannot be told from an injury without a time."""

    cause: DriftCause
    befalls: Callable[[Story, Sequence[str], Day], datetime]
    polled: bool | None = None
    hides: bool = False


def _restored(tables: Sequence[str] | None) -> Callable[[Story, Sequence[str], Day], datetime]:
    def befalls(story: Story, ids: Sequence[str], day: Day) -> datetime:
        back_to = day.began + story.rng.uniform(0.3, 0.8) * (day.ended - day.began)
        kept = {}

        def back_up() -> None:
            everything = story.backup()
            kept.update({name: rows for name, rows in everything.items() if tables is None or name in tables})

        def restore() -> None:
            story.restore(kept)
            for id in ids:
                story.wrong(PRODUCT, id, story.now)
            story.heartbeat()

        story.at(back_to, back_up)
        for id in ids:
            at = back_to + story.rng.uniform(0.05, 0.9) * (day.ended - back_to)
            story.at(at, partial(story.edit_with_event, id))
        story.at(day.ended, restore)
        return back_to - later(15)

    return befalls


def _mapping(story: Story, ids: Sequence[str], day: Day) -> datetime:
    def deploy() -> None:
        story.shop.mapping = "2"
        for id in story.shop.products:
            if id.endswith("7"):
                story.wrong(PRODUCT, id, story.now)

    story.at(day.began + story.rng.random() * (day.ended - day.began), deploy)
    return day.ended


def _down(story: Story, ids: Sequence[str], day: Day) -> datetime:
    began = day.quiet_from + story.rng.uniform(0.0, 0.4) * (day.ended - day.quiet_from)
    ended = began + story.rng.uniform(0.3, 0.9) * (day.ended - began)
    story.at(began, lambda: setattr(story, "is_up", False))
    for id in ids:
        at = began + story.rng.uniform(0.02, 0.98) * (ended - began)
        story.at(at, partial(story.harm, PRODUCT, id))
    story.at(ended, story.restart)
    return day.ended


def _polls_off(story: Story, ids: Sequence[str], day: Day) -> datetime:
    story.at(day.quiet_from, lambda: story.schedule_polls(on=False))
    for id in ids:
        at = day.quiet_from + story.rng.uniform(0.02, 1.0) * (day.ended - day.quiet_from)
        kind = STOCK if story.rng.random() < 0.3 else PRODUCT
        story.at(at, partial(story.harm, kind, id))
    return day.ended


def _refused(*, named: bool) -> Callable[[Story, Sequence[str], Day], datetime]:
    def befalls(story: Story, ids: Sequence[str], day: Day) -> datetime:
        for id in ids:
            at = day.quiet_from + story.rng.uniform(0.02, 0.9) * (day.ended - day.quiet_from)
            kind = STOCK if named and story.rng.random() < 0.3 else PRODUCT
            story.at(at, partial(_refuse, story, kind, id, named=named))
        return day.ended

    return befalls


def _refuse(story: Story, kind: Kind, id: str, *, named: bool) -> None:
    story.harm(kind, id)
    seconds = story.rng.uniform(0.01, 1.5)
    story.after(later(seconds), lambda: story.refuse(kind, id if named else None))


CATALOG_TABLES = ("listings", "stock")

DISASTERS: Mapping[str, Disaster] = {
    "backup of all tables restored": Disaster(DriftCause.RESTORED, _restored(None), polled=False, hides=True),
    "backup of some tables restored": Disaster(DriftCause.RESTORED, _restored(CATALOG_TABLES), polled=False),
    "our mapping changed": Disaster(DriftCause.MAPPING, _mapping),
    "we were down": Disaster(DriftCause.DOWN, _down, hides=True),
    "polls off": Disaster(DriftCause.DOWN, _polls_off),
    "deliveries refused": Disaster(DriftCause.REFUSED, _refused(named=True)),
    "deliveries refused that name nothing": Disaster(DriftCause.REFUSED, _refused(named=False)),
}
"""By name."""
