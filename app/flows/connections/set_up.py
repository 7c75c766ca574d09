"""Sets a connection up before anything else exists: is it right, what is there, and who tells us of changes?

Nothing here needs a database: calls are counted against no budget of ours, and there are few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from app import sources
from app.errors import AuthRejected, BadAnswer, RateLimited, TallyhookError, VendorForbidden, VendorRefused
from app.flows.connections.checks import one_line
from app.flows.connections.kind_looks import KindLook, State, count
from app.sources.base import Checkable, Context, Source, Unlimited
from app.sources.setup import Registered, Registers

PATIENCE = 30.0
"""Seconds that a call waits for a vendor that limits us."""


class Draft(NamedTuple):
    """A connection that is not written down yet. ``public_url`` is where the outside reaches us, if it does."""

    slug: str
    source: str
    options: Mapping[str, str]
    public_url: str | None = None

    @property
    def webhook_url(self) -> str | None:
        """Where its deliveries would come to."""
        return f"{self.public_url.rstrip('/')}/webhooks/{self.slug}" if self.public_url else None

    @property
    def settings(self) -> dict[str, str]:
        """What has to be written down of it, names as in the environment."""
        told = {} if self.slug.split("-")[0] == self.source else {"source": self.source}
        begin = prefix_of(self.slug)
        return {f"{begin}{name.upper()}": value for name, value in {**told, **self.options}.items() if value}


def prefix_of(slug: str) -> str:
    """How the settings of a connection begin."""
    return f"TALLYHOOK_CONNECTIONS__{slug.upper().replace('-', '_')}__"


def open_source(draft: Draft) -> Source:
    """The source of a draft; nothing is sent. Raises ``BadConfiguration`` where an option is wrong."""
    public = draft.public_url or "http://127.0.0.1"  # what is signed over it is checked by nobody yet
    context = Context(draft.slug, Unlimited(), public_url=public, patience=PATIENCE)
    return sources.connect(draft.source, context, draft.options)


def let_in(draft: Draft, redact: Callable[[str], str]) -> Source:
    """The source of a draft whose account lets us in. Raises ``BadConfiguration`` where an option is wrong, and ``Refused``,
    in one sentence with what would be right, where the account refuses us or does not answer."""
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
        with suppress(VendorForbidden, RateLimited):  # it knows us
            source.check()
    except (AuthRejected, VendorRefused, BadAnswer) as error:
        raise VendorRefused(_refused(draft, error, redact)) from None
    except TallyhookError as error:
        raise VendorRefused(f"{draft.source} does not answer: {one_line(redact(str(error)))}; try again") from None


def look(
    draft: Draft,
    source: Source,
    now: Callable[[], datetime],
    redact: Callable[[str], str],
    seen: Callable[[KindLook], None],
) -> list[KindLook]:
    """Count every kind, each told to ``seen`` at once. Raises ``VendorRefused`` where none may be read."""
    found: list[KindLook] = []
    for kind in source.kinds:
        found.append(count(source, kind, now(), redact))
        seen(found[-1])
    if all(one.state is State.WRONG for one in found):
        why = f"{found[0].kind}: {found[0].said}"
        raise VendorRefused(
            f"{draft.source} shows nothing of this account ({why}): {sources.setup(draft.source).hint}"
        )
    return found


def register(draft: Draft, source: Source, redact: Callable[[str], str]) -> Registered | None:
    """See to it that changes are told to us; ``None`` where nobody could reach us, or the source has no such thing."""
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
