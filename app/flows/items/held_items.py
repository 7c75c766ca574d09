"""The held rows of items that were fetched by id, the rows that a dry run accepted, and answers without held rows."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import msgspec

from app.domain import Answer, BadRecord, Kind, Record, key_of
from app.flows.items.fetched import WAITS_FOR_A_PERSON
from app.stores.catalog import Key
from app.stores.guard import Batch


@dataclass(frozen=True)
class HeldItems:
    """The rows that are held of what was shown (``keys``), the ``items`` that they belong to, the ids of the other shown
    rows, why they are held, the item of each row (``owners``, by the first part of its key), and by which rules."""

    kind: Kind
    keys: Set[Key]
    items: frozenset[str]
    others: Set[str]
    reason: str
    owners: Mapping[str, str]
    rules: Sequence[str] = ()


@dataclass
class BelievedRows:
    """Implausible rows that a dry run has accepted so far: the guard judges the next ones together with them."""

    records: list[Record] = field(default_factory=list)
    vanished: list[Key] = field(default_factory=list)

    def keys(self) -> set[Key]:
        """The keys of all of these rows."""
        return {*map(key_of, self.records), *self.vanished}

    def believe(self, batch: Batch, keys: Set[Key]) -> None:
        """Add these rows of a batch."""
        keys = keys - self.keys()
        self.records += [record for record in batch if key_of(record) in keys]
        self.vanished += [key for key in batch.vanished if key in keys]


def split(answer: Answer, held: HeldItems) -> tuple[Answer, Answer]:
    """The part of an answer that is beyond doubt, and the rest. In each, the rows of the other are shown as failed records,
    so that they do not count as vanished."""
    sides = [list[Record](), list[Record]()]
    for record in answer.records:
        sides[key_of(record) in held.keys].append(record)
    ids = {key[0] for key in held.keys}
    gone = [ref for ref in answer.gone if ref.external_id not in held.items]
    beyond = msgspec.structs.replace(
        answer, records=sides[0], gone=gone, failed=[*answer.failed, *_waiting_rows(held, ids)]
    )
    rest = Answer(
        sides[1],
        gone=[ref for ref in answer.gone if ref not in gone],
        covers=[scope for scope in answer.covers if scope.value in held.items],
        failed=[*answer.failed, *_waiting_rows(held, held.others - ids)],
    )
    return beyond, rest


def _waiting_rows(held: HeldItems, ids: Set[str]) -> list[BadRecord]:
    return [BadRecord(held.kind, id, WAITS_FOR_A_PERSON, held.owners.get(id, "")) for id in sorted(ids)]
