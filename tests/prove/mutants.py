"""Guards taken away one at a time: what each is, the code that takes it away, and the faults under which it matters.

The code runs in a process of its own before the simulation does (``app.prove.crew.Crew``); nothing here touches ours.
"""

from typing import NamedTuple

from app.prove.faults import Dial

BENIGN = frozenset(
    {
        Dial.HOOKS_LOST,
        Dial.HOOKS_DOUBLED,
        Dial.HOOKS_REORDERED,
        Dial.HOOKS_LATE,
        Dial.QUEUE_FLUSHED,
        Dial.QUEUE_DOUBLED,
        Dial.QUEUE_REORDERED,
        Dial.KILLED,
    }
)
"""Loss, repetition and sudden death: the faults that the engine was first built for."""

LIFE = frozenset({*BENIGN, Dial.STOPPED, Dial.DEPLOYED, Dial.STORMS, Dial.RUNS, Dial.VENDOR_SLOW})
"""Loss, death, delay and people: what the oldest guards are for."""

DATABASE = frozenset(dial for dial in Dial if dial.value.startswith("db-"))
CLOCKS = frozenset({Dial.CLOCK_SKEWED, Dial.CLOCK_JUMPS})
RESUMED = frozenset(
    {Dial.RUNS, Dial.KILLED, Dial.DEPLOYED, Dial.RESUME_LOST, Dial.VENDOR_TRUNCATED, Dial.VENDOR_SLOW}
)


class Mutant(NamedTuple):
    """A guard that is taken away. ``known`` is a seed that found it when this was written; it is tried first."""

    guard: str
    known: int
    dials: frozenset[Dial]
    code: str


TAMPER = "from tests.prove.tamper import replace, swap\n"

