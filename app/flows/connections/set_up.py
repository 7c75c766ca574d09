"""Sets up a connection before anything else exists: checks the options, counts what is there, registers webhooks.

Nothing here needs a database: its few calls count against none of our budgets.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from app import sources
from app.errors import AuthRejected, BadAnswer, RateLimited, TallyhookError, VendorForbidden, VendorRefused
from app.flows.connections.checks import one_line
from app.flows.connections.kind_checks import KindCheck, State, count
from app.sources.base import Checkable, Context, Source, Unlimited
from app.sources.setup import Registered, Registers

PATIENCE = 30.0
"""Seconds that a call waits if the vendor limits us."""


class Draft(NamedTuple):
    """A connection that is not configured yet. ``public_url`` is where the outside reaches us, if it can."""

    slug: str
    source: str
    options: Mapping[str, str]
    public_url: str | None = None

    @property
    def webhook_url(self) -> str | None:
        """Where the vendor would send its deliveries; ``None`` if the outside cannot reach us."""
        return f"{self.public_url.rstrip('/')}/webhooks/{self.slug}" if self.public_url else None

    @property
    def settings(self) -> dict[str, str]:
        """Its settings, by their names in the environment."""
        source = {} if self.slug.split("-")[0] == self.source else {"source": self.source}
        prefix = prefix_of(self.slug)
        return {f"{prefix}{name.upper()}": value for name, value in {**source, **self.options}.items() if value}


def prefix_of(slug: str) -> str:
    """The prefix of a connection's settings."""
    return f"TALLYHOOK_CONNECTIONS__{slug.upper().replace('-', '_')}__"


def open_source(draft: Draft) -> Source:
    """The source of a draft; makes no call. Raises ``BadConfiguration`` if an option is wrong."""
    public = draft.public_url or "http://127.0.0.1"  # nobody verifies signatures over it yet
    context = Context(draft.slug, Unlimited(), public_url=public, patience=PATIENCE)
    return sources.connect(draft.source, context, draft.options)


def let_in(draft: Draft, redact: Callable[[str], str]) -> Source:
    """The source of a draft whose account lets us in. Raises ``BadConfiguration`` if an option is wrong, and ``Refused``, in
    one sentence with what would be right, if the account refuses us or does not answer."""
    source = open_source(draft)
    try:
        _check(draft, source, redact)
    except VendorRefused:
        source.close()
        raise
    return source


def _check(draft: Draft, source: Source, redact: Callable[[str], str]) -> None:
    if not isinstance(source, Checkable):
        return
    try:
        with suppress(VendorForbidden, RateLimited):  # the vendor knows us
            source.check()
    except (AuthRejected, VendorRefused, BadAnswer) as error:
        raise VendorRefused(_refused(draft, error, redact)) from None
    except TallyhookError as error:
        raise VendorRefused(f"{draft.source} does not answer: {one_line(redact(str(error)))}; try again") from None


def count_kinds(
    draft: Draft,
    source: Source,
    now: Callable[[], datetime],
    redact: Callable[[str], str],
    on_count: Callable[[KindCheck], None],
) -> list[KindCheck]:
    """Count every kind; each result also goes to ``on_count`` at once. Raises ``VendorRefused`` if no kind may be read."""
    checks: list[KindCheck] = []
    for kind in source.kinds:
        checks.append(count(source, kind, now(), redact))
        on_count(checks[-1])
    if all(check.state is State.WRONG for check in checks):
        why = f"{checks[0].kind}: {checks[0].said}"
        raise VendorRefused(
            f"{draft.source} shows nothing of this account ({why}): {sources.setup(draft.source).hint}"
        )
    return checks


def register(draft: Draft, source: Source, redact: Callable[[str], str]) -> Registered | None:
    """Register our webhook URL with the vendor; ``None`` if nobody could reach us, or the source has no registration."""
    url = draft.webhook_url
    if url is None or not isinstance(source, Registers):
        return None
    try:
        return source.register(url, draft.options)
    except TallyhookError as error:
        return Registered(f"webhooks could not be registered: {one_line(redact(str(error)))}")


def _refused(draft: Draft, error: TallyhookError, redact: Callable[[str], str]) -> str:
    said = one_line(redact(str(error)))
    return f"{draft.source} refuses these credentials ({said}): {sources.setup(draft.source).hint}"
