"""An answer beside the claims that it is for: which of them it settles, and which must be asked again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from app.domain import KINDS, UNKNOWN_WRITER, Answer, BadRecord, Record, Ref, item_of, key_of
from app.flows.items.bad_records import Failure
from app.stores.catalog import Read
from app.stores.owed import Claim

WAITS_FOR_A_PERSON = "it waits for a person"
"""The error of a failed record that is only held: it was shown, and counts neither as read nor as unreadable."""

Outcome = tuple[Claim, str]
"""A claim, and the ``outcome`` of its settlement."""


@dataclass(frozen=True)
class Fetched:
    """An answer, the claims that it is for, and when the read of it began. Of ``held`` items it shows only the rows that
    are beyond doubt."""

    claims: Sequence[Claim]
    refs: Mapping[str, Ref]
    answer: Answer
    began: datetime
    held: frozenset[str] = frozenset()

    def failed(self) -> list[tuple[Claim, str]]:
        """Claims of items that were shown but could not be read, each with the error. An unreadable record without an id
        may belong to any item of which the answer shows nothing else."""
        unread = [bad for bad in self.answer.failed if bad.error != WAITS_FOR_A_PERSON]
        errors = {name: bad.error for bad in unread for name in (bad.external_id, bad.owner)}
        nameless = next((bad.error for bad in unread if not bad.owner), None)
        answered = self._answered() if nameless is not None else set()
        ids = ((claim, self._ref(claim).external_id) for claim in self.claims)
        by_claim = [(claim, errors.get(id, None if id in answered else nameless)) for claim, id in ids]
        return [(claim, error) for claim, error in by_claim if error is not None]

    def _answered(self) -> set[str]:
        """The external ids of items of which the answer says something readable."""
        shown = {name for record in self.answer.records for name in (item_of(record), key_of(record)[0])}
        return shown | {ref.external_id for ref in (*self.answer.gone, *self.answer.not_yet)}

    def not_yet(self) -> list[Claim]:
        """Claims of items that the vendor announced but cannot show yet."""
        late = set(self.answer.not_yet)
        return [claim for claim in self.claims if self._ref(claim) in late]

    def outcomes(self, changed: set[str]) -> list[Outcome]:
        """The outcome of every claim that could be read; ``changed`` are the external ids of items that changed."""
        gone = set(self.answer.gone)
        unread = {claim.key for claim in self.not_yet()} | {claim.key for claim, _ in self.failed()}
        outcomes = []
        for claim in self.claims:
            ref = self._ref(claim)
            applied = "applied" if ref.external_id in changed else "unchanged"
            outcome = "held" if ref.external_id in self.held else "gone" if ref in gone else applied
            if claim.key not in unread:
                outcomes.append((claim, outcome))
        return outcomes

    def behind(self) -> list[Claim]:
        """Claims whose hint names a newer version than the answer shows, or of which it shows nothing: it came from a
        replica that lags."""
        shown: dict[str, int] = defaultdict(int)
        for record in self.answer.records:
            shown[item_of(record)] = max(shown[item_of(record)], record.version)
        known = {ref.external_id for ref in (*self.answer.gone, *self.answer.not_yet)}
        known |= {str(scope.value) for scope in self.answer.covers} - set(shown) | self.held
        unread = {claim.key for claim, _ in self.failed()}
        return [
            claim
            for claim, ref in ((claim, self._ref(claim)) for claim in self.claims)
            if ref.external_id not in known and claim.key not in unread and claim.version > shown[ref.external_id]
        ]

    def without(self, failures: Sequence[Failure]) -> "Fetched":
        """The answer with the records of these items turned into failed ones."""
        errors = {failure.ref: str(failure.error) for failure in failures}
        good: list[Record] = []
        bad = list(self.answer.failed)
        for record in self.answer.records:
            item = Ref(KINDS[type(record)], item_of(record))
            if item in errors:
                bad.append(BadRecord(item.kind, key_of(record)[0], errors[item], item.external_id))
            else:
                good.append(record)
        return replace(self, answer=msgspec.structs.replace(self.answer, records=good, failed=bad))

    def read(self) -> Read:
        """The answer as a read of the catalog's; each item was fetched for what its claim says."""
        by_item = {self._ref(claim).external_id: claim.cause for claim in self.claims}
        return replace(read_of(self.answer, self.began, self.claims[0].cause), by_item=by_item)

    def read_of(self, records: Sequence[Record]) -> Read:
        """Some records of the answer as a read that says nothing about others."""
        whole = self.read()
        return Read(records, whole.began, by=whole.by, by_item=whole.by_item)

    def _ref(self, claim: Claim) -> Ref:
        return self.refs[claim.key.external_id]


def read_of(answer: Answer, began: datetime, by: str = UNKNOWN_WRITER) -> Read:
    """An answer as a read of the catalog's; ``by`` says what it was fetched for."""
    failed = {bad.external_id or bad.item_id: bad.owner for bad in answer.failed}
    return Read(answer.records, began, answer.covers, answer.gone, failed, by)
