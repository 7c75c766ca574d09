"""The words that filters accept, in upper or lower case and in older spellings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.domain import STATUS_SPELLINGS, Status, status_of
from app.rules.drift.drift import DriftCause
from app.rules.filters import choice_of


@dataclass(frozen=True)
class Words:
    """The words of one filter ``key``; ``older`` maps other spellings to them."""

    key: str
    words: Sequence[str]
    older: Mapping[str, str]

    @property
    def spellings(self) -> tuple[str, ...]:
        """Everything that ``read`` accepts, in lower case."""
        return (*self.words, *self.older)

    @property
    def pattern(self) -> str:
        """A regular expression for any of them in upper or lower case that needs no flag."""
        return f"^({'|'.join(map(''.join, map(_any_case, self.spellings)))})$"

    def read(self, text: str) -> str:
        """The word that a text means; raises ``FilterError``, which suggests the nearest one."""
        spelled = text.strip()
        older = {spelling.casefold(): word for spelling, word in self.older.items()}
        return older.get(spelled.casefold()) or choice_of(self.key, spelled, self.words)


def _any_case(spelling: str) -> Iterator[str]:
    return (f"[{c}{c.upper()}]" if c.isalpha() else c for c in spelling)


STATUSES = Words(
    "status", tuple(Status), {text: status_of(text) for text in STATUS_SPELLINGS if text != status_of(text)}
)
DRIFT_CAUSES = Words(
    "cause",
    (*(str(cause) for cause in DriftCause), "dry_run", "held"),
    {"dry run": "dry_run", "dry-run": "dry_run", "dryrun": "dry_run", "local edit": "local", "local_edit": "local"},
)
DRIFT_CHANGES = Words(
    "change",
    ("missing", "differs", "vanished"),
    {
        "created": "missing",
        "new": "missing",
        "changed": "differs",
        "different": "differs",
        "updated": "differs",
        "deleted": "vanished",
        "gone": "vanished",
        "removed": "vanished",
    },
)
RUN_CAUSES = Words(
    "cause",
    ("schedule", "person", "first start"),
    {"scheduled": "schedule", "cron": "schedule", "manual": "person", "first_start": "first start"},
)
