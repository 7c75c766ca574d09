"""What people do to dead letters besides replaying them: preview, discard, restore, edit."""

from dataclasses import replace
from decimal import Decimal

import pytest

from app.domain import Kind, Options, Record, Strategy
from app.errors import RateLimited, Refused
from app.flows.letters.letter_actions import discard, edit_args, restore
from app.flows.letters.preview import preview
from app.flows.letters.replay import replay_letter
from app.flows.runs.request_run import request_run
from app.stores import catalog
from app.stores.access import audit
from app.stores.runs import runs
from app.stores.sql.engine import Database
from tests.fakes import SHOP, World, count, listing
from tests.letters import all_letters, die, die_without_item, letter
from tests.rows import row_of


@pytest.fixture
def world(database: Database) -> World:
    """A, B and C have 4 on hand each, and their stock died."""
    world = World(database)
    with database.begin() as conn:
        records: list[Record] = [*map(listing, "ABC"), *(count(item, 4) for item in "ABC")]
        catalog.apply(conn, SHOP, records, read_at=world.clock(), now=world.clock())
    world.clock.pass_(60)
    for item in "ABC":
        die(world, item, kind=Kind.STOCK)
    world.source.put(*(count(item, 0, version=9) for item in "ABC"))
    return world


def actions(world: World) -> list[str]:
    with world.database.read() as conn:
        return [entry.action for entry in audit.entries(conn)]


# --- preview ---


def test_a_preview_says_what_would_change_in_a_sentence(world: World) -> None:
    assert preview(world.deps, "").summary == "quantity 4 to 0 on 3 items"


def test_a_preview_tells_each_row_field_by_field(world: World) -> None:
    row = preview(world.deps, "item:A").rows[0]
    assert (row.item, row.fields["quantity"]) == ("A/L1/on_hand", [Decimal(4), Decimal(0)])


def test_a_preview_writes_nothing(world: World) -> None:
    preview(world.deps, "")
    with world.database.read() as conn:
        row = row_of(conn, SHOP, Kind.STOCK, ("A", "L1", "on_hand"))
    assert row is not None
    assert row["quantity"] == 4
    assert [one.state for one in all_letters(world.database)] == ["dead"] * 3


def test_an_item_that_would_fail_is_told_so(world: World) -> None:
    world.source.poison["B"] = RateLimited("not now")
    found = preview(world.deps, "")
    assert found.summary == "quantity 4 to 0 on 2 items; 1 would fail: RateLimited"
    assert [item.outcome for item in found.items] == ["changes", "fails: RateLimited", "changes"]


def test_an_item_that_would_not_change_is_told_so(world: World) -> None:
    world.source.put(count("A", 4))
    assert preview(world.deps, "item:A").summary == "1 would not change"


def test_an_item_that_is_gone_is_told_so(world: World) -> None:
    die(world, "gone")
    assert preview(world.deps, "item:gone").summary == "1 gone at the source"


def test_a_message_without_item_cannot_be_previewed(world: World) -> None:
    id = die_without_item(world)
    assert preview(world.deps, f"id:{id}").summary == "1 cannot be previewed"


def test_a_preview_says_how_many_items_it_left_out(world: World) -> None:
    found = preview(world.deps, "", limit=1)
    assert (len(found.items), found.left_out) == (1, 2)


# --- discard and restore ---


def test_a_discarded_letter_says_who_and_why(world: World) -> None:
    assert discard(world.deps, "item:A", "sold out for good") == 1
    told = all_letters(world.database)[0]
    assert (told.state, told.discarded_by, told.discard_reason) == (
        "discarded",
        "tallyhook",
        "sold out for good",
    )


def test_a_discarded_letter_cannot_be_replayed(world: World) -> None:
    discard(world.deps, "item:A", "why not")
    with pytest.raises(Refused, match="is discarded"):
        replay_letter(world.deps, all_letters(world.database)[0].id)


@pytest.mark.parametrize("why", ["", "  \n", "x" * 3000])
def test_a_reason_must_be_said(world: World, why: str) -> None:
    with pytest.raises(Refused, match="say why"):
        discard(world.deps, "item:A", why)


def test_nothing_to_discard_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="no dead letter matches"):
        discard(world.deps, "item:nothing", "why not")


