"""``tallyhook init``: connect an account, check that it works, and write its settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from app import config, sources
from app.cli.asking import answers, ask_person, can_ask, pairs
from app.cli.console import AsJson, console, print_json, stderr
from app.cli.tables import print_table
from app.config import Settings
from app.domain import Kind
from app.domain.nearest import unknown
from app.errors import BadConfiguration, Conflict, VendorRefused
from app.flows.connections.kind_checks import KindCheck, State
from app.flows.connections.set_up import Draft, count_kinds, let_in, open_source, prefix_of, register
from app.local import env_file, run_file
from app.rules.access.redaction import redactor
from app.rules.settings import public_url_problem, slug_problem
from app.sources.base import Source
from app.sources.setup import Question, Registered

TRIES = 3
"""How many times a person may try credentials."""

WIDEST = 52
"""Characters of a row that are shown: the table fits 80 columns."""

PUBLIC_URL = "TALLYHOOK_PUBLIC_URL"


@dataclass(frozen=True)
class Connected:
    """The result; ``settings`` are names, without their values."""

    connection: str
    source: str
    kinds: Sequence[KindCheck]
    webhooks: str
    todo: Sequence[str]
    file: str
    settings: Sequence[str]


def init(
    source: Annotated[
        str | None, typer.Argument(help=f"which system to connect: {' or '.join(sources.names())}")
    ] = None,
    name: Annotated[str | None, typer.Option(help="name of the connection; default: the system's")] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="an option of the connection; NAME=@FILE reads a file"),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(help="the address by which the outside reaches this machine, like https://hooks.example.com"),
    ] = None,
    webhooks: Annotated[bool, typer.Option(help="set up webhooks, so that changes are posted to us")] = True,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="overwrite a connection; options that are not given stay. Another account needs another name",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="ask nothing")] = False,
    as_json: AsJson = False,
) -> None:
    """Connect an account: try its credentials, look at each kind, set up webhooks, and write `.env` for its owner alone.

    Nothing is written or registered unless the account answers. Without a terminal it asks nothing.
    """
    ask = can_ask(never=yes or as_json)
    while True:
        settings = config.load()
        known = pairs(given or [])
        draft = _draft(settings, source, name, known, replace=replace, ask=ask)
        public = _public_url(settings, public_url, replace=replace)
        tell_kinds = _no_kinds if as_json else _tell_kinds
        connected = _connect(settings, draft, public, tell_kinds, ask=ask, webhooks=webhooks, again=replace)
        if as_json:
            print_json(connected)
        else:
            _tell(connected, settings)
        if not ask or source is not None or not typer.confirm("Another connection?", default=False, err=True):
            return
        name, given, replace = None, None, False


def _draft(
    settings: Settings, source: str | None, name: str | None, known: Mapping[str, str], *, replace: bool, ask: bool
) -> Draft:
    """The system, the name and the options that are known; raises ``Conflict`` for a name that is taken."""
    if source is None and not ask:
        raise BadConfiguration(f"name the system: tallyhook init {' | '.join(sources.names())}")
    system = source or ask_person(Question("source", "Which system", choices=tuple(sources.names())))
    options = sources.setup(system).options  # raises where there is no such system
    for option in known.keys() - set(options):
        raise BadConfiguration(unknown("option", option, options))
    slug = name or (system if replace or not ask else _asked_name(settings, system))
    problem = slug_problem(slug)
    if problem is not None:
        raise BadConfiguration(problem)
    before = settings.accounts().get(slug)
    if before is None:
        return Draft(slug, system, known)
    _check_replaceable(slug, replace=replace)
    if before.source != system:
        raise Conflict(f"the connection {slug!r} is one of {before.source}: take another --name")
    return Draft(slug, system, {**before.options, **known})


def _asked_name(settings: Settings, system: str) -> str:
    """A name that no connection has yet."""
    taken = settings.accounts().keys()
    free = next(name for number in count(1) if (name := system if number == 1 else f"{system}-{number}") not in taken)
    while True:
        slug = ask_person(Question("name", "Name of this connection", default=free))
        problem = f"there is a connection {slug!r} already" if slug in taken else slug_problem(slug)
        if problem is None:
            return slug
        stderr.lines(problem, style="red")


def _check_replaceable(slug: str, *, replace: bool) -> None:
    file = _file()
    if not any(name.startswith(prefix_of(slug)) for name in env_file.names_in(file)):
        raise Conflict(f"the environment has a connection {slug!r}, and goes before {file}: take another --name")
    if not replace:
        raise Conflict(
            f"{file} has a connection {slug!r} already: take another --name, or overwrite it with --replace"
        )


def _public_url(settings: Settings, given: str | None, *, replace: bool) -> str | None:
    """The option given now, else the setting."""
    if given is None:
        return settings.public_url
    problem = public_url_problem(given)
    if problem is not None:
        raise BadConfiguration(problem)
    if settings.public_url not in (None, given.rstrip("/")) and not replace:
        raise Conflict(f"{PUBLIC_URL} is {settings.public_url} already, for every connection; --replace changes it")
    return given.rstrip("/")


def _connect(
    settings: Settings,
    draft: Draft,
    public: str | None,
    tell_kinds: Callable[[Sequence[KindCheck]], None],
    *,
    ask: bool,
    webhooks: bool,
    again: bool,
) -> Connected:
    draft, source = _let_in(draft, ask=ask, again=again)
    try:
        kinds = _looked_at(draft, source)
        tell_kinds(kinds)
        if webhooks and public is None and ask:
            public = _asked_where()
        draft = draft._replace(public_url=public)
        registered = register(draft, source, _redactor(draft)) if webhooks else None
    finally:
        source.close()
    draft = _with_webhooks(draft, registered, ask=ask)
    new = {PUBLIC_URL: public} if public and public != settings.public_url else {}
    names = _written(draft, new)
    said = registered.said if registered else _none_said(draft, webhooks=webhooks)
    todo = () if registered is None else registered.todo
    return Connected(draft.slug, draft.source, kinds, said, todo, str(_file()), names)


def _let_in(draft: Draft, *, ask: bool, again: bool) -> tuple[Draft, Source]:
    """The draft with credentials that the account accepts; a person may try a few times."""
    for attempt in count(1):
        questions = sources.setup(draft.source).questions
        draft = draft._replace(options=answers(questions, draft.options, ask=ask, again=again or attempt > 1))
        try:
            source = let_in(draft, _redactor(draft))
        except (BadConfiguration, VendorRefused) as error:
            if not ask or attempt == TRIES:
                raise
            stderr.lines(str(error), style="red")
            refused = {one.option for one in questions if one.is_secret and isinstance(error, VendorRefused)}
            draft = draft._replace(options={name: draft.options[name] for name in draft.options.keys() - refused})
        else:
            return draft, source
    raise AssertionError("unreachable: the loop has no end")


def _looked_at(draft: Draft, source: Source) -> list[KindCheck]:
    with stderr.status(f"{draft.source} answers; looking at what there is...") as status:

        def seen(one: KindCheck) -> None:
            status.update(f"{one.kind}: {one.found:,}; looking on...")

        return count_kinds(draft, source, lambda: datetime.now(UTC), _redactor(draft), seen)


def _asked_where() -> str | None:
    words = "Address by which the outside reaches this machine, like https://hooks.example.com (empty: none)"
    while url := ask_person(Question("public_url", words, default="")).rstrip("/"):
        problem = public_url_problem(url)
        if problem is None:
            return url
        stderr.lines(problem, style="red")
    return None


def _with_webhooks(draft: Draft, registered: Registered | None, *, ask: bool) -> Draft:
    """The draft with what its webhooks need, from the vendor or else from a person."""
    if registered is None:
        return draft
    options = dict(registered.options)
    if registered.question is not None and ask:
        stderr.lines(*(f"- {step}" for step in registered.todo))
        options[registered.question.option] = ask_person(registered.question)
    return draft._replace(options={**draft.options, **options})


def _written(draft: Draft, more: Mapping[str, str]) -> list[str]:
    """Write the connection; returns the names of its settings. Raises an error before anything is written if it is wrong."""
    open_source(draft).close()
    settings = {**draft.settings, **more}
    old = [name for name in env_file.names_in(_file()) if name.startswith(prefix_of(draft.slug))]
    env_file.write(_file(), settings, drop=old, title=f"{draft.slug}, by tallyhook init")
    return sorted(settings)


def _none_said(draft: Draft, *, webhooks: bool) -> str:
    if not webhooks:
        return "webhooks were left alone"
    if draft.public_url is None:
        again = f"tallyhook init {draft.source} --name {draft.slug} --replace --public-url https://..."
        return f"none: nobody can reach this machine, so changes arrive by polls; later: {again}"
    return "none: this system has no such thing, changes come by polls"


def _tell_kinds(kinds: Sequence[KindCheck]) -> None:
    table = Table("kind", "rows", "the first of them")
    for one in kinds:
        kind = f"{one.kind}, 7 days" if one.kind is Kind.ORDER else str(one.kind)
        if one.state is State.WELL:
            rows = "\n".join(escape(_cut(row)) for row in one.rows)
            table.add_row(kind, f"{one.found:,}{'' if one.is_all else ' or more'}", rows)
    print_table(table, "")
    for one in kinds:
        if one.state is not State.WELL:
            console.lines(f"{one.kind}: {one.said}; {one.todo}".rstrip("; "))


def _no_kinds(_: Sequence[KindCheck]) -> None:
    """Programs find them in the document."""


def _tell(connected: Connected, settings: Settings) -> None:
    console.lines(
        f"Webhooks: {connected.webhooks}.",
        *(f"  - {step}" for step in connected.todo),
        f"Written to {connected.file}, which only you can read:",
        *(f"  {name}" for name in connected.settings),
    )
    runs = run_file.is_held(settings.data_dir)
    after = "stop `tallyhook up` and start it again: it reads settings at its start" if runs else "tallyhook up"
    console.lines(f"Next: {after}")


def _cut(row: str) -> str:
    return row if len(row) <= WIDEST else f"{row[: WIDEST - 3]}..."


def _redactor(draft: Draft) -> Callable[[str], str]:
    """Removes the given secrets from texts that quote the vendor."""
    secret = {one.option for one in sources.setup(draft.source).questions if one.is_secret}
    return redactor(value for name, value in draft.options.items() if name in secret)


def _file() -> Path:
    return Path(config.ENV_FILE).absolute()
