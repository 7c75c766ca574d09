"""Traces that are kept of what we did not hear: a restored backup, refused deliveries; and reasons that are corrected."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import bindparam, text

from app.domain import Cause, Change, ItemKey, Kind, Ref
from app.flows.inbox.refused import MOST_READ, RefusedDeliveries
from app.flows.items.leases import LeaseKeeper
from app.flows.items.sync_item import sync_item
from app.flows.reports.metrics import metrics
from app.flows.runs.correct_reasons import correct_reasons
from app.rules.drift.drift import Restore
from app.stores import owed
from app.stores.inbox import refusals
from app.stores.runs import drift
from app.stores.runs.drift import Difference
from app.stores.sql.columns import Moment
from app.stores.sql.engine import Database
from app.stores.upkeep import marks
from app.stores.upkeep.marks import Mark, Witness
from tests.fakes import EPOCH, SHOP, World, listing
from tests.nightly import forty_products, night

PRODUCT = Kind.PRODUCT


@pytest.fixture
def world(database: Database) -> World:
    return forty_products(database, ago=86_400)


def changed(world: World, id: str) -> None:
    world.source.put(listing(id, version=int((world.clock() - EPOCH).total_seconds()), name=f"new {world.clock()}"))


def event(world: World, id: str) -> None:
    with world.database.begin() as conn:
        owed.owe(conn, SHOP, [Change(PRODUCT, id)], Cause.WEBHOOK, world.clock())
    sync_item(world.deps, LeaseKeeper(world.database), ItemKey(SHOP, PRODUCT, id))


def difference_of(world: World, run_id: int) -> Difference:
    with world.database.read() as conn:
        (row,) = drift.of_run(conn, run_id)
    return row


# --- a restored backup ---


def rise(world: World, witness: Witness) -> Mark:
    with world.database.begin() as conn:
        mark = marks.rise(conn, witness.last, world.clock())
    witness.keep(mark)
    return mark


def restores(world: World) -> list[Restore]:
    with world.database.read() as conn:
        return marks.restores(conn, EPOCH)


def test_a_mark_that_went_back_is_a_restored_backup(world: World) -> None:
    witness = Witness()
    backup, lost = rise(world, witness), world.clock() + timedelta(seconds=60)
    world.clock.pass_(60)
    rise(world, witness)
    with world.database.begin() as conn:
        put_back = text("UPDATE marks SET number = :number, at = :at").bindparams(bindparam("at", type_=Moment()))
        conn.execute(put_back, {"number": backup.number, "at": backup.at})
    world.clock.pass_(60)
    rise(world, witness)
    assert restores(world) == [Restore(backup.at, lost, world.clock())]


def test_a_restore_is_noticed_once_by_all_processes(world: World) -> None:
    one, other = Witness(), Witness()
    for _ in range(3):
        rise(world, one)
        rise(world, other)
    with world.database.begin() as conn:
        conn.execute(text("UPDATE marks SET number = 1"))
    for _ in range(2):
        rise(world, one)
        rise(world, other)
    assert len(restores(world)) == 1


def test_an_ordinary_life_is_no_restore(world: World) -> None:
    one, other = Witness(), Witness()
    for _ in range(5):
        rise(world, one)
        rise(world, other)
    assert restores(world) == []


def test_a_witness_outlives_its_process(world: World, tmp_path: Path) -> None:
    file = tmp_path / "mark.json"
    seen = rise(world, Witness(file))
    assert Witness(file).last == seen


def test_a_witness_whose_file_is_spoiled_has_seen_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mark.json"
    file.write_text("{")
    assert Witness(file).last is None


# --- refused deliveries ---


def refused(world: World) -> list[refusals.Refused]:
    with world.database.read() as conn:
        return refusals.since(conn, SHOP, EPOCH)


def body(id: str) -> bytes:
    return msgspec.json.encode({"id": "e", "type": "changed", "items": [["product", id]]})


def test_a_refused_delivery_is_kept_with_what_it_claims_to_be_about(world: World) -> None:
    log = RefusedDeliveries(world.deps)
    log.add(SHOP, {}, body("P01"), world.clock(), "the word is wrong")
    log.write()
    assert refused(world) == [(world.clock(), (Ref(PRODUCT, "P01"),), 1)]


def test_a_refused_delivery_that_nobody_can_read_is_kept_too(world: World) -> None:
    log = RefusedDeliveries(world.deps)
    log.add(SHOP, {}, b"\xff", world.clock(), "the word is wrong")
    log.write()
    assert refused(world) == [(world.clock(), (), 1)]


def test_many_refused_deliveries_make_few_rows(world: World) -> None:
    log = RefusedDeliveries(world.deps)
    for _ in range(100):
        log.add(SHOP, {}, body("P01"), world.clock(), "the word is wrong")
    log.write()
    assert (len(refused(world)), sum(one.deliveries for one in refused(world))) == (MOST_READ + 1, 100)


def test_strangers_make_us_write_now_and_then_only(world: World) -> None:
    log = RefusedDeliveries(world.deps)
    for _ in range(3):
        log.add(SHOP, {}, body("P01"), world.clock(), "the word is wrong")
        log.write()
    assert len(refused(world)) == 1


def test_a_change_whose_delivery_was_refused_says_so(world: World) -> None:
    changed(world, "P01")
    log = RefusedDeliveries(world.deps)
    log.add(SHOP, {}, body("P01"), world.clock(), "the word is wrong")
    log.write()
    world.clock.pass_(600)
    assert difference_of(world, night(world)).cause == "refused"


# --- edits by hand ---


def by_hand(world: World, sql: str) -> None:
    with world.database.begin() as conn:
        conn.execute(text(sql))


def test_an_edit_by_hand_that_moved_the_version_is_local_and_repaired(world: World) -> None:
    by_hand(world, "UPDATE listings SET name = 'mine', version = version + 9 WHERE external_id = 'P01'")
    assert difference_of(world, night(world)).cause == "local"
    with world.database.read() as conn:
        assert conn.execute(text("SELECT name FROM listings WHERE external_id = 'P01'")).scalar() == "Product P01"


UNSEEN = "UPDATE listings SET name = 'mine', row_hash = 12345 WHERE external_id = 'P01'"
"""An edit by hand that only the checksum of the row shows."""


def rows(world: World) -> list[Any]:
    with world.database.read() as conn:
        return list(conn.execute(text("SELECT * FROM listings ORDER BY external_id")))


def test_a_dry_run_writes_nothing_where_a_checksum_does_not_fit(world: World) -> None:
    by_hand(world, UNSEEN)
    before = rows(world)
    night(world, dry_run=True)
    assert rows(world) == before


@pytest.mark.parametrize("by_sql", [UNSEEN, UNSEEN.replace("row_hash = 12345", "version = version + 9")])
def test_a_dry_run_names_the_row_that_was_edited_by_hand(world: World, by_sql: str) -> None:
    by_hand(world, by_sql)
    row = difference_of(world, night(world, dry_run=True))
    assert (row.item, row.fields) == ("P01", {"name": ["mine", "Product P01"]})


# --- corrected reasons ---


def test_an_event_that_comes_hours_later_turns_missed_into_late(world: World) -> None:
    changed(world, "P01")
    world.clock.pass_(3600)
    run_id = night(world)
    assert difference_of(world, run_id).cause == "missed"
    world.clock.pass_(5 * 3600)
    event(world, "P01")
    assert correct_reasons(world.deps) == 1
    row = difference_of(world, run_id)
    assert (row.cause, row.corrected_from, row.corrected_at) == ("late", "missed", world.clock())


def test_an_event_of_a_later_change_corrects_nothing(world: World) -> None:
    changed(world, "P01")
    world.clock.pass_(3600)
    run_id = night(world)
    world.clock.pass_(5 * 3600)
    changed(world, "P01")
    world.clock.pass_(1)
    event(world, "P01")
    assert (correct_reasons(world.deps), difference_of(world, run_id).cause) == (0, "missed")


# --- agreement by day ---


def test_the_agreement_of_a_day_is_kept_with_its_number_of_rows(world: World) -> None:
    changed(world, "P01")
    world.clock.pass_(3600)
    night(world)
    (day,) = [one for one in metrics(world.deps, SHOP).agreement_days if one.kind == "product"][:1]
    assert (day.share, day.rows, day.differed, day.unknown) == (1.0, 40, 1, None)


def test_an_answer_that_was_not_believed_says_why_its_agreement_is_unknown(world: World) -> None:
    world.source.listings.clear()
    run_id = night(world)
    (day,) = [one for one in metrics(world.deps, SHOP).agreement_days if one.run == run_id and one.rows == 0][:1]
    assert (day.share, (day.unknown or "")[:18]) == (None, "the read was held:")
