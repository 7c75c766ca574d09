"""The questions for somebody who connects an account, and the result of setting up its webhooks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from app.domain.nearest import unknown
from app.errors import BadConfiguration


class Question(NamedTuple):
    """One option of a connection, as a question to a person. ``default`` is ``None`` where an answer is required."""

    option: str
    words: str
    is_secret: bool = False
    default: str | None = None
    choices: tuple[str, ...] = ()


class Setup(NamedTuple):
    """The questions for a new connection; ``hint`` says where to find the right credentials, for somebody who gave
    wrong ones; ``options`` are the names of all options that a connection may have."""

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
    """The result of setting up a connection's webhooks.

    ``options`` are to be added to the connection's, ``said`` is one sentence, ``todo`` lists the steps that a person
    must still take, and ``question`` asks for what that person will know then.
    """

    said: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    todo: tuple[str, ...] = ()
    question: Question | None = None


@runtime_checkable
class Registers(Protocol):
    """A source that can set up its webhooks."""

    def register(self, url: str, options: Mapping[str, str]) -> Registered:
        """Have changes posted to ``url``; ``options`` are the connection's options so far.

        The result lists what we may not do as steps for a person. Raises ``Transient`` where the vendor does not
        answer.
        """
