"""Retention of all that is neither letter nor event: what is old goes, and what something still rests on stays."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from sqlmodel import SQLModel

from app.config import Settings
from app.domain import Kind, Options, Strategy
from app.flows.items.leases import LeaseKeeper
from app.flows.letters.letter_actions import discard
from app.flows.letters.replay import replay_letters
from app.flows.runs.request_run import cancel_run, request_run, resume_run
from app.flows.runs.run import run as carry_out
from app.flows.upkeep.retention import Keep, prune
from app.stores.catalog.catalog_sql import shape
from app.stores.history import known_since
from app.stores.history import rows as history
from app.stores.sql.engine import Database
from app.stores.upkeep import heartbeats
from app.stores.upkeep.pruning import BATCH_SIZE
from tests.fakes import SHOP, FakeSource, World, listing
from tests.letters import all_letters, die
from tests.refusing import refusing

DAY = 86_400.0


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def prune_after(world: World, **days: int) -> dict[str, int]:
    """Remove only what is named."""
    nothing = dict.fromkeys((field.name for field in fields(Keep)), 0)
    removed = prune(world.deps, letters_days=0, inbox_days=0, keep=Keep(**{**nothing, **days}))
    return {what: count for what, count in removed.items() if count}


def add(world: World, table: str, *rows: Mapping[str, Any]) -> None:
    with world.database.begin() as conn:
        conn.execute(insert(SQLModel.metadata.tables[table]), list(rows))


def values(world: World, column: str) -> list[Any]:
    """All values of "table.column", sorted."""
    table, name = column.split(".")
    with world.database.read() as conn:
        return sorted(conn.execute(select(SQLModel.metadata.tables[table].c[name])).scalars())


def rows(world: World, table: str) -> int:
    with world.database.read() as conn:
        return int(conn.execute(select(func.count()).select_from(SQLModel.metadata.tables[table])).scalar_one())


def ago(world: World, days: float) -> datetime:
    return world.clock() - timedelta(days=days)


def run(
    world: World, days: float, *, strategy: str = "full", status: str = "completed", **more: Any
) -> dict[str, Any]:
    """A run that ended so many days ago."""
    then = ago(world, days)
    row = {"connection": SHOP, "strategy": strategy, "cause": "schedule", "status": status, "kills": 0, "calls": 1}
    texts = {"counts": "{}", "options": "{}", "progress": "{}", "checkpoint": "{}"}
    return {**row, **texts, "dry": False, "created_at": then, "started_at": then, "finished_at": then, **more}


def difference(world: World, run_id: int, item: str) -> dict[str, Any]:
    row = {"run_id": run_id, "connection": SHOP, "kind": "product", "item": item, "change": "differs", "fields": "{}"}
    return {**row, "cause": "missed", "found_at": world.clock()}


def test_rows_that_cannot_be_removed_keep_no_other_sort(world: World) -> None:
    add(world, "runs", run(world, 400, status="failed"), run(world, 20) | {"dry": True}, run(world, 1))
    with refusing(world.database, "DELETE", "runs", "OLD.dry"):
        assert prune_after(world, dry_runs=14, runs=365) == {"runs": 1}


# --- runs ---


def test_differences_go_when_their_run_is_old(world: World) -> None:
    add(world, "runs", run(world, 366, id=1), run(world, 364, id=2))
    add(world, "drift", difference(world, 1, "old"), difference(world, 2, "young"))
    assert prune_after(world, drift=365) == {"drift": 1}
    assert values(world, "drift.item") == ["young"]


def test_differences_of_a_dry_run_go_soon_and_the_run_with_them(world: World) -> None:
    add(world, "runs", run(world, 15, id=1, dry=True), run(world, 15, id=2), run(world, 1, id=3, dry=True))
    add(world, "drift", *(difference(world, id, f"{id}") for id in (1, 2, 3)))
    assert prune_after(world, dry_runs=14) == {"dry_drift": 1, "dry_runs": 1}
    assert (values(world, "drift.item"), values(world, "runs.id")) == (["2", "3"], [2, 3])


def test_a_run_stays_as_long_as_its_differences(world: World) -> None:
    add(world, "runs", run(world, 400, id=1), run(world, 300, id=2))
    add(world, "drift", difference(world, 1, "A"), difference(world, 2, "B"))
    assert prune_after(world, runs=365) == {}
    assert prune_after(world, runs=365, drift=365) == {"drift": 1, "runs": 1}


def test_the_last_completed_run_of_a_strategy_never_goes(world: World) -> None:
    add(
        world,
        "runs",
        run(world, 800, id=1),
        run(world, 700, id=2),
        run(world, 600, id=3, strategy="incremental"),
        run(world, 500, id=4, status="failed"),
        run(world, 450, id=5, options='{"category":"x"}'),
        run(world, 1, id=6, status="failed"),
    )
    assert prune_after(world, runs=365) == {"runs": 2}
    assert values(world, "runs.id") == [2, 3, 5, 6]


def test_a_run_with_an_item_that_still_fails_stays(world: World) -> None:
    add(
        world,
        "runs",
        run(world, 400, id=1, status="failed"),
        run(world, 400, id=2, status="failed"),
        run(world, 1, id=3),
    )
    item = {"connection": SHOP, "kind": "product", "category": "mapping", "error_type": "X", "error": "x"}
    more = {"traceback": "", "attempts": 1, "failed_at": ago(world, 400)}
    add(
        world,
        "failed_items",
        {**item, **more, "run_id": 1, "external_id": "A", "resolved_at": None},
        {**item, **more, "run_id": 2, "external_id": "B", "resolved_at": ago(world, 399)},
        {**item, **more, "run_id": 2, "external_id": "C", "resolved_at": ago(world, 3)},
    )
    assert prune_after(world, runs=365) == {"failed_items": 1, "runs": 1}
    assert (values(world, "runs.id"), values(world, "failed_items.external_id")) == ([1, 3], ["A", "C"])


def test_a_run_under_way_never_goes(world: World) -> None:
    add(world, "runs", run(world, 900, id=1, status="running"), run(world, 1, id=2))
    assert prune_after(world, runs=1, dry_runs=1) == {}


def test_pages_of_a_run_that_nobody_resumed_go_and_a_late_resume_reads_all_again(database: Database) -> None:
    world = World(database, FakeSource(page_size=2))
    world.source.put(*(listing(f"P{number}") for number in range(6)))
    run_id = interrupted(world)
    world.clock.pass_(15 * DAY)
    assert prune_after(world, dry_runs=14) == {"pages": 2}
    world.source.pages_read.clear()
    resume_run(world.deps, SHOP, run_id)
    carry_out(world.deps, LeaseKeeper(database), run_id, patience=0.0)
    assert world.source.pages_read == ["0", "2", "4"]
    assert rows(world, "listings") == 6


def interrupted(world: World) -> int:
    """A full run that was cancelled at its third page."""
    run_id = request_run(world.deps, SHOP, Strategy.CATALOG, Options(), cause="person")
    world.source.on_page = lambda number: number == 2 and cancel_run(world.deps, SHOP, run_id)
    carry_out(world.deps, LeaseKeeper(world.database), run_id, patience=0.0)
    world.source.on_page = lambda number: None
    return run_id


def test_more_than_one_transaction_goes_in_one_call_and_clocks_at_once_remove_each_row_once(world: World) -> None:
    many = 2 * BATCH_SIZE + 7
    add(world, "runs", run(world, 20, id=1, dry=True), run(world, 1, id=2))
    add(world, "drift", *(difference(world, 1, f"{number}") for number in range(many)), difference(world, 2, "last"))
    with ThreadPoolExecutor(2) as clocks:
        both = list(clocks.map(lambda _: prune_after(world, dry_runs=14), range(2)))
    rest = prune_after(world, dry_runs=14)
    assert sum(one.get("dry_drift", 0) for one in [*both, rest]) == many
    assert values(world, "drift.item") == ["last"]


# --- letters, alerts, replays ---


def test_a_letter_that_waits_for_a_person_stays_and_a_discarded_one_goes(world: World) -> None:
    waits, discarded, newest = die(world, "A"), die(world, "B"), die(world, "C")
    discard(world.deps, f"id:{discarded}", "a typing error")
    world.clock.pass_(400 * DAY)
    assert prune_after(world, done_letters=365) == {"done_letters": 1}
    assert [letter.id for letter in all_letters(world.database)] == [waits, newest]


def test_a_letter_whose_item_was_brought_in_since_goes(world: World) -> None:
    die(world, "A")
    newest = die(world, "B")
    then = {"cause": "webhook", "changes": 1, "attempts": 0, "first_seen_at": world.clock()}
    key = {"connection": SHOP, "kind": "product", "external_id": "A", "outcome": "applied"}
    world.clock.pass_(60)
    add(world, "settlements", {**key, **then, "settled_at": world.clock()})
    world.clock.pass_(400 * DAY)
    assert prune_after(world, done_letters=365) == {"done_letters": 1}
    assert [letter.id for letter in all_letters(world.database)] == [newest]


def test_alerts_that_are_over_go_and_open_ones_stay(world: World) -> None:
    base = {"severity": "warning", "title": "t", "detail": "d", "opened_at": ago(world, 500)}
    closed = [None, ago(world, 366), ago(world, 364), None]
    add(world, "alerts", *({**base, "key": f"{number}", "closed_at": one} for number, one in enumerate(closed)))
    assert prune_after(world, alerts=365) == {"alerts": 1}
    assert values(world, "alerts.key") == ["0", "2", "3"]


def test_outages_that_are_over_go_and_open_ones_stay(world: World) -> None:
    base = {"reason": "silence", "began_at": ago(world, 500), "found_at": ago(world, 500), "expected": 1}
    counts = {"missed": 0, "replayed": 0}
    for name, state, closed in (("a", "open", None), ("b", "quiet", ago(world, 400)), ("c", "quiet", ago(world, 1))):
        add(world, "gaps", {**base, **counts, "connection": name, "state": state, "closed_at": closed})
    assert prune_after(world, alerts=365) == {"outages": 1}
    assert values(world, "gaps.connection") == ["a", "c"]


def test_decided_holds_go_and_waiting_ones_stay(world: World) -> None:
    base = {"connection": SHOP, "reason": "r", "summary": "{}", "held_at": ago(world, 400)}
    states = {"product": "held", "stock": "released", "order": "dismissed", "vendor": "passed"}
    add(world, "holds", *({**base, "kind": kind, "state": state} for kind, state in states.items()))
    assert prune_after(world, alerts=365) == {"holds": 1}
    assert values(world, "holds.kind") == ["product", "stock", "vendor"]  # the newest one's number is not given again


def test_an_ended_replay_goes_with_its_items_unless_a_letter_names_it(world: World) -> None:
    replay_letters(world.deps, f"id:{die(world, 'A')}", "named", canary=False)
    base = {"of": "events", "filter": "", "rate": 0, "canary": False, "letters": 0, "items": 1, "asked_by": "x"}
    ended = {"status": "completed", "asked_at": ago(world, 400), "finished_at": ago(world, 400)}
    young = {"status": "completed", "asked_at": ago(world, 4), "finished_at": ago(world, 4)}
    add(world, "replays", {**base, **ended, "name": "old", "id": 7}, {**base, **young, "name": "young", "id": 8})
    member = {"connection": SHOP, "kind": "product", "letter_id": 0, "state": "done", "mark": 0}
    add(world, "replay_items", *({**member, "replay_id": id, "external_id": f"X{id}"} for id in (7, 8)))
    assert prune_after(world, alerts=365) == {"replay_items": 1, "replays": 1}
    assert values(world, "replays.name") == ["named", "young"]


# --- figures, heartbeats, sessions, answers, budgets ---


def test_figures_go_but_for_the_last_slot_which_says_what_is_summed(world: World) -> None:
    base = {"connection": SHOP, "kind": "product", "outcome": "applied"}
    add(world, "settled_slots", *({**base, "slot": ago(world, days)} for days in (900, 800, 700)))
    assert prune_after(world, figures=400) == {"slots": 2}
    assert values(world, "settled_slots.slot") == [ago(world, 700)]


def test_a_process_long_gone_goes_once_a_later_one_was_there_for_a_while(world: World) -> None:
    spans = {"a": (90, 80), "b": (80, 35), "c": (35, 0)}
    for process, (started, seen) in spans.items():
        with world.database.begin() as conn:
            heartbeats.record(conn, process, "web", ago(world, started), ago(world, seen))
    assert prune_after(world, heartbeats=30) == {"heartbeats": 2}
    assert values(world, "beats.process") == ["c"]


def test_the_last_sign_of_life_stays_so_that_a_downtime_is_noticed(world: World) -> None:
    with world.database.begin() as conn:
        heartbeats.record(conn, "before", "web", ago(world, 90), ago(world, 40))
    assert prune_after(world, heartbeats=30) == {}
    with world.database.begin() as conn:
        heartbeats.record(conn, "after", "web", world.clock(), world.clock())
        heartbeats.record(conn, "clock", "clock", ago(world, 90), world.clock())
    assert prune_after(world, heartbeats=30) == {}
    with world.database.read() as conn:
        down = heartbeats.silences(conn, "web", ago(world, 1), timedelta(minutes=1))
    assert down == [(ago(world, 40), world.clock())]


def test_products_as_they_were_before_doubtful_changes_go_once_no_new_change_is_judged_with_them(
    world: World,
) -> None:
    for days in (31, 1):
        add(
            world,
            "trickled_changes",
            {"connection": SHOP, "external_id": f"{days}", "before": "{}", "at": ago(world, days)},
        )
    assert prune_after(world, heartbeats=30) == {"trickled": 1}
    assert values(world, "trickled_changes.external_id") == ["1"]


def test_sessions_that_are_over_and_old_answers_go(world: World) -> None:
    base = {"csrf": "x", "created_at": ago(world, 90), "seen_at": ago(world, 90), "origin": "x"}
    add(world, "sessions", *({**base, "digest": f"{days}", "expires_at": ago(world, days)} for days in (31, -1)))
    answer = {"connection": SHOP, "answer": "1", "took_ms": 1}
    add(world, "answers", *({**answer, "question": f"{days}", "found_at": ago(world, days)} for days in (31, 1)))
    assert prune_after(world, answers=30) == {"answers": 1, "sessions": 1}
    assert (values(world, "sessions.digest"), values(world, "answers.question")) == (["-1"], ["1"])


def test_call_budgets_that_nobody_uses_go(world: World) -> None:
    then, now = ago(world, 31).timestamp(), world.clock().timestamp()
    taken = {"old": f"[[],[{then}]]", "mixed": f"[[{then}],[{now}]]", "used": f"[[{now}]]", "early": f"[{then}]"}
    add(world, "budget_use", *({"connection": SHOP, "name": name, "taken": text} for name, text in taken.items()))
    assert prune_after(world, answers=30) == {"budgets": 2}
    assert values(world, "budget_use.name") == ["mixed", "used"]


# --- tombstones ---


@pytest.mark.parametrize("kind", list(Kind))
def test_a_tombstone_of_an_id_that_we_never_held_goes_after_a_while(world: World, kind: Kind) -> None:
    for name, days in (("old", 31), ("young", 29)):
        add(world, shape(kind).table, tombstone(world, kind, name, days))
    assert prune_after(world, tombstones=30) == {f"tombstones_{kind}": 1}
    assert rows(world, shape(kind).table) == 1


def test_a_tombstone_of_what_we_held_stays(world: World) -> None:
    held = tombstone(world, Kind.PRODUCT, "A", 100)
    add(world, "listings", {**held, "name": "A thing"})
    add(world, "listings", {**held, "external_id": "B", "version": 7})
    add(world, "listings", {**held, "external_id": "C", "deleted": False})
    add(world, "listings", {**held, "external_id": "D", "row_hash": 5})
    assert prune_after(world, tombstones=30) == {}


def tombstone(world: World, kind: Kind, name: str, days: float) -> dict[str, Any]:
    keys = dict.fromkeys(shape(kind).keys, name)
    row = {"connection": SHOP, **keys, "deleted": True, "version": 0, "row_hash": 0}
    return {
        **row,
        **({"quantity": 0} if kind is Kind.STOCK else {}),
        "read_at": ago(world, days),
        "written_at": ago(world, days),
    }


# --- settings ---


def test_the_settings_have_the_defaults_that_retention_has() -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert Keep(**{field.name: getattr(settings, f"keep_{field.name}_days") for field in fields(Keep)}) == Keep()


def test_nothing_goes_where_all_is_kept(world: World) -> None:
    add(world, "runs", run(world, 5_000, id=1, dry=True), run(world, 5_000, id=2))
    assert prune_after(world) == {}


# --- history ---


def change(world: World, days: float, id: int) -> dict[str, Any]:
    moments = dict.fromkeys(("changed_at", "recorded_at"), ago(world, days))
    return {"id": id, "connection": SHOP, "kind": "stock", "external_id": "A", "op": "updated", **moments}


def test_old_changes_go_and_young_ones_stay(world: World) -> None:
    add(world, "history", change(world, 401, 1), change(world, 399, 2), change(world, 1, 3))
    assert prune_after(world, history=400) == {"history": 1}
    assert values(world, "history.id") == [2, 3]


def test_history_is_known_only_from_where_it_is_kept(world: World) -> None:
    with world.database.begin() as conn:
        history.begin_load(conn, SHOP, Kind.STOCK, ago(world, 500))
    add(world, "history", change(world, 401, 2), change(world, 1, 3))
    prune_after(world, history=400)
    with world.database.read() as conn:
        assert known_since(conn, SHOP) == ago(world, 400)


def test_where_nothing_was_removed_history_is_known_from_its_beginning_on(world: World) -> None:
    with world.database.begin() as conn:
        history.begin_load(conn, SHOP, Kind.STOCK, ago(world, 500))
    prune_after(world, history=400)
    with world.database.read() as conn:
        assert known_since(conn, SHOP) == ago(world, 500)