def test_letters_in_another_state_are_not_discarded_by_mistake(world: World) -> None:
    with pytest.raises(Refused, match="only dead letters"):
        discard(world.deps, "state:replayed", "why not")


def test_discarding_is_undone_within_a_day(world: World) -> None:
    discard(world.deps, "item:A", "oops")
    id = all_letters(world.database)[0].id
    world.clock.pass_(86_000)
    restore(world.deps, id)
    assert (letter(world, id).state, letter(world, id).discard_reason) == ("dead", None)


def test_discarding_is_not_undone_after_a_day(world: World) -> None:
    discard(world.deps, "item:A", "oops")
    world.clock.pass_(86_401)
    with pytest.raises(Refused, match="more than a day ago"):
        restore(world.deps, all_letters(world.database)[0].id)


def test_a_dead_letter_cannot_be_restored(world: World) -> None:
    with pytest.raises(Refused, match="is dead, not discarded"):
        restore(world.deps, all_letters(world.database)[0].id)


# --- edit ---


def test_edited_arguments_name_another_item_and_the_original_is_kept(world: World) -> None:
    id = die_without_item(world, "sync_item", ["shop", "produkt", "A"])
    edit_args(world.deps, id, ["shop", "product", "A"], "misspelt")
    edit_args(world.deps, id, ["shop", "product", "B"], "wrong one")
    told = letter(world, id)
    assert (told.args, told.original_args, told.external_id) == (
        ["shop", "product", "B"],
        ["shop", "produkt", "A"],
        "B",
    )


def test_a_letter_that_is_edited_to_be_about_an_item_has_the_cause_that_others_of_its_connection_have(
    world: World,
) -> None:
    odd = die_without_item(world, "sync_item", ["shop", "produkt", "A"])
    edit_args(world.deps, odd, ["shop", "product", "A"], "misspelt")
    other = die(world, "B", LookupError("no actor sync_item"))
    assert letter(world, odd).fingerprint == letter(world, other).fingerprint


@pytest.mark.parametrize(
    ("args", "right"),
    [
        (["shop"], "the arguments of"),
        (["shop", "products", "A"], "kinds: product, stock"),
        (["elsewhere", "product", "A"], "use one of: shop"),
        (["shop", "product", ""], "the arguments of"),
        (["shop", "product", "x" * 501], "the arguments of"),
        (["shop", "product", "A", [1]], "the arguments of"),
    ],
)
def test_arguments_that_cannot_be_are_refused_with_what_would_be_right(
    world: World, args: list[object], right: str
) -> None:
    id = die_without_item(world, "sync_item", ["shop"])
    with pytest.raises(Refused, match=right):
        edit_args(world.deps, id, args, "try")


def test_arguments_of_a_run_must_name_one_that_exists(world: World) -> None:
    id = die_without_item(world, "run", ["x"])
    with pytest.raises(Refused, match="a run that exists"):
        edit_args(world.deps, id, [123_456], "try")


def test_arguments_of_a_run_that_the_caller_cannot_see_are_refused(world: World) -> None:
    run_id = request_run(world.deps, "shop", Strategy.FULL, Options(), cause="person")
    id = die_without_item(world, "run", [run_id])
    with world.database.begin() as conn:
        hidden = runs.open_run(
            conn, connection="elsewhere", strategy=Strategy.FULL, cause="person", slot=None, now=world.clock()
        )
    scoped = replace(world.deps, principal=replace(world.deps.principal, connections=frozenset({"shop"})))
    with pytest.raises(Refused, match="a run that exists"):
        edit_args(scoped, id, [hidden], "try")


def test_a_letter_that_is_edited_to_be_about_another_run_has_the_connection_of_that_run(world: World) -> None:
    id = die_without_item(world, "run", ["x"])
    edit_args(world.deps, id, [request_run(world.deps, "shop", Strategy.FULL, Options(), cause="person")], "that one")
    assert letter(world, id).connection == "shop"


def test_every_decision_is_in_the_audit_log(world: World) -> None:
    discard(world.deps, "item:A", "oops")
    restore(world.deps, all_letters(world.database)[0].id)
    edit_args(world.deps, all_letters(world.database)[0].id, ["shop", "stock", "B"], "moved")
    assert actions(world) == ["letters.edit", "letters.restore", "letters.discard"]
