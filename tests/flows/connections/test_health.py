"""Whose fault a failed call is, who finds it out first, and when it is over."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import httpx
import pytest
import structlog
from structlog.testing import LogCapture

from app.domain import ConnectionState, Kind
from app.errors import (
    AuthRejected,
    BadAnswer,
    BudgetSpent,
    DatabaseFault,
    RateLimited,
    Refused,
    Unavailable,
    Unmappable,
    VendorForbidden,
    VendorRefused,
)
from app.flows.connections import connections as people
from app.flows.connections.connections import check
from app.flows.connections.health import Fault, blocked, doubt, forbidden, judge, paused, readable
from app.flows.connections.probes import probe
from app.sources import exchanges
from app.stores import catalog, connections
from app.stores.connections import StateRow
from app.stores.sql.engine import Database, open_database
from tests.fakes import SHOP, FakeSource, World, listing
from tests.stores.racing import at_once

EXPIRED = AuthRejected("401 ACCESS_TOKEN_EXPIRED")
NO_RIGHT = VendorForbidden("403 INSUFFICIENT_SCOPES: the access token lacks VENDOR_READ")
DOWN = Unavailable("connect timeout")


class Uncheckable(FakeSource):
    """A shop that nobody can check."""

    check = None  # type: ignore[assignment]


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def other(world: World, database_url: str) -> Iterator[World]:
    """Another process on the same database and shop, with the same clock."""
    with closing(open_database(database_url, pool=32)) as database:
        there = World(database, world.source)
        there.clock = world.clock
        there.deps = replace(there.deps, now=world.clock, worker="other")
        yield there


def rows(world: World) -> list[StateRow]:
    with world.database.read() as conn:
        return connections.rows(conn)


def state(world: World) -> str:
    return next((row.state.value for row in rows(world) if row.kind is None), "ok")


def refuse(world: World) -> Fault:
    """The token has expired, and an item's call shows it."""
    world.source.down = EXPIRED
    return judge(world.deps, SHOP, Kind.PRODUCT, EXPIRED)


def held(world: World, id: str) -> None:
    """A product that the shop has and that we hold."""
    world.source.put(listing(id))
    with world.database.begin() as conn:
        catalog.apply(conn, SHOP, [listing(id)], read_at=world.clock(), now=world.clock())


def later(world: World, seconds: float) -> None:
    world.clock.pass_(seconds)


@pytest.fixture
def log() -> Iterator[LogCapture]:
    """What is logged, whatever an earlier test made of the logs; emptied by ``entries.clear()``."""
    config, captured = structlog.get_config(), LogCapture()
    structlog.reset_defaults()
    structlog.configure(processors=[captured])
    yield captured
    structlog.configure(**config)


def events(log: LogCapture) -> list[str]:
    return [entry["event"] for entry in log.entries]


# --- whose fault it is ---


def test_a_refusal_is_the_connections_when_the_check_is_refused_too(world: World) -> None:
    assert refuse(world) is Fault.CONNECTION
    assert state(world) == "refused"


def test_silence_is_the_connections_when_the_check_is_not_answered_either(world: World) -> None:
    world.source.down = DOWN
    assert judge(world.deps, SHOP, Kind.PRODUCT, DOWN) is Fault.CONNECTION
    assert state(world) == "unanswered"


def test_silence_is_the_items_when_the_check_is_answered(world: World) -> None:
    assert judge(world.deps, SHOP, Kind.PRODUCT, DOWN, ["P1"]) is Fault.ITEM
    assert rows(world) == []


def test_a_bad_answer_is_the_connections_when_the_credentials_are_refused(world: World) -> None:
    world.source.check_failures.append(AuthRejected("a login page"))
    assert judge(world.deps, SHOP, Kind.PRODUCT, BadAnswer("HTML instead of JSON")) is Fault.CONNECTION


@pytest.mark.parametrize("error", [NO_RIGHT, EXPIRED])
def test_a_refusal_is_the_kinds_when_the_check_is_answered(world: World, error: AuthRejected) -> None:
    assert judge(world.deps, SHOP, Kind.STOCK, error) is Fault.KIND
    assert forbidden(world.deps, SHOP) == {Kind.STOCK}


