"""The guard's findings: the rules that hold a batch implausible, their figures, and the traits of the rows they hold."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntFlag


class Trait(IntFlag):
    """A change of one row that a rule may doubt; a row has any number of traits."""

    NONE = 0
    VANISHED = 1
    DELETED = 2
    INACTIVE = 4
    NEW = 8
    TWIN = 16
    UNLIKE = 32
    SHIFTED = 64
    EMPTIED = 128
    PRICED = 256
    CURRENCY = 512
    ZEROED = 1024
    COUNTED = 2048
    UNKNOWN_PLACE = 4096
    UNKNOWN_PRODUCT = 8192
    HELD_PRODUCT = 16384
    ANY = 32768


GONE = Trait.VANISHED | Trait.DELETED | Trait.INACTIVE
IDENTITY = Trait.UNLIKE | Trait.SHIFTED | Trait.EMPTIED
MONEY = Trait.PRICED | Trait.CURRENCY


@dataclass(frozen=True)
class Finding:
    """A rule that holds a batch implausible: ``reason`` is for people, ``figures`` are what it measured, and rows with one
    of the traits ``holds`` must not be written. ``measure`` names what ``figures["rows"]`` counts, to be compared with
    what is usual."""

    rule: str
    reason: str
    holds: Trait
    figures: dict[str, float] = field(default_factory=dict)
    measure: str = ""


def first_of(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that hold rows which no finding before them holds."""
    first: list[Finding] = []
    held = Trait.NONE
    for finding in findings:
        if Trait.ANY not in held and finding.holds & ~held:
            first.append(finding)
            held |= finding.holds
    return first


def reason_of(findings: Iterable[Finding]) -> str | None:
    """All findings as one text, ``None`` if there are none."""
    return "; ".join(finding.reason for finding in findings) or None


def held_traits(findings: Iterable[Finding]) -> Trait:
    """The traits of rows that the findings hold."""
    traits = Trait.NONE
    for finding in findings:
        traits |= finding.holds
    return traits


def is_many(rows: int, total: int, share: float, few: int = 3) -> bool:
    """Whether ``rows`` are at least ``few`` and more than a share of the total."""
    return rows >= few and rows > share * total
