"""``tallyhook runs``, ``history``, ``failed`` and ``drift``: what runs did can be looked up, and acted upon."""

import pytest

from app.domain import Kind, Ref, Strategy
from app.errors import Unmappable
from app.stores.runs import failed_items, runs
from tests.cli.conftest import Terminal
from tests.fakes import SHOP, listing

NEVER = "999999"


def done(terminal: Terminal, strategy: Strategy = Strategy.CATALOG, **options: object) -> int:
    """A run that a worker has carried out."""
    run_id = terminal.ask(strategy, **options)
    terminal.work(run_id)
    return run_id


def test_show_tells_how_a_run_ended(terminal: Terminal) -> None:
    typed = terminal.type("runs", "show", str(done(terminal)))
    assert typed.code == 0
    assert "completed" in typed.out
    assert "40 read; 40 created, 0 updated, 0 unchanged, 0 deleted" in typed.out


def test_show_tells_why_a_smart_run_did_what_it_did(terminal: Terminal) -> None:
    run_id = done(terminal, Strategy.SMART)
    assert str(terminal.run_row(run_id).reason) in terminal.type("runs", "show", str(run_id)).out


def test_show_is_well_although_the_run_failed(terminal: Terminal) -> None:
    run_id = terminal.ask()
    with terminal.deps.database.begin() as conn:
        runs.start(conn, run_id, "t", 15.0, terminal.deps.now())
        runs.finish(conn, run_id, "t", "failed", "Unavailable: no answer [503]", terminal.deps.now())
    typed = terminal.type("runs", "show", str(run_id))
    assert (typed.code, "no answer [503]" in typed.out) == (0, True)


def test_show_watches_a_run_to_its_end_when_asked_to(terminal: Terminal) -> None:
    run_id = terminal.ask(Strategy.CATALOG)
    terminal.when_shown(lambda: terminal.work(run_id))
    assert terminal.type("runs", "show", str(run_id), "--watch", "--json").json["status"] == "completed"


@pytest.mark.parametrize("command", ["show", "cancel", "resume"])
def test_a_run_that_does_not_exist_is_exit_code_4(terminal: Terminal, command: str) -> None:
    typed = terminal.type("runs", command, NEVER)
    assert (typed.code, typed.err) == (4, f"tallyhook: there is no run {NEVER}\n")


@pytest.mark.parametrize("wrong", ["0", "-1", "seven", str(2**63)])
def test_a_number_that_no_run_can_have_is_exit_code_2(terminal: Terminal, wrong: str) -> None:
    assert terminal.type("runs", "show", "--", wrong).code == 2


def test_cancel_stops_an_active_run(terminal: Terminal) -> None:
    run_id = terminal.ask()
    assert terminal.type("runs", "cancel", str(run_id), "--json").json["status"] == "cancelled"
    assert terminal.run_row(run_id).status == "cancelled"


def test_a_run_that_is_over_cannot_be_cancelled(terminal: Terminal) -> None:
    typed = terminal.type("runs", "cancel", str(done(terminal)))
    assert (typed.code, "is completed" in typed.err) == (4, True)


def test_resume_gives_a_cancelled_run_back_to_the_workers(terminal: Terminal) -> None:
    run_id = str(terminal.ask())
    terminal.type("runs", "cancel", run_id)
    assert terminal.type("runs", "resume", run_id, "--no-wait", "--json").json["status"] == "idle"


def test_a_completed_run_cannot_be_resumed(terminal: Terminal) -> None:
    assert terminal.type("runs", "resume", str(done(terminal)), "--no-wait").code == 4


def test_no_run_is_resumed_beside_an_active_one(terminal: Terminal) -> None:
    cancelled = str(terminal.ask())
    terminal.type("runs", "cancel", cancelled)
    active = terminal.ask()
    typed = terminal.type("runs", "resume", cancelled)
    assert (typed.code, f"runs show {active}" in typed.err) == (3, True)


def test_history_is_newest_first_and_goes_on_where_a_page_ended(terminal: Terminal) -> None:
    ids = [done(terminal) for _ in range(3)]
    first = terminal.type("history", SHOP, "--limit", "2", "--json").json
    second = terminal.type("history", SHOP, "--limit", "2", "--before", str(first["next"]), "--json").json
    assert [row["id"] for row in first["rows"] + second["rows"]] == ids[::-1]
    assert second["next"] is None


