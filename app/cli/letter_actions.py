"""``tallyhook dead``: preview, replay, discard, restore and edit dead letters; watch and abort replays."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from app.cli.codes import FAILED, INTERRUPTED
from app.cli.console import (
    LARGEST_ID,
    AsJson,
    Before,
    Limit,
    done,
    open_deps,
    page_of,
    stderr,
)
from app.cli.letters import LetterId, Words, filter_of, item_of
from app.cli.letters import app as dead
from app.cli.tables import add_row, print_rows
from app.errors import InvalidRequest
from app.flows.deps import Deps
from app.flows.letters import letter_actions, letters, replay
from app.flows.letters.preview import MAX_ITEMS, Preview, PreviewedChange
from app.flows.letters.preview import preview as find_preview
from app.flows.letters.replay import ReplayView

__all__ = ["dead"]

POLL_SECONDS = 0.3

ReplayId = Annotated[int, typer.Argument(help="number of the replay", min=1, max=LARGEST_ID)]
Why = Annotated[str, typer.Option("--why", help="the reason, for the record")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]


@dead.command()
def preview(
    words: Words = None,
    limit: Annotated[
        int, typer.Option(help="at most this many items: each may cost a call", min=1, max=100)
    ] = MAX_ITEMS,
    as_json: AsJson = False,
) -> None:
    """What replaying the letters of a filter (or a number) would change; writes nothing."""
    result = find_preview(open_deps(), _numbers_or_filter(words), limit=limit)
    done(_previewed(result), result, as_json=as_json)


@dead.command("replay")
def replay_(
    words: Words = None,
    every: Annotated[bool, typer.Option("--all", help="every dead letter")] = False,
    name: Annotated[str, typer.Option(help="name of the incident that this replay is to end")] = "",
    rate: Annotated[int, typer.Option(help="items per second; 0: as fast as it goes", min=0)] = replay.RATE,
    canary: Annotated[bool, typer.Option(help="first 1 item, then 10, then the rest")] = True,
    yes: Yes = False,
    wait: Annotated[bool | None, typer.Option(help="watch it until it is over", show_default="at a terminal")] = None,
    as_json: AsJson = False,
) -> None:
    """Try the items of dead letters again: a number, some numbers, or all that a filter matches, each item once."""
    deps = open_deps()
    text = _numbers_or_filter(words)
    if not text and not every:
        raise InvalidRequest("name the letters: a number, a filter, or --all")
    letter = int(text.removeprefix("id:")) if text.removeprefix("id:").isdecimal() else None
    if letter is not None:
        replay_id = replay.replay_letter(deps, letter, name=name or None)
    else:
        if not name:
            raise InvalidRequest("give the replay a name with --name: the incident that it is to end")
        _ask(deps, text, "Replay", yes)
        replay_id = replay.replay_letters(deps, text, name, rate=rate, canary=canary)
    watch = sys.stderr.isatty() if wait is None else wait
    view = _follow(deps, replay_id) if watch else replay.show_replay(deps, replay_id)
    _print_replay(view, as_json)
    if view.status in ("stopped", "aborted"):
        raise typer.Exit(FAILED)


@dead.command()
def discard(words: Words = None, why: Why = "", yes: Yes = False, as_json: AsJson = False) -> None:
    """Discard dead letters, with a reason; `tallyhook dead restore` undoes it within a day."""
    deps = open_deps()
    text = _numbers_or_filter(words)
    if not text:
        raise InvalidRequest("name the letters: a number, or a filter")
    _ask(deps, text, "Discard", yes)
    count = letter_actions.discard(deps, text, why)
    done(f"{count} letters are discarded.", {"discarded": count}, as_json=as_json)


@dead.command()
def restore(letter_id: LetterId, as_json: AsJson = False) -> None:
    """Undo the discarding of a letter, within a day."""
    deps = open_deps()
    letter_actions.restore(deps, letter_id)
    done(f"Letter {letter_id} is dead again.", letters.show(deps, letter_id), as_json=as_json)


@dead.command()
def edit(
    letter_id: LetterId,
    args: Annotated[str, typer.Option(help='the arguments as JSON: \'["shop", "product", "A"]\'')],
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Edit the arguments of a dead letter's message before a replay; the original ones are kept."""
    try:
        decoded = msgspec.json.decode(args)
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--args") from None
    if not isinstance(decoded, list):
        raise typer.BadParameter("right would be a JSON list", param_hint="--args")
    deps = open_deps()
    letter_actions.edit_args(deps, letter_id, decoded, why)
    done(f"Letter {letter_id} has new arguments.", letters.show(deps, letter_id), as_json=as_json)


