"""What a run did to one kind, as its row keeps it and people see it."""

import msgspec
from msgspec import UNSET, UnsetType


class KindCounts(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Records of a kind by what became of them; ``None`` is a number that the kind's stage does not count.

    ``agreement`` is the share of equal rows after a complete read, 0 to 1. The texts say why rows were ``held`` (by which
    rules), why the kind ``error`` failed, why it was left out (``forbidden``) or judged in part (``incomplete``).
    """

    processed: int | None = None
    read: int | None = None
    created: int | None = None
    updated: int | None = None
    unchanged: int | None = None
    deleted: int | None = None
    owed: int | None = None
    failed: int | None = None
    compared_again: int | None = None
    held: str | UnsetType | None = UNSET
    held_rules: list[str] = []
    agreement: float | UnsetType | None = UNSET
    agreement_unknown: str | None = None
    incomplete: str | None = None
    forbidden: str | None = None
    error: str | None = None

    def numbers(self) -> dict[str, int]:
        """The counted numbers by name."""
        return {name: number for name in _NUMBERS if (number := getattr(self, name)) is not None}

    def add(self, more: "KindCounts") -> None:
        """Add the numbers of ``more``; its texts are left out."""
        for name, number in more.numbers().items():
            setattr(self, name, (getattr(self, name) or 0) + number)


_NUMBERS = ("processed", "read", "created", "updated", "unchanged", "deleted", "owed", "failed", "compared_again")