@pytest.mark.parametrize(
    "error", [RateLimited("429"), BudgetSpent("none left"), Unmappable("no id"), ValueError("a bug")]
)
def test_what_says_nothing_of_the_connection_is_the_items_without_a_call(world: World, error: Exception) -> None:
    assert judge(world.deps, SHOP, Kind.PRODUCT, error) is Fault.ITEM
    assert world.source.checks == 0


def test_a_refused_request_is_the_items_when_the_check_is_answered(world: World) -> None:
    assert judge(world.deps, SHOP, Kind.PRODUCT, VendorRefused("400 no such filter"), ["P1"]) is Fault.ITEM
    assert rows(world) == []


def test_a_refused_request_is_the_connections_when_the_check_is_refused_too(world: World) -> None:
    world.source.down = VendorRefused("402 payment required")
    assert judge(world.deps, SHOP, Kind.PRODUCT, world.source.down, ["P1"]) is Fault.CONNECTION
    assert state(world) == "refused"


@pytest.mark.parametrize("error", [Unavailable("502"), BadAnswer("HTML instead of JSON")])
def test_one_item_that_fails_pauses_an_account_whose_cheapest_call_always_fails_for_five_seconds_once(
    world: World, error: Exception
) -> None:
    held(world, "P1")
    held(world, "P2")
    world.source.poison["P1"] = error
    world.source.check_failures.extend([error] * 3)
    assert judge(world.deps, SHOP, Kind.PRODUCT, error, ["P1"]) is Fault.CONNECTION
    later(world, 5)
    probe(world.deps)
    later(world, 60)
    assert judge(world.deps, SHOP, Kind.PRODUCT, error, ["P1"]) is Fault.ITEM
    assert (state(world), blocked(world.deps, SHOP)) == ("ok", None)


def test_an_account_whose_cheapest_call_always_fails_is_well_again_when_it_shows_an_item(world: World) -> None:
    held(world, "P1")
    world.source.down = DOWN
    judge(world.deps, SHOP, Kind.PRODUCT, DOWN, ["P1"])
    world.source.down = None
    world.source.check_failures.append(DOWN)
    later(world, 5)
    probe(world.deps)
    assert (state(world), blocked(world.deps, SHOP)) == ("ok", None)


def test_a_refusal_of_an_item_is_its_own_when_another_of_its_kind_may_be_read(world: World) -> None:
    held(world, "P2")
    world.source.poison["P1"] = NO_RIGHT
    assert judge(world.deps, SHOP, Kind.PRODUCT, NO_RIGHT, ["P1"]) is Fault.ITEM
    assert rows(world) == []


def test_a_refusal_of_an_item_is_the_kinds_when_another_of_it_may_not_be_read_either(world: World) -> None:
    held(world, "P2")
    world.source.refuses[Kind.PRODUCT] = NO_RIGHT
    assert judge(world.deps, SHOP, Kind.PRODUCT, NO_RIGHT, ["P1"]) is Fault.KIND


def test_a_fault_of_the_database_is_nobodys(world: World) -> None:
    with pytest.raises(DatabaseFault):
        judge(world.deps, SHOP, Kind.PRODUCT, DatabaseFault("the connection is lost"))


def test_a_refusal_without_budget_for_a_check_pauses_the_connection(world: World) -> None:
    world.source.check_failures.append(BudgetSpent("none left"))
    assert judge(world.deps, SHOP, Kind.PRODUCT, EXPIRED) is Fault.CONNECTION


def test_a_vendor_that_limits_the_check_has_answered_it(world: World) -> None:
    world.source.check_failures.append(RateLimited("429"))
    assert judge(world.deps, SHOP, Kind.PRODUCT, DOWN, ["P1"]) is Fault.ITEM


def test_a_source_without_a_check_is_believed_when_it_says_refused(database: Database) -> None:
    world = World(database, Uncheckable())
    assert judge(world.deps, SHOP, Kind.PRODUCT, EXPIRED) is Fault.CONNECTION


def test_a_source_without_a_check_has_failing_items_only(database: Database) -> None:
    world = World(database, Uncheckable())
    assert judge(world.deps, SHOP, Kind.PRODUCT, DOWN) is Fault.ITEM


def test_a_bug_in_the_check_is_no_items_fault(world: World) -> None:
    world.source.check_failures.append(KeyError("locations"))
    assert judge(world.deps, SHOP, Kind.PRODUCT, DOWN) is Fault.ITEM


