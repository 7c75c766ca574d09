"""``tallyhook items``: one item, what changed it, and what its stock was."""

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from app.cli.console import AsJson, Limit, console, moment, open_deps, print_json
from app.cli.tables import print_table
from app.domain import ON_HAND
from app.flows.catalog import item_history, items
from app.flows.catalog.find_items import find_items
from app.flows.catalog.item_history import ItemChange, StockAsOf
from app.flows.catalog.items import ItemId, ItemView
from app.flows.deps import Deps
from app.rules.describing import money_text
from app.rules.filters import moment_of

app = typer.Typer(help="Items: what one is, why its figures are what they are, what they were.", no_args_is_help=True)

Item = Annotated[str, typer.Argument(help="SKU, or connection:external id", metavar="ITEM")]


@app.command()
def find(
    query: Annotated[
        list[str], typer.Argument(help="a SKU, barcode, supplier SKU, id, or words of a name", metavar="TEXT")
    ],
    limit: Annotated[int, typer.Option(help="at most this many, best first", min=1, max=500)] = 20,
    as_json: AsJson = False,
) -> None:
    """Items by what they are called: parts of words will do, and typing errors."""
    found = find_items(open_deps(), " ".join(query), limit=limit)
    if as_json:
        print_json(found)
        return
    table = Table("item", "SKU", "name", "barcode", "on hand")
    for item in found:
        on_hand = "-" if item.on_hand is None else str(item.on_hand)
        table.add_row(*(escape(text or "-") for text in (item.id, item.sku, item.name, item.barcode, on_hand)))
    print_table(table, "Nothing is called that, or nearly so.")


@app.command()
def show(item: Item, as_json: AsJson = False) -> None:
    """An item with its stock by location; if several connections sell the SKU, all of them."""
    deps = open_deps()
    views = [items.show(deps, each) for each in _named(deps, item)]
    if as_json:
        print_json(views)
        return
    for view in views:
        _tell_item(view)


@app.command()
def history(
    item: Item,
    limit: Limit = 20,
    before: Annotated[
        str | None, typer.Option(help='continue after this place ("next" of the previous page)')
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Why is this 3? Every change of stock, price, cost, status or reorder point, and what brought it, newest first."""
    deps = open_deps()
    page = item_history.item_history(deps, items.the_one(deps, item), limit=limit, before=before)
    if as_json:
        print_json(page)
        return
    table = Table("at the source", "here", "changed", "by")
    for row in page.rows:
        table.add_row(moment(row.changed_at), moment(row.recorded_at), escape(row.says), escape(_by(row)))
    more = None if page.next is None else f"Older ones: tallyhook items history {page.item} --before {page.next}"
    print_table(table, "Nothing changed since the history of this item began.", more=more)
    if page.known_since is not None:
        console.lines(f"Counts are known since {moment(page.known_since)} UTC; all times are UTC.")


@app.command()
def asof(
    item: Item,
    at: Annotated[str, typer.Argument(help="a moment: 2026-11-22T14:00:00Z, a day, or a time back such as 2h or 3d")],
    as_json: AsJson = False,
) -> None:
    """What the stock of an item was at a moment."""
    deps = open_deps()
    then = item_history.stock_as_of(deps, items.the_one(deps, item), _moment(at, deps.now()))
    if as_json:
        print_json(then)
        return
    table = Table("location", "state", "quantity", "since")
    for count in then.counts:
        since = "before our history" if count.since is None else moment(count.since)
        table.add_row(escape(count.location or count.location_id), count.state, str(count.quantity), since)
    print_table(table, _without_counts(then))
    if then.on_hand is not None:
        console.lines(f"{then.on_hand} on hand at {moment(then.as_of)} UTC.")


def _named(deps: Deps, text: str) -> list[ItemId]:
    return items.resolve(deps, text) or [items.the_one(deps, text)]


def _moment(text: str, now: datetime) -> datetime:
    try:
        return moment_of(text, now)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="AT") from None


def _without_counts(then: StockAsOf) -> str:
    if then.known_since is None:
        return f"Nothing is known of {then.item}: its history has not begun."
    if then.as_of < then.known_since:
        return (
            f"Nothing is known of {then.item} at that moment: its history begins at {moment(then.known_since)} UTC."
        )
    return f"{then.item} had no counts at {moment(then.as_of)} UTC."


def _by(row: ItemChange) -> str:
    events = f" (inbox event {', '.join(map(str, row.events))})" if row.events else ""
    return f"{row.written_by or '-'}{events}"


def _tell_item(view: ItemView) -> None:
    console.print(f"[bold]{escape(view.name or view.sku or view.id)}[/bold]  {escape(view.id)}, {view.status}")
    for label, value in _facts(view):
        console.print(f"  {label:<14} {escape(str(value))}", soft_wrap=True)
    table = Table("location", "state", "quantity", "changed at the source", "read", "by")
    for count in view.stock:
        by = count.written_by or "-"
        times = (moment(count.modified_at), moment(count.read_at))
        table.add_row(
            escape(count.location or count.location_id), count.state, str(count.quantity), *times, escape(by)
        )
    print_table(table, "  No stock count is known.")
    on_hand = [count.quantity for count in view.stock if count.state == ON_HAND]
    if on_hand:
        console.lines(f"  {sum(on_hand)} on hand. Why: tallyhook items history {view.id}")


def _facts(view: ItemView) -> list[tuple[str, Any]]:
    price, cost = (money_text(minor, view.currency) for minor in (view.price_minor, view.cost_minor))
    facts = [
        ("SKU", view.sku),
        ("barcode", view.barcode),
        ("category", view.category),
        ("price", price),
        ("cost", cost),
        ("supplier", view.supplier or view.supplier_id),
        ("supplier SKU", view.supplier_sku),
        ("reorder point", view.reorder_point),
        ("also at", ", ".join(twin.id for twin in view.elsewhere)),
    ]
    return [(label, value) for label, value in facts if value not in (None, "")]