@pytest.mark.parametrize(("spelled", "found"), [("complete", 1), ("success", 1), ("in_progress", 0), ("pending", 1)])
def test_history_understands_older_spellings_of_a_status(terminal: Terminal, spelled: str, found: int) -> None:
    done(terminal)
    terminal.ask()
    assert len(terminal.type("history", SHOP, "--status", spelled, "--json").json["rows"]) == found


def test_history_names_the_statuses_when_it_is_asked_for_another(terminal: Terminal) -> None:
    typed = terminal.type("history", SHOP, "--status", "great")
    assert typed.code == 2
    assert "cancelled" in typed.err


def test_history_is_of_one_strategy_when_asked_to(terminal: Terminal) -> None:
    done(terminal, Strategy.CATALOG)
    wanted = done(terminal, Strategy.INVENTORY)
    rows = terminal.type("history", SHOP, "--strategy", "inventory", "--json").json["rows"]
    assert [row["id"] for row in rows] == [wanted]


def test_history_shows_people_a_line_for_each_run(terminal: Terminal) -> None:
    done(terminal, dry_run=True)
    printed = terminal.type("history", SHOP).out
    assert "catalog (dry run)" in printed
    assert "completed" in printed


@pytest.mark.parametrize("command", [["history"], ["failed"], ["drift"], ["schedule", "show"]], ids=" ".join)
def test_an_unknown_connection_is_exit_code_4(terminal: Terminal, command: list[str]) -> None:
    assert terminal.type(*command, "nobody").code == 4


def failing(terminal: Terminal) -> None:
    """One item, with a bracket in its error, that a run could not sync."""
    try:
        raise Unmappable("price: expected a number, got [free]")
    except Unmappable as error:
        failed, now = Ref(Kind.PRODUCT, "P07"), terminal.deps.now()
        run_id = done(terminal)
        with terminal.deps.database.begin() as conn:
            failed_items.record(conn, run_id, SHOP, failed, category="mapping", error=error, now=now)


def test_failed_names_the_item_and_its_error(terminal: Terminal) -> None:
    failing(terminal)
    printed = terminal.type("failed", SHOP).out
    assert "product P07" in printed
    assert "got [free]" in printed
    assert "1 mapping" in printed


def test_failed_gives_programs_the_traceback_and_the_counts(terminal: Terminal) -> None:
    failing(terminal)
    told = terminal.type("failed", SHOP, "--json").json
    assert told["counts"] == {"mapping": 1}
    (row,) = told["rows"]
    assert row["external_id"] == "P07"
    assert row["traceback"].startswith("Traceback")


def test_retry_reads_only_the_items_that_failed(terminal: Terminal) -> None:
    failing(terminal)
    terminal.source.requests.clear()
    assert terminal.type("failed", SHOP, "--retry", "--direct").code == 0
    assert terminal.source.requests == [("P07",)]
    assert "No item fails" in terminal.type("failed", SHOP).out


def test_without_failed_items_a_retry_opens_no_run(terminal: Terminal) -> None:
    typed = terminal.type("failed", SHOP, "--retry", "--json")
    assert (typed.code, typed.json["rows"]) == (0, [])
    with terminal.deps.database.read() as conn:
        assert not runs.latest(conn)


def drifted(terminal: Terminal) -> int:
    """A run that found one row changed since the run before."""
    done(terminal)
    terminal.source.put(listing("P07", version=9, name="Mug [blue]"))
    return done(terminal)


def test_drift_tells_field_by_field_what_differed(terminal: Terminal) -> None:
    drifted(terminal)
    printed = terminal.type("drift", SHOP).out
    assert "Product P07 → Mug [blue]" in printed


def test_drift_of_a_run_is_counted(terminal: Terminal) -> None:
    told = terminal.type("drift", SHOP, "--run", str(drifted(terminal)), "--json").json
    assert [(count["kind"], count["change"], count["rows"]) for count in told["summary"]] == [
        (Kind.PRODUCT, "differs", 1)
    ]
    assert told["rows"][0]["fields"]["name"] == ["Product P07", "Mug [blue]"]


def test_drift_of_a_run_that_does_not_exist_is_exit_code_4(terminal: Terminal) -> None:
    assert terminal.type("drift", SHOP, "--run", NEVER).code == 4