@dead.command()
def replays(limit: Limit = 20, before: Before = None, as_json: AsJson = False) -> None:
    """Replays, newest first, with the progress of each."""
    rows = replay.list_replays(open_deps(), limit=limit, before_id=before)
    table = Table("id", "name", "status", "letters", "items", "done", "failed", "waiting", "asked", "by", "why")
    for row in rows:
        numbers = (row.letters, row.items, row.progress.done, row.progress.failed, row.progress.waiting)
        asked = (row.asked_at, row.asked_by, (row.reason or "")[:100])
        add_row(table, row.id, row.name, row.status, *(f"{number:,}" for number in numbers), *asked)
    print_rows(table, page_of(rows, limit), "Nothing was ever replayed.", as_json=as_json)


@dead.command()
def abort(replay_id: ReplayId, as_json: AsJson = False) -> None:
    """Stop a replay; letters that it had not reached are dead as before."""
    deps = open_deps()
    replay.abort_replay(deps, replay_id)
    _print_replay(replay.show_replay(deps, replay_id), as_json)


def _numbers_or_filter(words: Sequence[str] | None) -> str:
    """Bare numbers are letters' numbers."""
    if words and all(word.isdecimal() for word in words):
        return f"id:{','.join(words)}"
    return filter_of(words)


def _ask(deps: Deps, text: str, verb: str, yes: bool) -> None:
    """Ask before several letters are changed; raises ``InvalidRequest`` where there is no terminal to ask at."""
    totals = letters.find(deps, text, limit=1).totals
    if yes or totals.letters <= 1:
        return
    if not sys.stdin.isatty():
        raise InvalidRequest(f"{verb.lower()} {letters.sentence(totals)}? Give --yes where nobody can be asked")
    if not typer.confirm(f"{verb} {letters.sentence(totals)}?", err=True):
        raise typer.Exit(INTERRUPTED)


def _follow(deps: Deps, replay_id: int) -> ReplayView:
    """Watch a replay until it is over; Ctrl-C asks whether to abort it."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=stderr, transient=True
    )
    try:
        with bar:
            task = bar.add_task("replaying")
            while (view := replay.show_replay(deps, replay_id)).status in ("idle", "running"):
                over = view.progress.done + view.progress.failed + view.progress.skipped
                state = "waits for a worker" if view.status == "idle" else f"replaying {view.name}"
                bar.update(task, total=view.items, completed=over, description=state)
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        if sys.stdin.isatty() and typer.confirm(f"Abort replay {replay_id}?", err=True):
            replay.abort_replay(deps, replay_id)
        else:
            stderr.print(f"Replay {replay_id} continues; `tallyhook dead replays` shows it.")
            raise typer.Exit(INTERRUPTED) from None
    return replay.show_replay(deps, replay_id)


def _print_replay(view: ReplayView, as_json: bool) -> None:
    counts = ", ".join(f"{count:,} {state}" for state, count in view.progress.nonzero().items())
    reason = f": {view.reason}" if view.reason else ""
    waits = f" Waits for {', '.join(view.paused)}, which cannot be read now." if view.paused else ""
    sentence = f"Replay {view.id} ({view.name}) {view.status}{reason}. {view.items:,} items: {counts or 'none yet'}."
    done(sentence + waits, view, as_json=as_json)


def _previewed(result: Preview) -> Iterator[str]:
    yield result.summary
    for item in result.items:
        moot = " (moot)" if item.moot else ""
        error = f": {item.error}" if item.error else ""
        yield f"  {item_of(item)}{moot}: {item.outcome}{error}"
    yield from (f"    {_would(row)}" for row in result.rows)
    if result.left_out:
        yield f"{result.left_out} more items were not previewed; --limit previews more."


def _would(row: PreviewedChange) -> str:
    """What would be written to one row; a new row has no old values."""
    if row.change == "missing":
        values = ", ".join(f"{name} {new}" for name, (_, new) in row.fields.items() if new not in (None, False))
        return f"new {row.kind} {row.item}: {values}"
    changes = ", ".join(f"{name} {old} → {new}" for name, (old, new) in row.fields.items())
    return f"{row.kind} {row.item} {row.change}: {changes}"
