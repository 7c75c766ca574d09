"""One seed of the experiment on truth: a random day, a nightly run, and the run's reasons beside what really
happened."""

from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import NamedTuple

from msgspec import UNSET

from app.domain import Kind
from app.flows.runs.correct_reasons import correct_reasons
from app.prove.compare import Measured, measured
from app.prove.crew import Attempt
from app.prove.databases import EMPTY, Databases
from app.prove.memory import SHOP
from app.prove.truth.disasters import DISASTERS, Day
from app.prove.truth.injuries import (
    FIRST_OF_ALL,
    INJURIES,
    NOT_WHILE_DOWN,
    POLLS_MEND,
    WHOLE_KIND,
    WITHOUT_A_TIME,
    item,
)
from app.prove.truth.life import OPENED, Life
from app.prove.truth.story import Story, Wrong, later
from app.rules.drift.drift import DriftCause
from app.stores.runs import drift, runs
from app.stores.runs.drift import Difference
from app.stores.sql.engine import Database, open_database

PRODUCTS = 150
WITHOUT = 4
"""A day without a disaster is this many times as likely as any one disaster."""
DAY = timedelta(days=1)
NIGHT = OPENED + 2 * DAY
"""When the run begins."""

CERTAIN = timedelta(minutes=1)
"""A reported span is right when it holds the moment, give or take a minute."""


class Verdict(NamedTuple):
    """What was injected, the reason that we reported, and whether the time span that we reported holds the real moment.

    ``reported`` is empty where no difference was found at all.
    """

    name: str
    expected: str
    reported: str
    since_right: bool
    span: timedelta | None
    item: str
    why: str

    @property
    def right(self) -> bool:
        """Whether the reason is the right one."""
        return self.reported == self.expected


class Agreement(NamedTuple):
    """The agreement that a run reported, and the one that was measured after it."""

    kind: str
    reported: float | None
    really: float

    @property
    def right(self) -> bool:
        """Whether both are equal to six digits."""
        return self.reported is not None and abs(self.reported - self.really) < 2e-6


class Outcome(NamedTuple):
    """All verdicts of a seed. ``invented`` are differences that we reported and nobody made."""

    seed: int
    verdicts: list[Verdict]
    agreements: list[Agreement]
    invented: list[str]


def experiments(databases: Databases) -> Attempt[int, Outcome]:
    """What a process of a crew does with a seed."""

    def attempt(seed: int) -> Outcome:
        with closing(open_database(databases.copy(EMPTY, "truth"))) as database:
            return experiment(seed, database)

    return attempt


def experiment(seed: int, database: Database) -> Outcome:
    """Run a seed on a migrated and empty database."""
    with closing(Story(database, Random(seed), NIGHT)) as story:
        return _lived(seed, story)


def _lived(seed: int, story: Story) -> Outcome:
    _settle_in(story)
    _plan(story, story.rng)
    story.tell(NIGHT)
    wrong = {(kind, "/".join(key)) for kind in story.shop.kinds for key in _measured(story, kind).differing}
    story.shop.at_read = story.read_on
    run_id = story.read()
    agreements = _agreements(story, run_id)
    story.tell(NIGHT + timedelta(hours=12))
    correct_reasons(story.deps)
    return _compare(story, seed, run_id, wrong, agreements)


def _settle_in(life: Life) -> None:
    """The shop opens, is read, and is read again a day later."""
    for number in range(PRODUCTS):
        life.shop.put(f"P{number:03d}", OPENED - timedelta(days=number))
        life.shop.count(f"P{number:03d}", 5 + number)
    life.heartbeat()
    life.read()
    life.pass_to(OPENED + DAY)
    life.heartbeat()
    life.read()


