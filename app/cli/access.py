"""``tallyhook tokens``, ``users`` and ``audit``: who may sign in, and who did what."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from app.cli.codes import FAILED, WELL
from app.cli.console import LARGEST_ID, AsJson, Before, Limit, done, named, open_deps, print_json
from app.cli.here import settings_here
from app.cli.tables import add_row, print_rows
from app.domain import Role
from app.domain.nearest import unknown
from app.errors import InvalidRequest
from app.flows.access import accounts
from app.flows.access import audit as log
from app.flows.access.audit_archive import FOLDER

tokens = typer.Typer(help="Tokens for programs; `Authorization: Bearer <token>`.", no_args_is_help=True)
users = typer.Typer(help="People who sign in with a password.", no_args_is_help=True)
audit = typer.Typer(help="The audit log: who changed what, when, why and from where.", no_args_is_help=True)

Least = Annotated[Role, typer.Option(help="what it may do")]
Scope = Annotated[
    list[str] | None, typer.Option("--connection", help="only this connection; may be given several times")
]
Name = Annotated[str, typer.Argument(help="the user's name")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="read the password from standard input")]


@tokens.command("create")
def create(
    name: Annotated[str, typer.Option(help="what it is for")],
    role: Least = Role.VIEWER,
    connection: Scope = None,
    days: Annotated[int, typer.Option(help="days until it expires", min=1, max=3650)] = accounts.DAYS,
    never: Annotated[bool, typer.Option("--never", help="the token does not expire")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a token. It is shown once, on standard output; only its hash is kept."""
    number, secret = accounts.create_token(
        open_deps(), name, role, connections=connection, days=None if never else days
    )
    if as_json:
        print_json({"id": number, "name": name, "role": role, "token": secret})
        return
    typer.echo(f"Token {number} ({role}); it is shown only now:", err=True)
    typer.echo(secret)


@tokens.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """Every token, newest first."""
    rows = accounts.list_tokens(open_deps())
    table = Table("id", "name", "begins", "role", "connections", "created", "expires", "last used", "from", "revoked")
    for one in rows:
        times = (one.created_at, one.expires_at, one.last_used_at)
        who = (one.id, one.name, one.hint, one.role, _scope_text(one.connections))
        add_row(table, *who, *times, one.last_used_from, one.revoked_at)
    print_rows(table, rows, "There are no tokens.", as_json=as_json)


@tokens.command()
def revoke(
    token_id: Annotated[int, typer.Argument(help="number of the token", min=1, max=LARGEST_ID)],
    as_json: AsJson = False,
) -> None:
    """Revoke a token; within two seconds it stops working everywhere."""
    accounts.revoke_token(open_deps(), token_id)
    done(f"Token {token_id} is revoked.", {"id": token_id, "state": "revoked"}, as_json=as_json)


@users.command()
def add(
    name: Name,
    role: Least = Role.VIEWER,
    connection: Scope = None,
    from_stdin: FromStdin = False,
    as_json: AsJson = False,
) -> None:
    """Add a user; asks for the password twice."""
    accounts.add_user(open_deps(), name, _password(from_stdin), role, connections=connection)
    facts = {"name": name, "role": role, "connections": connection, "state": "enabled"}
    done(f"User {name} can sign in.", facts, as_json=as_json)


@users.command("list")
def list_users(as_json: AsJson = False) -> None:
    """Every user, by name."""
    rows = accounts.list_users(open_deps())
    table = Table("name", "role", "connections", "created", "last signed in", "disabled", "locked until")
    for one in rows:
        times = (one.created_at, one.last_seen_at, one.disabled_at, one.locked_until)
        add_row(table, one.name, one.role, _scope_text(one.connections), *times)
    print_rows(table, rows, "There are no users.", as_json=as_json)


@users.command()
def password(name: Name, from_stdin: FromStdin = False, as_json: AsJson = False) -> None:
    """Set a user's password; all of the user's sessions end."""
    accounts.set_password(open_deps(), name, _password(from_stdin))
    done(f"User {name} has a new password.", {"name": name, "password": "changed"}, as_json=as_json)


@users.command()
def disable(name: Name, as_json: AsJson = False) -> None:
    """Disable a user; all of the user's sessions end."""
    accounts.disable_user(open_deps(), name)
    done(f"User {name} is disabled.", {"name": name, "state": "disabled"}, as_json=as_json)


@users.command()
def enable(name: Name, as_json: AsJson = False) -> None:
    """Enable a user again, also after a lockout."""
    accounts.enable_user(open_deps(), name)
    done(f"User {name} can sign in.", {"name": name, "state": "enabled"}, as_json=as_json)


@audit.command("list")
def list_entries(
    action: Annotated[str | None, typer.Option(help='one action, or how several begin: "letters"')] = None,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """Entries, newest first."""
    if action is not None and not any(known.startswith(action) for known in log.ACTIONS):
        raise typer.BadParameter(unknown("action", action, log.ACTIONS), param_hint="--action")
    entries = log.list_entries(open_deps(), limit=limit, before_number=before, action=action)
    table = Table("number", "at", "who", "from", "action", "subject", "why", "after")
    for one in entries:
        texts = (one.who, one.origin, one.action, one.subject, one.why or "", _facts(one.after))
        add_row(table, one.number, one.at, *(text[:80] for text in texts))
    empty = "Nobody has changed anything yet." if action is None else f"Nobody has done {action} yet."
    page = {"rows": entries, "next": entries[-1].number if len(entries) == limit else None}
    print_rows(table, page, empty, as_json=as_json)


@audit.command()
def verify(
    head: Annotated[
        str | None, typer.Option(help="a head noted earlier: proves that nothing was cut off since")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(help="folder of the archived entries; default: in the data folder")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read the whole log, archived entries too; exit code 1 if an entry was changed, removed or inserted."""
    verdict = log.verify(open_deps(), head, archive=archive or settings_here().data_dir / FOLDER)
    archived = f" ({verdict.archived:,} of them archived)" if verdict.archived else ""
    sentence = f"{verdict.entries:,} entries{archived}, unbroken; head {verdict.head}"
    if verdict.problem is not None:
        sentence = f"The audit log is broken: {verdict.problem}."
    done(sentence, verdict, as_json=as_json)
    raise typer.Exit(WELL if verdict.problem is None else FAILED)


def _scope_text(connections: Iterable[str] | None) -> str:
    return "all" if connections is None else ", ".join(connections)


def _facts(after: Any) -> str:
    """The facts of an entry for people; facts that are not set are left out."""
    if not isinstance(after, dict):
        return str(after or "")
    return named((name, value) for name, value in after.items() if value not in (None, ""))


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise InvalidRequest("no terminal to ask for the password; use --password-stdin")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
