"""``tallyhook sync`` and ``tallyhook backfill``: start a run, watch it, report how it ended."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from app.cli.codes import as_typed
from app.cli.console import AsJson, Connection
from app.cli.follow import Direct, NoWait, follow_run, open_for
from app.domain import Options, Strategy
from app.flows.runs.request_run import request_run


class DataType(StrEnum):
    """The names that people use for the data a run can read."""

    PRODUCTS = "products"
    INVENTORY = "inventory"
    ORDERS = "orders"
    VENDORS = "vendors"
    LOCATIONS = "locations"
    CATEGORIES = "categories"


_OF_TYPE: Mapping[DataType, Strategy] = {
    DataType.PRODUCTS: Strategy.CATALOG,
    DataType.INVENTORY: Strategy.INVENTORY,
    DataType.ORDERS: Strategy.ORDERS,
    DataType.VENDORS: Strategy.VENDORS,
    DataType.LOCATIONS: Strategy.LOCATIONS,
    DataType.CATEGORIES: Strategy.CATEGORIES,
}


def day(text: str) -> date:
    """A business day as 2026-11-22."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day; right would be 2026-11-22") from None


def moment(text: str) -> datetime:
    """A moment, of a day its beginning in UTC."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a moment; right would be 2026-11-22 or 2026-11-22T08:00:00Z"
        ) from None
    return read.replace(tzinfo=UTC) if len(text) == len("2026-11-22") else read


First = Annotated[date | None, typer.Option("--from", parser=day, metavar="DAY", help="first business day")]
Last = Annotated[date | None, typer.Option("--to", parser=day, metavar="DAY", help="last business day, included")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="write nothing; show the rows it would write, and its price")]

backfill = typer.Typer(help="Read what never arrived.", no_args_is_help=True)


def sync(
    connection: Connection,
    strategy: Annotated[
        Strategy | None, typer.Option(help="what to read; smart chooses, and says why", show_default="smart")
    ] = None,
    data_type: Annotated[DataType | None, typer.Option(help="one data type, instead of a strategy")] = None,
    dry_run: DryRun = False,
    force: Annotated[bool, typer.Option("--force", help="write although the guard would hold the batch")] = False,
    limit: Annotated[int | None, typer.Option(help="stop after this many records", max=1_000_000_000)] = None,
    filter_year: Annotated[int | None, typer.Option(help="only records last modified in this year")] = None,
    modified_since: Annotated[
        datetime | None,
        typer.Option(
            parser=moment,
            metavar="MOMENT",
            help="only records modified since then: 2026-11-22, or 2026-11-22T08:00:00Z",
        ),
    ] = None,
    active_only: Annotated[
        bool, typer.Option("--active-only", help="leave out products that are not for sale")
    ] = False,
    category: Annotated[
        str | None,
        typer.Option(help="id, name or path of a category; without a strategy it means --strategy category"),
    ] = None,
    first: First = None,
    last: Last = None,
    deep: Annotated[bool, typer.Option("--deep", help="confirm every deletion one by one")] = False,
    direct: Direct = False,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Start a bulk run of a connection and watch it; Ctrl-C asks whether to cancel it."""
    options = _options(
        dry_run=dry_run,
        force=force,
        limit=limit,
        filter_year=filter_year,
        modified_since=modified_since,
        active_only=active_only,
        category=category,
        deep=deep,
        first=first,
        last=last,
    )
    deps = open_for(direct=direct, no_wait=no_wait)
    chosen = _strategy(strategy, data_type, options)
    run_id = request_run(deps, connection, chosen, options, cause="person")
    follow_run(deps, run_id, direct=direct, no_wait=no_wait, as_json=as_json)


@backfill.command("orders")
def orders(
    connection: Connection,
    first: Annotated[date, typer.Option("--from", parser=day, metavar="DAY", help="first business day")],
    last: Annotated[date, typer.Option("--to", parser=day, metavar="DAY", help="last business day, included")],
    force: Annotated[bool, typer.Option("--force", help="all orders of these days, including those we have")] = False,
    dry_run: DryRun = False,
    direct: Direct = False,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Read the orders of some days that we lack (`tallyhook gaps` names the days)."""
    options = _options(dry_run=dry_run, force=force, first=first, last=last)
    deps = open_for(direct=direct, no_wait=no_wait)
    run_id = request_run(deps, connection, Strategy.ORDERS, options, cause="person")
    follow_run(deps, run_id, direct=direct, no_wait=no_wait, as_json=as_json)


def _strategy(strategy: Strategy | None, data_type: DataType | None, options: Options) -> Strategy:
    """The strategy; if none is given, the one that the options belong to."""
    if data_type is not None:
        if strategy not in (None, _OF_TYPE[data_type]):
            raise typer.BadParameter(f"--strategy {strategy} and --data-type {data_type} contradict each other")
        return _OF_TYPE[data_type]
    if strategy is not None:
        return strategy
    if options.category is not None:
        return Strategy.CATEGORY
    return Strategy.ORDERS if options.first is not None or options.last is not None else Strategy.SMART


def _options(**given: Any) -> Options:
    """The options as given; a wrong one is a usage error."""
    try:
        return Options(**given)
    except ValueError as error:
        raise typer.BadParameter(as_typed(str(error))) from None
