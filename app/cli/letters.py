"""``tallyhook dead``: find and understand dead letters."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from app.cli.console import LARGEST_ID, AsJson, Before, Limit, console, moment, open_deps, page_of, print_json
from app.cli.tables import add_row, print_rows
from app.flows.letters import letters
from app.flows.letters.letters import (
    Attempt,
    CauseGroup,
    Exchange,
    ItemGroup,
    ItemNow,
    LetterRow,
    LetterView,
    Message,
)
from app.flows.letters.preview import PreviewedItem

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
    page = letters.find(open_deps(), filter_of(words), limit=limit, before_id=before)
    table = Table("id", "died", "item", "tries", "cause", "error", title=letters.sentence(page.totals))
    for letter in page.rows:
        cause = Text(letter.fingerprint).append(" (moot)" if letter.moot else "", "green")
        add_row(table, letter.id, letter.died_at, item_of(letter), letter.tries, cause, letter.error[:100])
    facts = page_of(page.rows, limit, totals=page.totals)
    print_rows(table, facts, NOTHING_MATCHES, as_json=as_json)


@app.command()
def groups(
    words: Words = None,
    by: Annotated[str, typer.Option(help="cause or item")] = "cause",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """How many letters share a cause, or are about the same item."""
    if by not in ("cause", "item"):
        raise typer.BadParameter(f"{by!r}; use cause or item", param_hint="--by")
    groups = (letters.groups_by_cause if by == "cause" else letters.groups_by_item)(
        open_deps(), filter_of(words), limit=limit
    )
    table = Table(by, "letters", "items" if by == "cause" else "causes", "moot", "first", "last", "error")
    table.title = letters.sentence(groups.totals)
    for group in groups.rows:
        if isinstance(group, CauseGroup):
            name, number = f"{group.cause} ({group.connection or '-'})", group.items
        else:
            name, number = item_of(group), group.causes
        numbers = (f"{group.letters:,}", f"{number:,}", f"{group.moot:,}")
        add_row(table, name, *numbers, group.first, group.last, group.error[:100])
    print_rows(table, groups, NOTHING_MATCHES, as_json=as_json)


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
    console.lines(*_head(letter), *_attempts(letter.attempts))
    for attempt in letter.attempts if whole else letter.attempts[-1:]:
        console.rule(f"attempt {attempt.number} at {moment(attempt.at)} by {attempt.worker}", align="left")
        console.lines(*_exchange(attempt.exchange))
        console.print(attempt.traceback, markup=False, style="dim")


def filter_of(words: Sequence[str] | None) -> str:
    """The words of a command line as one filter."""
    return " ".join(words or ())


def item_of(row: LetterRow | ItemGroup | PreviewedItem) -> str:
    """The item that a row is about, for people; "-" if it is about none."""
    return "-" if row.external_id is None else f"{row.connection}/{row.kind}/{row.external_id}"


def _head(letter: LetterView) -> Iterator[str]:
    yield f"Letter {letter.id} is {letter.state}: {letter.error_type}: {letter.error}"
    yield f"What to do: {letter.advice}"
    yield f"cause      {letter.fingerprint} at {letter.place or 'an unknown place'}"
    yield f"message    {letter.actor} {msgspec.json.encode(letter.args).decode()} ({letter.queue})"
    if letter.original_args is not None:
        yield f"           edited; it was {msgspec.json.encode(letter.original_args).decode()}"
    yield f"item       {item_of(letter)}, owed because of a {letter.cause or 'message'}"
    yield f"failed     first {moment(letter.first_failed_at)}, died {moment(letter.died_at)} UTC"
    if letter.replays:
        yield f"replayed   {letter.replays} times, last {moment(letter.replayed_at)} UTC"
    if letter.discarded_at is not None:
        yield f"discarded  {moment(letter.discarded_at)} UTC by {letter.discarded_by}: {letter.discard_reason}"
    if letter.moot:
        yield "moot       a newer version of the item was applied since: a replay would change nothing"
    if letter.since is not None:
        yield from _item_now(letter.since)


def _item_now(item: ItemNow) -> Iterator[str]:
    if item.owed:
        yield "now        the item is owed: a worker will try it"
    for settled in item.settled:
        yield f"settled    {moment(settled.settled_at)} UTC: {settled.outcome} ({settled.cause})"
    for other in item.letters:
        yield f"also       letter {other.id} ({other.state}, {moment(other.died_at)}): {other.fingerprint}"


def _attempts(attempts: Sequence[Attempt]) -> Iterator[str]:
    """Attempts that failed with the same error in a row are one line."""
    for (error_type, error), group in groupby(attempts, key=lambda one: (one.error_type, one.error)):
        first, *more = group
        last = more[-1] if more else None
        times = moment(first.at) + (f" to {moment(last.at)}" if last else "")
        numbers = f"{first.number}-{last.number}" if last else str(first.number)
        yield f"attempt {numbers}  {times}  {error_type}: {error}"


def _exchange(exchange: Exchange | None) -> Iterator[str]:
    if exchange is None:
        yield "No request was under way."
        return
    yield f"> {exchange.method} {exchange.url} ({moment(exchange.at)} UTC, {exchange.ms} ms)"
    yield from _message(">", exchange.request)
    if exchange.response is None:
        yield "< no answer"
    else:
        yield f"< {exchange.response.status}"
        yield from _message("<", exchange.response)


def _message(mark: str, message: Message) -> Iterator[str]:
    yield from (f"{mark} {name}: {value}" for name, value in message.headers.items())
    if message.body:
        yield message.body
