"""What a vendor asks of somebody who connects an account, and what became of its webhooks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from app.domain.nearest import unknown
from app.errors import BadConfiguration


class Question(NamedTuple):
    """One option of a connection as a person is asked for it. ``default`` is ``None`` where there must be an answer."""

    option: str
    words: str
    is_secret: bool = False
    default: str | None = None
    choices: tuple[str, ...] = ()


class Setup(NamedTuple):
    """What is asked of a new connection, ``hint``: where the right credentials are, for those who gave wrong ones, and the
    names of all ``options`` that it may have."""

    questions: tuple[Question, ...]
    hint: str
    options: tuple[str, ...]


def given(connection: str, options: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """The options that are not blank, stripped; raises ``BadConfiguration`` for one that is not known."""
    for name in sorted(options.keys() - set(known)):
        raise BadConfiguration(f"connection {connection!r}: {unknown('option', name, known)}")
    return {name: stripped for name, value in options.items() if (stripped := value.strip())}


@dataclass(frozen=True)
class Registered:
    """What became of a connection's webhooks.

    ``options`` are to be added to the connection's, ``said`` is one sentence, ``todo`` what a person has still to do,
    a step each, and ``question`` what that person will know then.
    """

    said: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    todo: tuple[str, ...] = ()
    question: Question | None = None


@runtime_checkable
class Registers(Protocol):
    """What a source can also be: one that can see to it that webhooks come."""

    def register(self, url: str, options: Mapping[str, str]) -> Registered:
        """Have changes posted to ``url``; ``options`` are those of the connection so far. What may not be done by us is
        said as steps for a person. Raises ``Transient`` where the vendor does not answer."""
