"""Guards taken away one at a time: what each is, the code that takes it away, and the faults under which it matters.

The code runs in a process of its own before the simulation does (``app.prove.hand.Hand``); nothing here touches ours.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from app.prove.faults import BENIGN, Dial

LIFE = frozenset({*BENIGN, Dial.STOPPED, Dial.DEPLOYED, Dial.STORMS, Dial.RUNS, Dial.VENDOR_SLOW})
"""Loss, death, delay and people: what the oldest guards are for."""


class Mutant(NamedTuple):
    """A guard that is taken away. ``known`` is a seed that found it when this was written; it is tried first."""

    guard: str
    code: str
    dials: frozenset[Dial] = LIFE
    known: int = 0


def _code(text: str) -> str:
    return textwrap.dedent(text)


MUTANTS = [
    Mutant(
        "of two versions of a row the newer one wins, in SQL",
        _code("""
            import app.stores.catalog_sql as sql
            sql._NEWER = "true"
        """),
    ),
    Mutant(
        "between equal versions a read that began earlier changes nothing",
        _code("""
            import app.stores.catalog_sql as sql
            sql._NEWER = "excluded.version > t.version OR (excluded.version = t.version AND excluded.row_hash <> t.row_hash)"
        """),
    ),
    Mutant(
        "a settlement covers what its claim had seen, no more",
        _code("""
            import app.stores.owed.settling as m
            from app.stores.statements import Statement
            m._DELETE = Statement(f"DELETE FROM owed_items AS o WHERE {m._HELD} AND :rev = :rev")
        """),
    ),
    Mutant(
        "rows and their settlement are one commit",
        _code("""
            import app.flows.fetching as m, app.flows.item_work as w
            whole = m.commit
            def commit(deps, fetched):
                from app.stores import owed
                with deps.database.begin() as conn:
                    again = owed.settle(conn, [o for one in fetched for o in one.outcomes(set())], deps.now())
                whole(deps, fetched)
                return again
            w.commit = commit
        """),
    ),
    Mutant(
        "a row that was read later is not closed by an earlier read",
        _code("""
            import app.stores.catalog_sql as sql, app.stores.differ as d
            close, live = sql.close_row, sql.live_keys
            lift = lambda t: t.replace("read_at <= ", "read_at IS NOT ").replace("read_at < ", "read_at IS NOT ")
            sql.close_row = lambda *a, **k: lift(close(*a, **k))
            sql.live_keys = lambda *a, **k: lift(live(*a, **k))
        """),
    ),
    Mutant(
        "a delivery is committed before it is acknowledged",
        _code("""
            from app.flows import receive
            write = receive.Intake._write
            def first_answer(self, group):
                loop = group[0][1].get_loop()
                loop.call_soon_threadsafe(receive._answer, [done for _, done in group], None)
                write(self, group)
            receive.Intake._write = first_answer
        """),
    ),
    Mutant(
        "the watermark moves only after the last page is applied",
        _code("""
            import app.flows.pull as m
            from app.stores import watermarks
            read = m._read_delta
            def early(deps, source, connection, kind, since):
                marks = [page.watermark for page in source.delta(kind, since) if page.watermark]
                with deps.database.begin() as conn:
                    watermarks.put(conn, connection, kind, marks[-1], deps.now())
                return read(deps, source, connection, kind, since)
            m._read_delta = early
        """),
    ),
    Mutant(
        "a pull settles only what was owed before it read",
        _code("""
            import app.flows.pull as m
            from app.stores import owed
            finish = m._finish
            def late(deps, claim, read, noted):
                with deps.database.begin() as conn:
                    noted = owed.noted(conn, claim.key.connection, claim.key.kind)
                return finish(deps, claim, read, noted)
            m._finish = late
        """),
    ),
    Mutant(
        "what is leased to somebody else is not claimed",
        _code("""
            import app.stores.owed.claiming as m
            from app.stores.statements import Statement
            for name in ("_CLAIM_ITEM", "_CLAIM_OTHERS", "_CLAIM_THESE"):
                one = getattr(m, name)
                one._sqlite = one._sqlite.replace("lease_until <= :now)", "lease_until <= :now OR true)")
        """),
    ),
    Mutant(
        "leases are renewed while the work goes on",
        _code("""
            from app.flows.leases import LeaseKeeper
            LeaseKeeper.round = lambda self: None
        """),
    ),
    Mutant(
        "the sweep sends again what the queue has lost",
        _code("""
            import app.flows.sweep as m
            m.REHINT_AFTER = 1e9
        """),
    ),
    Mutant(
        "the sweep sends runs again that the queue has lost",
        _code("""
            from app.stores import runs
            runs.overdue = lambda conn, now, rehint_after: []
        """),
    ),
    Mutant(
        "a read that is resumed keeps the pages before",
        _code("""
            import app.flows.read_full as m
            m._kept = lambda course, kind: iter(())
        """),
    ),
    Mutant(
        "what a complete answer does not show is closed",
        _code("""
            import app.flows.fetching as m
            from app.stores import catalog
            m.catalog.close_scopes = lambda *a, **k: []
        """),
    ),
    Mutant(
        "what the source says is gone becomes a tombstone",
        _code("""
            from app.stores import catalog
            catalog.tombstone = lambda *a, **k: 0
        """),
    ),
    Mutant(
        "the moment of a read is its beginning, not its end",
        _code("""
            import app.flows.fetching as m, app.flows.item_work as w
            from dataclasses import replace
            real = m.fetch
            def fetch(deps, source, claims):
                fetched = real(deps, source, claims)
                return replace(fetched, began=deps.now())
            w.fetch = fetch
        """),
    ),
    Mutant(
        "a budget's window is read and written under one lock",
        _code("""
            from app.stores.budgets import SharedBudget, _inside, _wait
            from app.rules.lanes import current_lane
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
            SharedBudget.take = take
        """),
        frozenset({*LIFE, Dial.BUDGETS}),
    ),
    Mutant(
        "a worker that died is not its item's fault at once",
        _code("""
            import app.flows.item_work as w
            w.MAX_KILLS = 1
        """),
    ),
    Mutant(
        "a storm's pull settles nothing that it did not show",
        _code("""
            import app.flows.pull as m
            m._covered = lambda claim, read, noted: [one for one in noted if one.key != claim.key]
        """),
    ),
    Mutant(
        "a delta is read from the watermark, not from now",
        _code("""
            from app.stores import watermarks
            put = watermarks.put
            from app.domain import micros
            watermarks.put = lambda conn, c, k, value, now: put(conn, c, k, str(micros(now)), now)
        """),
    ),
    Mutant(
        "an edit within a version's second is looked for again",
        _code("""
            import app.flows.pull as m
            from datetime import timedelta
            m.READ_LAG = timedelta(seconds=-60)
        """),
    ),
    Mutant(
        "the guard holds what would empty a kind",
        _code("""
            import app.flows.absorb as m
            m.implausible = lambda *a, **k: None
        """),
        frozenset({Dial.VENDOR_EMPTY, Dial.RUNS}),
    ),
    Mutant(
        "whoever lost a run writes nothing more for it",
        _code("""
            from app.stores import runs
            save = runs.save
            runs.save = lambda *a, **k: save(*a, **k) or True
        """),
    ),
    Mutant(
        "whole-kind reads do not overtake each other",
        _code("""
            import app.flows.read_full as m
            from contextlib import nullcontext
            m.alone = lambda *a, **k: nullcontext()
        """),
    ),
    Mutant(
        "a diff leaves alone what was read later than it",
        _code("""
            import app.stores.differ as d
            see = d.Differ._see
            def always(self, at, key, record, digest):
                self._flags[at] &= ~d.sql.NEWER_FLAG
                see(self, at, key, record, digest)
            d.Differ._see = always
            import app.stores.catalog_sql as sql
            sql._NEWER = "excluded.version >= t.version"
        """),
    ),
]