def test_a_check_is_not_taken_for_the_exchange_that_failed(world: World) -> None:
    world.source.check = lambda: exchanges.note_request(httpx.Request("GET", "https://shop.example/check"))  # type: ignore
    with exchanges.watched():
        exchanges.note_request(httpx.Request("GET", "https://shop.example/item"))
        judge(world.deps, SHOP, Kind.PRODUCT, DOWN)
        exchange = exchanges.last_exchange()
    assert exchange is not None
    assert exchange["url"] == "https://shop.example/item"


def test_many_failures_at_once_cost_one_check(world: World) -> None:
    world.source.down = DOWN
    at_once(8, lambda _: judge(world.deps, SHOP, Kind.PRODUCT, DOWN))
    assert world.source.checks == 1


def test_who_fails_while_another_thread_checks_comes_back_later(world: World) -> None:
    faults: list[Fault] = []

    def check() -> None:
        world.source.checks += 1
        if world.source.checks == 1:
            faults.append(judge(world.deps, SHOP, Kind.PRODUCT, DOWN, ["P1"]))

    world.source.check = check  # type: ignore[method-assign]
    faults.append(judge(world.deps, SHOP, Kind.PRODUCT, DOWN, ["P1"]))
    assert (faults, world.source.checks) == ([Fault.CONNECTION, Fault.ITEM], 1)


def test_an_answer_from_before_the_refusal_is_not_believed(world: World) -> None:
    judge(world.deps, SHOP, Kind.PRODUCT, DOWN, ["P1"])  # the check is answered
    later(world, 1)
    assert refuse(world) is Fault.CONNECTION


# --- what is known ---


def test_a_refused_connection_is_blocked_with_the_vendors_words(world: World) -> None:
    refuse(world)
    assert "401 ACCESS_TOKEN_EXPIRED" in (blocked(world.deps, SHOP) or "")
    assert paused(world.deps) == {SHOP}


def test_a_forbidden_kind_leaves_the_other_kinds_alone(world: World) -> None:
    judge(world.deps, SHOP, Kind.STOCK, NO_RIGHT)
    assert blocked(world.deps, SHOP, Kind.PRODUCT) is None
    assert "VENDOR_READ" in (blocked(world.deps, SHOP, Kind.STOCK) or "")
    assert readable(world.deps, SHOP, world.source.kinds) == (Kind.PRODUCT,)


def test_another_process_knows_within_a_second(world: World, other: World) -> None:
    assert paused(other.deps) == frozenset()
    refuse(world)
    later(world, 1)
    assert paused(other.deps) == {SHOP}


def test_a_lost_database_leaves_what_was_known(world: World) -> None:
    refuse(world)
    assert paused(world.deps) == {SHOP}
    lost = open_database("sqlite:////nowhere/at/all.db")
    world.database.read = lost.read  # type: ignore[method-assign]
    later(world, 10)
    assert paused(world.deps) == {SHOP}


def test_secrets_do_not_get_into_the_reason(world: World) -> None:
    deps = replace(world.deps, redact=lambda text: text.replace("hunter2", "(removed)"))
    world.source.down = AuthRejected("the key hunter2 is wrong")
    judge(deps, SHOP, Kind.PRODUCT, world.source.down)
    assert rows(world)[0].reason == "the key (removed) is wrong"


def test_a_reason_that_no_database_holds_is_stored_all_the_same(world: World) -> None:
    world.source.down = AuthRejected("no\x00\ud800\x1b]0;title")
    judge(world.deps, SHOP, Kind.PRODUCT, world.source.down)
    assert state(world) == "refused"


# --- one winner ---


def test_two_processes_that_see_it_at_once_log_one_change(world: World, other: World, log: LogCapture) -> None:
    world.source.down = EXPIRED
    log.entries.clear()
    at_once(8, lambda number: judge((world, other)[number % 2].deps, SHOP, Kind.PRODUCT, EXPIRED))
    assert events(log).count("connection_refused") == 1


def test_two_processes_that_are_forbidden_at_once_log_one_line(world: World, other: World, log: LogCapture) -> None:
    log.entries.clear()
    at_once(8, lambda number: judge((world, other)[number % 2].deps, SHOP, Kind.STOCK, NO_RIGHT))
    assert events(log).count("kind_forbidden") == 1


def test_later_evidence_keeps_since(world: World, other: World) -> None:
    refuse(world)
    since = rows(world)[0].since
    later(world, 0.5)
    judge(other.deps, SHOP, Kind.PRODUCT, EXPIRED)
    assert rows(world)[0].since == since


