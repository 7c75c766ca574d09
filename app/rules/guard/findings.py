"""What the guard says of a batch: the rules that spoke, their figures, and which traits of a row each of them holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntFlag


class Trait(IntFlag):
    """What happens to one row, as far as a rule may doubt it. A row has any number of them."""

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
    """One rule that does not believe a batch: ``reason`` is for people, ``figures`` are what it measured, and rows with
    one of the traits ``holds`` are not to be written. ``measure`` names what its ``rows`` count, to be compared with what
    is usual."""

    rule: str
    reason: str
    holds: Trait
    figures: dict[str, float] = field(default_factory=dict)
    measure: str = ""


def first_of(findings: Iterable[Finding]) -> list[Finding]:
    """Those that hold something that the ones before them do not."""
    told: list[Finding] = []
    held = Trait.NONE
    for finding in findings:
        if Trait.ANY not in held and finding.holds & ~held:
            told.append(finding)
            held |= finding.holds
    return told


def reason_of(findings: Iterable[Finding]) -> str | None:
    """All findings as one text, ``None`` when there are none."""
    return "; ".join(finding.reason for finding in findings) or None


def held_traits(findings: Iterable[Finding]) -> Trait:
    """Rows with one of these traits are held."""
    traits = Trait.NONE
    for finding in findings:
        traits |= finding.holds
    return traits


def is_many(rows: int, total: int, share: float, few: int = 3) -> bool:
    """At least ``few`` rows and more than a share of all."""
    return rows >= few and rows > share * total
