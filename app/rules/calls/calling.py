"""The purpose by which a call is counted: live work of a lane, a run, or a probe."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from app.rules.calls.lanes import current_lane

RUN = "run"
PROBE = "probe"


class Purpose(NamedTuple):
    """The word of a lane, ``RUN`` with the id of the run, or ``PROBE`` for a call that only asks whether the account
    answers."""

    word: str
    run_id: int | None = None


_now_for: ContextVar[Purpose | None] = ContextVar("purpose", default=None)


@contextmanager
def calling_for(word: str, run_id: int | None = None) -> Iterator[None]:
    """Count every call of the block by this purpose; the innermost block decides. Applies to this thread only."""
    token = _now_for.set(Purpose(word, run_id))
    try:
        yield
    finally:
        _now_for.reset(token)


def current_purpose() -> Purpose:
    """The purpose of this thread's calls: live work of its lane, unless a block says otherwise."""
    return _now_for.get() or Purpose(current_lane().word)