MUTANTS = [
    Mutant(
        "of two versions of a row the newer one wins",
        6,
        LIFE,
        """
import app.stores.catalog.newer as newer
replace(newer, "NEWER", "true")
""",
    ),
    Mutant(
        "a read that began before a tombstone was concluded does not lift it",
        6,
        LIFE,
        """
import app.stores.catalog.newer as newer
swap(newer, "NEWER", "THEN excluded.read_at >= t.read_at", "THEN true")
""",
    ),
    Mutant(
        "a deletion is a row, also of what we never held",
        0,
        LIFE,
        """
import app.stores.catalog.newer as newer
replace(newer, "UNFENCED", "true")
""",
    ),
    Mutant(
        "a row from the future protects nothing",
        0,
        frozenset({*CLOCKS, Dial.FUTURE_RECORDS, Dial.RUNS}),
        """
import app.stores.catalog.applying as applying, app.stores.catalog.differ as differ, app.stores.catalog.newer as newer
replace(applying, "settled_version", lambda version, now, began: version)
replace(differ, "settled_version", lambda version, now, began: version)
swap(newer, "NEWER", "t.read_at > {horizon} OR t.version > {latest}", "false")
""",
    ),
    Mutant(
        "a settlement covers what its claim had seen, no more",
        0,
        LIFE,
        """
import app.stores.owed.settling as settling
swap(settling, "_DELETE", "o.rev = :rev", ":rev = :rev")
""",
    ),
    Mutant(
        "rows and their settlement are one commit",
        0,
        LIFE,
        """
import app.flows.items.fetching as fetching, app.flows.items.item_work as item_work
from app.flows.items.fetching import Committed
from app.stores import owed
def settled_first(deps, fetched):
    settled = [outcome for one in fetched for outcome in one.outcomes(set())]
    with deps.database.begin() as conn:
        again = owed.settle(conn, settled, deps.now())
    with deps.database.begin() as conn:
        for one in fetched:
            fetching.apply_answer(conn, one.claims[0].key.connection, one.answer, one.began, deps.now())
    return Committed(again)
replace(item_work, "commit", settled_first)
""",
    ),
    Mutant(
        "a delivery is committed before it is acknowledged",
        7,
        LIFE,
        """
from app.flows.inbox import receive
def first_answered(self, group):
    group[0][1].get_loop().call_soon_threadsafe(receive._answer, [done for _, done in group], None)
    write(self, group)
write = replace(receive.Intake, "_write", first_answered)
""",
    ),
    Mutant(
        "the watermark moves only after the last page is applied",
        0,
        frozenset({Dial.HOOKS_LOST, Dial.KILLED, Dial.VENDOR_5XX, Dial.VENDOR_HTML}),
        """
import app.flows.items.pull as pull
from app.stores.catalog import watermarks
def early(deps, source, connection, kind, since, told):
    marks = [page.watermark for page in source.delta(kind, since) if page.watermark]
    with deps.database.begin() as conn:
        watermarks.put(conn, connection, kind, marks[-1], deps.now())
    return read(deps, source, connection, kind, since, told)
read = replace(pull, "_read_delta", early)
""",
    ),
    Mutant(
        "a pull settles only what was owed before it read",
        10,
        LIFE,
        """
import app.flows.items.pull as pull
from app.stores import owed
def late(deps, claim, read, noted):
    with deps.database.begin() as conn:
        noted = owed.noted(conn, claim.key.connection, claim.key.kind)
    return finish(deps, claim, read, noted)
finish = replace(pull, "_finish", late)
""",
    ),
    Mutant(
        "a pull settles nothing that it did not show",
        11,
        LIFE,
        """
import app.flows.items.pull as pull
replace(pull, "_covered", lambda claim, read, noted: [one for one in noted if one.key != claim.key])
""",
    ),
    Mutant(
        "a watermark is the source's, not our own time",
        14,
        frozenset({Dial.HOOKS_LOST, Dial.VENDOR_SLOW}),
        """
from app.domain import micros
from app.stores.catalog import watermarks
put = replace(watermarks, "put", lambda conn, c, k, value, now: put(conn, c, k, str(micros(now)), now))
""",
    ),
    Mutant(
        "a hint that is newer than the answer is asked again",
        0,
        frozenset({Dial.VENDOR_LAGS, Dial.RUNS}),
        """
from app.flows.items.fetched import Fetched
replace(Fetched, "behind", lambda self: [])
""",
    ),
    Mutant(
        "what an answer covers and does not show is closed",
        2,
        LIFE,
        """
import app.stores.catalog.applying as applying
replace(applying, "closing", lambda *args: {})
""",
    ),
    Mutant(
        "what the source says is gone becomes a tombstone",
        0,
        LIFE,
        """
import app.stores.catalog.applying as applying
replace(applying, "tombstone", lambda *args, **named: 0)
""",
    ),
    Mutant(
        "a complete read is as of its beginning, not of its end",
        0,
        LIFE,
        """
from app.stores.catalog import bulk
def dated_late(database, connection, diff, *, read_at, now, scope, **more):
    return write(database, connection, diff, read_at=now, now=now, scope=scope, **more)
write = replace(bulk, "write", dated_late)
""",
    ),
    Mutant(
        "leases are renewed while the work goes on",
        0,
        frozenset({Dial.VENDOR_SLOW, Dial.VENDOR_HANGS, Dial.STORMS, Dial.RUNS}),
        """
from app.flows.items.leases import LeaseKeeper
replace(LeaseKeeper, "renew", lambda self: None)
""",
    ),
    Mutant(
        "the sweep sends again what the queue has lost",
        3,
        LIFE,
        """
import app.flows.items.sweep as sweep
replace(sweep, "REQUEUE_AFTER", 1e9)
""",
    ),
    Mutant(
        "the sweep sends runs again that the queue has lost",
        0,
        LIFE,
        """
from app.stores.runs import runs
replace(runs, "overdue", lambda conn, now, requeue_after: [])
""",
    ),
    Mutant(
        "a read that is resumed keeps the pages before",
        7,
        RESUMED,
        """
import app.flows.runs.resumable as resumable
from app.domain import Page
replace(resumable, "kept", lambda run, kind: [Page() for _ in range(run.checkpoint.pages)])
""",
    ),
    Mutant(
        "a budget's window is read and written under one lock",
        5,
        frozenset({*LIFE, Dial.BUDGETS}),
        """
from app.rules.calls.lanes import current_lane
from app.stores.runs.budgets import SharedBudget, _inside, _wait
def take(self, limits):
    if not limits:
        return 0.0
    lane = current_lane()
    with self._database.begin() as conn:
        taken = self._locked(conn, limits)
    now = self._clock()
    inside = {limit.name: _inside(taken[limit.name], limit, now) for limit in limits}
    wait = max(_wait(inside[limit.name], limit, lane, now) for limit in limits)
    if wait == 0.0:
        with self._database.begin() as conn:
            for name in sorted(inside):
                inside[name][lane].append(now)
                self._write(conn, name, inside[name])
    return wait
replace(SharedBudget, "take", take)
""",
    ),
    Mutant(
        "budgets, leases and due times follow one clock",
        5,
        frozenset({*CLOCKS, Dial.BUDGETS, Dial.RUNS}),
        """
from datetime import UTC, datetime
from app.stores.sql.clock import DatabaseClock
replace(DatabaseClock, "now", lambda self: datetime.fromtimestamp(self._wall(), UTC))
""",
    ),
    Mutant(
        "a worker that died is not its item's fault at once",
        2,
        frozenset({Dial.KILLED}),
        """
import app.flows.items.item_work as item_work
replace(item_work, "MAX_KILLS", 1)
""",
    ),
    Mutant(
        "a deploy is not counted as a crash of the run",
        0,
        frozenset({Dial.DEPLOYED, Dial.RUNS}),
        """
from app.stores.runs import runs
import app.flows.runs.run as run
replace(runs, "give_back", lambda conn, run_id, token: True)
replace(run, "MAX_KILLS", 1)
""",
    ),
    Mutant(
        "a fault of the database is no failed attempt of an item",
        1,
        DATABASE,
        """
import app.flows.items.item_work as item_work
class Never(Exception):
    pass
replace(item_work, "DatabaseFault", Never)
""",
    ),
    Mutant(
        "a fault of the database fails no run",
        1,
        DATABASE,
        """
import app.flows.runs.run as run
class Never(Exception):
    pass
replace(run, "DatabaseFault", Never)
""",
    ),
    Mutant(
        "a transaction that the database undid is tried again or given back",
        0,
        frozenset({Dial.DB_DEADLOCK, Dial.DB_SERIALISATION}),
        """
import app.stores.sql.faults as faults
from app.stores.sql.faults import Fault
def unknown(self):
    return RuntimeError(self.message)
replace(Fault, "error", unknown)
""",
    ),
    Mutant(
        "a connection that refuses us pauses, and its items are not blamed",
        0,
        frozenset({Dial.VENDOR_401, Dial.RUNS}),
        """
from app.flows.connections import health
replace(health, "judge", lambda *args: health.Fault.ITEM)
""",
    ),
    Mutant(
        "a kind that may not be read is left out",
        0,
        frozenset({Dial.VENDOR_403, Dial.RUNS}),
        """
from app.flows.connections import health
replace(health, "judge", lambda *args: health.Fault.ITEM)
""",
    ),
    Mutant(
        "a paused connection is probed until it answers",
        0,
        frozenset({Dial.VENDOR_401, Dial.VENDOR_HANGS}),
        """
import workers.schedule as schedule
replace(schedule, "ROUNDS", {name: one for name, one in schedule.ROUNDS.items() if name != "probes"})
""",
    ),
    Mutant(
        "one record that cannot be written does not stop its page",
        1,
        frozenset({Dial.BAD_RECORDS, Dial.HOOKS_LOST}),
        """
import app.flows.items.pull as pull
replace(pull, "isolated", lambda records, write, fail, passing=(): write(records))
""",
    ),
    Mutant(
        "an item that failed and is well again is listed no longer",
        0,
        frozenset({Dial.BAD_RECORDS, Dial.RUNS}),
        """
from app.stores.runs import failed_items
replace(failed_items, "resolve", lambda *args: 0)
""",
    ),
    Mutant(
        "what a read shows but cannot be read has not vanished",
        0,
        frozenset({Dial.BAD_RECORDS, Dial.RUNS}),
        """
from app.stores.catalog.differ import Differ
diff = replace(Differ, "diff", lambda self, scope=None, exempt=(): diff(self, scope))
""",
    ),
    Mutant(
        "an agreement is what is true after the write",
        0,
        frozenset({Dial.BAD_RECORDS, Dial.RUNS}),
        """
import app.flows.runs.read_full as read_full
agreed = replace(read_full, "agreed", lambda *args, **named: _all(agreed(*args, **named)))
def _all(found):
    return found._replace(equal=None if found.equal is None else found.rows)
""",
    ),
    Mutant(
        "the guard holds what would empty a kind",
        0,
        frozenset({Dial.VENDOR_EMPTY, Dial.RUNS}),
        """
import app.flows.items.bulk_read as bulk_read
from app.flows.holds.plausible import Verdict
replace(bulk_read, "implausibility", lambda *args, **named: Verdict())
""",
    ),
    Mutant(
        "a delivery about another account is never owed",
        0,
        frozenset({Dial.HOOKS_FOREIGN}),
        """
from app.stores.inbox import inbox
replace(inbox, "_changes", lambda arrival: arrival.delivery.changes)
""",
    ),
    Mutant(
        "a run whose worker died is taken over, not failed",
        0,
        frozenset({Dial.KILLED, Dial.RUNS, Dial.VENDOR_SLOW}),
        """
import app.flows.runs.request_run as request_run
replace(request_run, "STUCK_AFTER", -20.0)
""",
    ),
    Mutant(
        "a run goes on behind no pages that a read of the whole kind has overtaken",
        649,
        frozenset(
            {
                *(Dial.BAD_RECORDS, Dial.HOOKS_DOUBLED, Dial.HOOKS_LATE, Dial.HOOKS_LOST, Dial.KILLED, Dial.STORMS),
                *(Dial.RUNS_CANCELLED, Dial.RUNS_RESUMED, Dial.VENDOR_401, Dial.VENDOR_EMPTY, Dial.VENDOR_SHORT),
                Dial.VENDOR_TRUNCATED,
            }
        ),
        """
import app.flows.runs.read_full as read_full
replace(read_full, "_forget_overtaken", lambda run, kind: None)
""",
    ),
]