def test_a_refusal_after_silence_is_another_state(world: World) -> None:
    world.source.down = DOWN
    judge(world.deps, SHOP, Kind.PRODUCT, DOWN)
    later(world, 10)
    world.source.down = EXPIRED
    probe(world.deps)
    assert state(world) == "refused"


# --- probes ---


def test_no_probe_comes_before_its_time(world: World) -> None:
    refuse(world)
    later(world, 4)
    assert probe(world.deps) == 0


def test_a_probe_that_is_answered_ends_the_fault(world: World, log: LogCapture) -> None:
    refuse(world)
    world.source.down = None
    later(world, 5)
    log.entries.clear()
    probe(world.deps)
    assert (state(world), blocked(world.deps, SHOP)) == ("ok", None)
    assert events(log) == ["connection_answers"]


def test_probes_come_later_and_later_up_to_five_minutes(world: World) -> None:
    refuse(world)
    waits = []
    for _ in range(8):
        due = rows(world)[0].next_probe_at
        assert due is not None
        waits.append((due - world.clock()).total_seconds())
        later(world, waits[-1])
        assert probe(world.deps) == 1
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]


def test_a_probe_in_vain_logs_nothing(world: World, log: LogCapture) -> None:
    refuse(world)
    later(world, 5)
    log.entries.clear()
    probe(world.deps)
    assert events(log) == []


def test_of_many_processes_one_probes(world: World, other: World) -> None:
    refuse(world)
    later(world, 5)
    before = world.source.checks
    at_once(8, lambda number: probe((world, other)[number % 2].deps))
    assert world.source.checks == before + 1


def test_the_probe_of_a_process_that_died_is_made_by_another(world: World, other: World) -> None:
    refuse(world)
    later(world, 5)
    world.source.check_failures.append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        probe(world.deps)
    later(world, 60)
    assert probe(other.deps) == 1


def test_no_transaction_is_open_while_the_vendor_is_asked(world: World) -> None:
    refuse(world)
    world.source.down = None
    later(world, 5)

    def check() -> None:
        with world.database.begin():  # would wait for ever, or fail, inside another one
            pass

    world.source.check = check  # type: ignore[method-assign]
    assert probe(world.deps) == 1


def test_evidence_from_before_the_recovery_changes_nothing(world: World, other: World) -> None:
    assert paused(other.deps) == frozenset()
    refuse(world)
    judge(other.deps, SHOP, Kind.PRODUCT, EXPIRED)  # the other process does not know yet, and checks for itself
    world.source.down = None
    later(world, 2)
    people.check(world.deps, SHOP)
    later(world, 1)
    judge(other.deps, SHOP, Kind.PRODUCT, EXPIRED)  # by its verdict of three seconds ago
    assert state(world) == "ok"


def test_a_probe_without_budget_is_made_five_seconds_later(world: World) -> None:
    refuse(world)
    later(world, 5)
    world.source.check_failures.append(BudgetSpent("none left"))
    probe(world.deps)
    later(world, 5)
    assert (state(world), probe(world.deps)) == ("refused", 1)


def test_a_doubted_connection_is_probed_at_once(world: World) -> None:
    world.source.down = EXPIRED
    doubt(world.deps, SHOP)
    probe(world.deps)
    assert state(world) == "refused"


def test_a_doubted_connection_that_answers_is_probed_once(world: World) -> None:
    doubt(world.deps, SHOP)
    assert probe(world.deps) == 1
    later(world, 3600)
    assert (state(world), probe(world.deps)) == ("ok", 0)


# --- kinds ---


def test_a_forbidden_kind_is_read_again_after_an_hour(world: World) -> None:
    judge(world.deps, SHOP, Kind.STOCK, NO_RIGHT)
    later(world, 3599)
    assert forbidden(world.deps, SHOP) == {Kind.STOCK}
    later(world, 1)
    assert forbidden(world.deps, SHOP) == frozenset()


def test_a_kind_that_is_forbidden_again_is_not_logged_again(world: World, log: LogCapture) -> None:
    judge(world.deps, SHOP, Kind.STOCK, NO_RIGHT)
    later(world, 3600)
    log.entries.clear()
    judge(world.deps, SHOP, Kind.STOCK, NO_RIGHT)
    assert events(log) == []
    assert forbidden(world.deps, SHOP) == {Kind.STOCK}


