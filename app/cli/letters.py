"""``tallyhook dead``: find and understand dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from app.cli.console import LARGEST_ID, AsJson, Before, Limit, console, moment, open_deps, page_of, print_json
from app.cli.tables import print_table
from app.flows.letters import letters

app = typer.Typer(help="Dead letters: messages that will not be retried by themselves.", no_args_is_help=True)

NOTHING_MATCHES = "No dead letters match. Without a filter, only those that wait for a person are shown."

LetterId = Annotated[int, typer.Argument(help="number of the letter", min=1, max=LARGEST_ID)]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILTER]...",
        help="terms that must all hold: connection:shop cause:RateLimited item:SKU-1 since:2h state:dead",
    ),
]


@app.command("list")
def list_(words: Words = None, limit: Limit = 50, before: Before = None, as_json: AsJson = False) -> None:
    """Dead letters that a filter matches, the latest first; without a state, those that wait for a person."""
    found = letters.find(open_deps(), filter_of(words), limit=limit, before_id=before)
    if as_json:
        print_json({"totals": found["totals"], **page_of(found["rows"], limit)})
        return
    table = Table("id", "died", "item", "tries", "cause", "error", title=letters.sentence(found["totals"]))
    for letter in found["rows"]:
        cause = escape(letter["fingerprint"]) + (" [green](moot)[/]" if letter["moot"] else "")
        error = escape(letter["error"][:100])
        table.add_row(
            str(letter["id"]), moment(letter["died_at"]), escape(item_of(letter)), str(letter["tries"]), cause, error
        )
    print_table(
        table,
        NOTHING_MATCHES,
    )


@app.command()
def groups(
    words: Words = None,
    by: Annotated[str, typer.Option(help="cause or item")] = "cause",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """How many letters share a cause, or are about the same item."""
    if by not in ("cause", "item"):
        raise typer.BadParameter(f"{by!r}; there are cause and item", param_hint="--by")
    found = letters.groups(open_deps(), filter_of(words), by, limit=limit)
    if as_json:
        print_json(found)
        return
    table = Table(by, "letters", "items" if by == "cause" else "causes", "moot", "first", "last", "error")
    table.title = letters.sentence(found["totals"])
    for row in found["rows"]:
        what = f"{row['cause']} ({row['connection'] or '-'})" if by == "cause" else item_of(row)
        numbers = (f"{row[name]:,}" for name in ("letters", "items" if by == "cause" else "causes", "moot"))
        table.add_row(
            escape(what), *numbers, moment(row["first"]), moment(row["last"]), escape((row["error"] or "")[:100])
        )
    print_table(
        table,
        NOTHING_MATCHES,
    )


@app.command()
def show(
    letter_id: LetterId,
    whole: Annotated[bool, typer.Option("--all", help="every attempt with its traceback and exchange")] = False,
    as_json: AsJson = False,
) -> None:
    """One letter: what happened, what to do, every attempt, the last one's HTTP exchange, the traceback."""
    letter = letters.show(open_deps(), letter_id)
    if as_json:
        print_json(letter)
        return
    for line in _head(letter):
        console.print(line, markup=False, soft_wrap=True)
    for line in _attempts(letter["attempts"]):
        console.print(line, markup=False, soft_wrap=True)
    for attempt in letter["attempts"] if whole else letter["attempts"][-1:]:
        console.rule(f"attempt {attempt['number']} at {moment(attempt['at'])} by {attempt['worker']}", align="left")
        for line in _exchange(attempt.get("exchange")):
            console.print(line, markup=False, soft_wrap=True)
        console.print(attempt["traceback"], markup=False, style="dim")


def filter_of(words: Sequence[str] | None) -> str:
    """The words of a command line as one filter."""
    return " ".join(words or ())


def item_of(letter: Mapping[str, Any]) -> str:
    """The item of a letter for people; "-" if it is about none."""
    if letter["external_id"] is None:
        return "-"
    return f"{letter['connection']}/{letter['kind']}/{letter['external_id']}"


def _head(letter: Mapping[str, Any]) -> Iterator[str]:
    yield f"Letter {letter['id']} is {letter['state']}: {letter['error_type']}: {letter['error']}"
    yield f"What to do: {letter['advice']}"
    yield f"cause      {letter['fingerprint']} at {letter['place'] or 'an unknown place'}"
    yield f"message    {letter['actor']} {msgspec.json.encode(letter['args']).decode()} ({letter['queue']})"
    if letter["original_args"] is not None:
        yield f"           edited; it was {msgspec.json.encode(letter['original_args']).decode()}"
    yield f"item       {item_of(letter)}, owed because of a {letter['cause'] or 'message'}"
    yield f"failed     first {moment(letter['first_failed_at'])}, died {moment(letter['died_at'])} UTC"
    if letter["replays"]:
        yield f"replayed   {letter['replays']} times, last {moment(letter['replayed_at'])} UTC"
    if letter["discarded_at"] is not None:
        who, why = letter["discarded_by"], letter["discard_reason"]
        yield f"discarded  {moment(letter['discarded_at'])} UTC by {who}: {why}"
    if letter["moot"]:
        yield "moot       a newer version of the item was applied since: a replay would change nothing"
    yield from _since(letter["since"])


def _since(since: Mapping[str, Any] | None) -> Iterator[str]:
    if since is None:
        return
    if since["owed"]:
        yield "now        the item is owed: a worker will try it"
    for settled in since["settled"]:
        yield f"settled    {moment(settled['settled_at'])} UTC: {settled['outcome']} ({settled['cause']})"
    for other in since["letters"]:
        yield f"also       letter {other['id']} ({other['state']}, {moment(other['died_at'])}): {other['fingerprint']}"


def _attempts(attempts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The same error in a row is shown once."""
    for (kind, error), some in groupby(attempts, key=lambda one: (one["error_type"], one["error"])):
        tries = list(some)
        first, last = tries[0], tries[-1]
        times = moment(first["at"]) + (f" to {moment(last['at'])}" if len(tries) > 1 else "")
        numbers = f"{first['number']}-{last['number']}" if len(tries) > 1 else str(first["number"])
        yield f"attempt {numbers}  {times}  {kind}: {error}"


def _exchange(exchange: Mapping[str, Any] | None) -> Iterator[str]:
    if exchange is None:
        yield "No request was under way."
        return
    yield f"> {exchange['method']} {exchange['url']} ({moment(exchange['at'])} UTC, {exchange['ms']} ms)"
    yield from _message(">", exchange["request"])
    answer = exchange["response"]
    yield "< no answer" if answer is None else f"< {answer['status']}"
    yield from _message("<", answer or {"headers": {}, "body": ""})


def _message(mark: str, message: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{mark} {name}: {value}" for name, value in message["headers"].items())
    if message["body"]:
        yield message["body"]
