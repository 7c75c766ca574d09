"""``tallyhook inbox``: every delivery as it was received, its outcome, and import and export of saved ones."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from app.cli.codes import FAILED
from app.cli.console import (
    LARGEST_ID,
    AsJson,
    Before,
    Limit,
    console,
    done,
    moment,
    open_deps,
    page_of,
    stderr,
)
from app.cli.letters import filter_of
from app.cli.tables import add_row, print_rows
from app.errors import InvalidRequest
from app.flows.inbox import inbox, outages
from app.flows.inbox.inbox import ItemOutcome
from app.flows.inbox.inbox_import import Imported, export_lines, import_lines
from app.flows.letters import replay
from app.flows.upkeep import alerts as found_alerts
from app.rules.terminal import json_for_terminal

app = typer.Typer(help="The inbox: every delivery as it was received.", no_args_is_help=True)

LONGEST_NUMBER = 18
NOTHING_MATCHES = "No deliveries match. A connection without a webhook secret gets none, and is polled."

SET_ASIDE: Mapping[str, str] = {
    "test": "nothing, as it should be: the vendor's test event arrived, its signature is right",
    "foreign": "nothing: it is about another merchant's account",
    "ignored": "nothing: events of this type name nothing that is kept here",
}
"""The outcome of deliveries that name nothing to fetch, by verdict."""

MAX_BAD_LINES = 20
"""Bad lines that are listed one by one."""

EventId = Annotated[int, typer.Argument(help="number of the event", min=1, max=LARGEST_ID)]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILTER]...", help="connection:shop type:order.* item:A outcome:dead since:2h verdict:ignored"
    ),
]


@app.command("list")
def list_(words: Words = None, limit: Limit = 50, before: Before = None, as_json: AsJson = False) -> None:
    """Deliveries that a filter matches, newest first."""
    text = filter_of(words)
    rows = inbox.find(open_deps(), text, limit=limit, before_id=before)
    table = Table("id", "received", "connection", "type", "verdict", "items", "bytes", "event")
    for row in rows:
        items = ", ".join(f"{kind}/{external_id}" for kind, external_id in row.items[:3])
        more = f" and {len(row.items) - 3} more" if len(row.items) > 3 else ""
        event = (row.connection, row.type, row.verdict, items + more, f"{row.size:,}", row.event_id)
        add_row(table, row.id, row.received_at, *event)
    print_rows(table, page_of(rows, limit), NOTHING_MATCHES, as_json=as_json)
    if inbox.DEFAULT in inbox.terms_of(text) and not as_json:
        console.print("These are of the last 7 days; since: changes that.")


@app.command()
def show(event_id: EventId, as_json: AsJson = False) -> None:
    """One delivery: its outcome, its headers and its body as received."""
    event = inbox.show(open_deps(), event_id)
    lines = [
        f"Event {event.id} ({event.type}) of {event.connection}, {event.verdict}",
        f"received  {moment(event.received_at)} UTC; it happened {moment(event.occurred_at)}",
        f"event id  {event.event_id}",
        *(f"outcome   {_outcome(item)}" for item in event.came_of),
        *([f"outcome   {SET_ASIDE[event.verdict]}"] if event.verdict in SET_ASIDE else []),
        *(f"< {name}: {value}" for name, value in event.headers.items()),
        "",
        event.body if event.encoding == "utf-8" else f"(base64) {event.body}",
        *(("", event.pretty) if event.pretty is not None and event.pretty != event.body else ()),
    ]
    done(lines, event, as_json=as_json)


@app.command("replay")
def replay_(
    words: Words = None,
    name: Annotated[str, typer.Option(help="name of the incident that this replay is to end")] = "",
    rate: Annotated[int, typer.Option(help="items per second; 0: as fast as it goes", min=0)] = replay.RATE,
    canary: Annotated[bool, typer.Option(help="first 1 item, then 10, then the rest")] = True,
    as_json: AsJson = False,
) -> None:
    """Fetch the items of one event (its number), or of all that a filter matches, again, each once."""
    deps = open_deps()
    text = filter_of(words)
    if not text:
        raise InvalidRequest("name the deliveries: a number, or a filter such as since:2h")
    if text.isdecimal() and len(text) <= LONGEST_NUMBER:
        number = inbox.replay_event(deps, int(text))
    else:
        number = inbox.replay_events(deps, text, name, rate=rate, canary=canary)
    view = replay.show_replay(deps, number)
    sentence = f"Replay {number} of {view.items:,} items waits for a worker; `tallyhook dead replays` shows it."
    done(sentence, view, as_json=as_json)


@app.command()
def gaps(limit: Limit = 20, before: Before = None, as_json: AsJson = False) -> None:
    """Times in which no webhooks arrived although some were expected, and what was done about each."""
    rows = outages.list_outages(open_deps(), limit=limit, before_id=before)
    lines = [f"{moment(row.began_at)}  {row.connection}: {row.sentence}" for row in rows]
    done(lines or "As far as is known, nothing was ever missed.", page_of(rows, limit), as_json=as_json)


@app.command()
def alerts(limit: Limit = 20, before: Before = None, as_json: AsJson = False) -> None:
    """What a person should know: open alerts, past alerts, and which were mailed."""
    rows = found_alerts.list_alerts(open_deps(), limit=limit, before_id=before)
    table = Table("opened", "closed", "mailed", "severity", "alert", "detail")
    for row in rows:
        add_row(table, row.opened_at, row.closed_at, row.told_at, row.severity, row.title, row.detail)
    empty = "There were no alerts: nothing was wrong for long enough to alert a person."
    print_rows(table, page_of(rows, limit), empty, as_json=as_json)


@app.command("import")
def import_(
    file: Annotated[
        typer.FileText,
        typer.Argument(
            help="one JSON object per line; - for standard input", encoding="utf-8", errors="surrogateescape"
        ),
    ],
    trust: Annotated[bool, typer.Option("--trust", help="do not verify signatures; the audit log says so")] = False,
    rejects: Annotated[Path | None, typer.Option(help="write the bad lines to this file")] = None,
    as_json: AsJson = False,
) -> None:
    """Import deliveries that were saved elsewhere; those that are here already change nothing."""
    with Progress(SpinnerColumn(), TextColumn("{task.completed} lines"), console=stderr, transient=True) as bar:
        task = bar.add_task("importing")
        result = import_lines(
            open_deps(), file, trust=trust, on_progress=lambda count: bar.update(task, completed=count)
        )
    if rejects is not None:
        bad = "".join(f"{one.line}\n" for one in result.bad)
        rejects.write_text(bad, encoding="utf-8", errors="surrogateescape")
    _print_imported(result, as_json)


@app.command("export")
def export(words: Words = None, as_json: AsJson = False) -> None:
    """Deliveries in the format of `import`, oldest first, on standard output: one per line, or one list with --json.

    Credentials in headers are left out: a delivery that was authenticated by one can only be imported with --trust."""
    lines = export_lines(open_deps(), filter_of(words))
    if as_json:
        sys.stdout.write("[")
        for number, line in enumerate(lines):
            sys.stdout.write(json_for_terminal(f",\n{line}" if number else line))
        sys.stdout.write("]\n")
        return
    for line in lines:
        sys.stdout.write(json_for_terminal(line) + "\n")


def _print_imported(result: Imported, as_json: bool) -> None:
    bad = [{"line": one.number, "why": one.why} for one in result.bad]
    sentence = f"{result.new:,} new deliveries, {result.duplicates:,} here already, {len(bad):,} bad lines."
    done(sentence, {"new": result.new, "duplicates": result.duplicates, "bad": bad}, as_json=as_json)
    for one in result.bad[: 0 if as_json else MAX_BAD_LINES]:
        stderr.lines(f"line {one.number}: {one.why}")
    if len(bad) > MAX_BAD_LINES and not as_json:
        stderr.print(f"and {len(bad) - MAX_BAD_LINES} more; --rejects FILE keeps them")
    if bad:
        raise typer.Exit(FAILED)


def _outcome(item: ItemOutcome) -> str:
    parts = []
    if item.outcome is not None:
        others = f" with {item.changes - 1} other changes" if item.changes is not None and item.changes > 1 else ""
        parts.append(f"{item.outcome} after {item.ms:,} ms{others}")
    if item.letter is not None:
        parts.append(f"died as letter {item.letter.id} ({item.letter.state})")
    if item.waits is not None:
        parts.append(f"owed, {item.waits.attempts} failed tries, next {moment(item.waits.next_at)}")
    if item.later:
        parts.append(f"later events {', '.join(str(event.id) for event in item.later)}")
    return f"{item.kind}/{item.external_id}: {'; '.join(parts) or 'nothing yet'}"