def test_a_read_that_ended_before_the_refusal_allows_nothing(world: World) -> None:
    before = world.clock()
    later(world, 1)
    judge(world.deps, SHOP, Kind.STOCK, NO_RIGHT)
    assert not world.database.transact(lambda conn: connections.allow(conn, SHOP, Kind.STOCK, before))


def test_a_kind_whose_refusal_may_pass_is_read_again_after_half_a_minute(world: World) -> None:
    judge(world.deps, SHOP, Kind.STOCK, EXPIRED)
    later(world, 30)
    assert forbidden(world.deps, SHOP) == frozenset()


# --- credentials ---


def _with(world: World, digest: str) -> World:
    """The same process after its settings changed."""
    world.deps = replace(world.deps, credentials={SHOP: digest})
    return world


@pytest.mark.parametrize("fail", [refuse, lambda world: judge(world.deps, SHOP, Kind.PRODUCT, NO_RIGHT)])
def test_changed_credentials_are_tried_at_once(world: World, fail: Callable[[World], Fault]) -> None:
    fail(_with(world, "old"))
    assert blocked(world.deps, SHOP, Kind.PRODUCT) is not None
    assert blocked(_with(world, "new").deps, SHOP, Kind.PRODUCT) is None


def test_changed_credentials_are_probed_before_the_time(world: World) -> None:
    refuse(_with(world, "old"))
    for _ in range(6):
        later(world, 300)
        probe(world.deps)
    later(world, 10)
    world.source.down = None
    probe(_with(world, "new").deps)
    assert state(world) == "ok"


def test_changed_credentials_that_are_refused_as_well_are_not_tried_any_more(world: World) -> None:
    refuse(_with(world, "old"))
    later(world, 10)
    refuse(_with(world, "new"))
    assert blocked(world.deps, SHOP, Kind.PRODUCT) is not None


def test_changed_credentials_do_not_make_a_silent_vendor_answer(world: World) -> None:
    world.source.down = DOWN
    judge(_with(world, "old").deps, SHOP, Kind.PRODUCT, DOWN)
    assert blocked(_with(world, "new").deps, SHOP) is not None


# --- people ---


def test_evidence_does_not_change_a_persons_pause(world: World) -> None:
    people.pause(world.deps, SHOP)
    assert refuse(world) is Fault.CONNECTION
    assert state(world) == "paused"


def test_a_paused_connection_is_not_probed(world: World) -> None:
    people.pause(world.deps, SHOP)
    later(world, 3600)
    assert probe(world.deps) == 0


def test_a_check_by_a_person_ends_a_fault(world: World) -> None:
    refuse(world)
    world.source.down = None
    assert people.check(world.deps, SHOP).now.state == ConnectionState.OK


def test_a_check_by_a_person_finds_a_fault(world: World) -> None:
    world.source.down = EXPIRED
    checked = people.check(world.deps, SHOP)
    assert (checked.answers, checked.said, checked.now.state) == (False, str(EXPIRED), "refused")


@pytest.mark.parametrize("down", [None, EXPIRED])
def test_a_check_leaves_a_persons_pause(world: World, down: Exception | None) -> None:
    people.pause(world.deps, SHOP)
    world.source.down = down
    assert people.check(world.deps, SHOP).now.state == "paused"


def test_resuming_has_the_vendor_called_at_once(world: World) -> None:
    refuse(world)
    people.pause(world.deps, SHOP)
    people.resume(world.deps, SHOP)
    probe(world.deps)
    assert state(world) == "refused"


def test_what_is_not_paused_cannot_be_resumed(world: World) -> None:
    with pytest.raises(Refused):
        people.resume(world.deps, SHOP)


def test_what_is_paused_cannot_be_paused_again(world: World) -> None:
    people.pause(world.deps, SHOP)
    with pytest.raises(Refused):
        people.pause(world.deps, SHOP)


def test_a_check_that_is_answered_has_forbidden_kinds_tried_again_at_once(world: World) -> None:
    judge(world.deps, SHOP, Kind.STOCK, VendorForbidden("403: no INVENTORY_READ"))
    assert forbidden(world.deps, SHOP) == {Kind.STOCK}
    check(world.deps, SHOP)
    assert forbidden(world.deps, SHOP) == frozenset()