def _plan(story: Story, rng: Random) -> None:
    """Plan a random day."""
    disaster = rng.choice([*[None] * WITHOUT, *DISASTERS])
    whole = rng.choice(WHOLE_KIND) if disaster is None and rng.random() < 0.8 else None
    polled = rng.random() < 0.5 and (disaster is None or DISASTERS[disaster].polled is not False)
    began, ended = OPENED + DAY + later(30), NIGHT - later(8)
    quiet = NIGHT - later(55) if polled else began + later(10)
    ids = [f"P{number:03d}" for number in range(PRODUCTS) if number % 10 != 7]
    rng.shuffle(ids)
    until = ended
    if disaster is not None:
        story.telling = disaster
        some = [ids.pop() for _ in range(rng.randint(3, 8))]
        until = DISASTERS[disaster].befalls(story, some, Day(began, quiet, ended))
    _ordinary_life(story, ids, Day(began, quiet, until), polled=polled)
    names = [name for name in INJURIES if name not in WHOLE_KIND]
    if whole is not None or disaster == "polls off":
        names = [name for name in names if name not in NOT_WHILE_DOWN]
    if disaster is not None and DISASTERS[disaster].hides:
        names = [name for name in names if name not in WITHOUT_A_TIME]
    drawn = rng.sample(names, k=min(len(names), 13)) + ([] if whole is None else [whole])
    for name in drawn:
        at = _when(rng, name, Day(began, quiet, until), polled=polled)
        story.at(at, partial(INJURIES[name].befalls, story, ids.pop()), name)


def _when(rng: Random, name: str, day: Day, *, polled: bool) -> datetime:
    if name in FIRST_OF_ALL:
        return day.began
    first = day.quiet_from if polled and name in POLLS_MEND else day.began + later(10)
    return first + rng.random() * (day.ended - later(11) - first)


def _ordinary_life(story: Story, ids: list[str], day: Day, *, polled: bool) -> None:
    """Edits whose events arrive and are processed, heartbeats, and polls where there are any."""
    for _ in range(12):
        at = day.began + later(10) + story.rng.random() * (day.ended - day.began - later(20))
        story.at(at, partial(story.edit_with_event, ids.pop()), "life")
    if polled:
        for part in range(1, 9):
            at = day.began + part / 8 * (day.quiet_from - later(2) - day.began)
            story.at(at, story.poll, "life")


def _agreements(life: Life, run_id: int) -> list[Agreement]:
    with life.database.read() as conn:
        found = runs.get(conn, run_id)
    counts = {} if found is None else found.counts
    shares = {kind: counts[kind].agreement if kind in counts else None for kind in life.shop.kinds}
    return [
        Agreement(kind, None if share is UNSET else share, _measured(life, kind).share)
        for kind, share in shares.items()
    ]


def _measured(life: Life, kind: Kind) -> Measured:
    with life.database.read() as conn:
        return measured(conn, SHOP, kind, life.shop.shown_in_full(kind))


def _compare(
    story: Story, seed: int, run_id: int, wrong: set[tuple[Kind, str]], agreements: list[Agreement]
) -> Outcome:
    with story.database.read() as conn:
        rows = {(Kind(row.kind), row.item): row for row in drift.of_run(conn, run_id, limit=10_000)}
    first: dict[tuple[Kind, str], Wrong] = {}
    for one in story.found:  # wrong since the first change; the last one is all that the source shows
        key = (one.kind, item(one.kind, one.id))
        first[key] = first.get(key, one)._replace(heard=one.heard)
    verdicts = [_verdict(one, rows.get(key)) for key, one in first.items() if key in wrong or key in rows]
    return Outcome(seed, verdicts, agreements, sorted(f"{kind} {id}" for kind, id in set(rows) - set(first)))


def _verdict(one: Wrong, row: Difference | None) -> Verdict:
    name, cause = _expected(one)
    if row is None:
        return Verdict(name, cause, "", since_right=False, span=None, item=one.id, why="")
    right, span = False, None
    if row.since is not None and row.since_latest is not None:
        right = row.since - CERTAIN <= one.since <= row.since_latest + CERTAIN
        span = row.since_latest - row.since
    return Verdict(name, cause, row.cause, right, span, one.id, row.why or "")


def _expected(one: Wrong) -> tuple[str, DriftCause]:
    """The name under which a difference is counted, and the right reason.

    Whether the event of a change is dropped while we are down makes no difference: we were down.
    """
    if one.name not in INJURIES:
        return one.name, DISASTERS[one.name].cause
    cause = INJURIES[one.name].cause
    if cause is DriftCause.MISSED and one.name in NOT_WHILE_DOWN and not one.heard:
        return "webhook dropped while we were down", DriftCause.DOWN
    return one.name, cause
