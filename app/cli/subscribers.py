"""``tallyhook subscribers``: other programs to which every change is sent."""

from typing import Annotated

import typer
from rich.table import Table

from app.cli.codes import FAILED, WELL
from app.cli.console import LARGEST_ID, AsJson, done, moment, open_deps, print_json
from app.cli.tables import add_row, print_rows
from app.domain import Kind
from app.flows.subscribers import subscribers
from app.flows.subscribers.subscribers import SubscriberView

app = typer.Typer(help="Other programs to which every change is sent, as signed webhooks.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(help="number of the subscriber", min=1, max=LARGEST_ID)]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="what it is, for people")],
    url: Annotated[str, typer.Option(help="where the changes are posted to")],
    connection: Annotated[
        list[str] | None, typer.Option(help="only this connection; may be given several times")
    ] = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="only this kind; may be given several times")] = None,
    as_json: AsJson = False,
) -> None:
    """Send every change from now on to a URL. The secret is shown once, on standard output."""
    created = subscribers.create(open_deps(), name, url, connections=connection or None, kinds=kind or None)
    if as_json:
        print_json(created)
        return
    number = created.subscriber.id
    typer.echo(
        f"Subscriber {number}; `tallyhook subscribers test {number}` tries it. Its secret, shown only now:", err=True
    )
    typer.echo(created.secret)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Every subscriber, and whether it accepts what it gets."""
    rows = subscribers.list_subscribers(open_deps())
    table = Table("id", "name", "URL", "of", "on", "last accepted", "failing since", "says")
    for one in rows:
        on = "yes" if one.enabled else "no"
        add_row(
            table, one.id, one.name, one.url, _wanted(one), on, one.last_success_at, one.failing_since, _said(one)
        )
    print_rows(table, rows, "There are no subscribers.", as_json=as_json)


@app.command()
def show(id: Id, as_json: AsJson = False) -> None:
    """One subscriber: what it wants, how far it has come, and what it says."""
    one = subscribers.show(open_deps(), id)
    done(_lines(one), one, as_json=as_json)


@app.command("test")
def try_now(id: Id, as_json: AsJson = False) -> None:
    """Send a signed message of the type `test` now; exit code 1 if it is not accepted."""
    tested = subscribers.send_test(open_deps(), id)
    done(f"{'Accepted' if tested.accepted else 'Not accepted'}: {tested.said}", tested, as_json=as_json)
    raise typer.Exit(WELL if tested.accepted else FAILED)


@app.command()
def pause(id: Id, as_json: AsJson = False) -> None:
    """Send nothing until it is resumed."""
    done(f"Subscriber {id} is paused.", subscribers.pause(open_deps(), id), as_json=as_json)


@app.command()
def resume(id: Id, as_json: AsJson = False) -> None:
    """Send everything since its last batch, from now on."""
    done(f"Subscriber {id} is on.", subscribers.resume(open_deps(), id), as_json=as_json)


@app.command()
def delete(id: Id, as_json: AsJson = False) -> None:
    """Forget a subscriber and its secret."""
    done(f"Subscriber {id} is deleted.", subscribers.delete(open_deps(), id), as_json=as_json)


def _lines(one: SubscriberView) -> list[str]:
    failing = f"since {moment(one.failing_since)}, {one.attempts} attempts; next {moment(one.next_at)}"
    return [
        f"{one.name}: {one.url}",
        f"  gets           {_wanted(one)}",
        f"  on             {'yes' if one.enabled else 'no'}",
        f"  cursor         {one.cursor}",
        f"  created        {moment(one.created_at)} by {one.created_by}",
        f"  last accepted  {moment(one.last_success_at)}",
        f"  failing        {failing if one.failing_since else '-'}",
        f"  says           {_said(one)}",
    ]


def _wanted(one: SubscriberView) -> str:
    return ", ".join([*(one.connections or ["all connections"]), *(one.kinds or ["all kinds"])])


def _said(one: SubscriberView) -> str:
    return " ".join((one.last_error or "-").split())
