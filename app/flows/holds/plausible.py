"""Judges a batch before it is written: gathers the evidence, asks the source where it can prove something, and separates
what is beyond doubt from what is held."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple

import structlog

from app.domain import Kind, MissingPolicy, Ref, Scope, batches, key_of
from app.errors import AuthRejected, Permanent, Transient
from app.flows.deps import Deps
from app.rules.guard.findings import Finding, Trait, held_traits, reason_of
from app.rules.guard.guard import RUN
from app.rules.guard.usual import DAYS, usual_of
from app.sources.fingerprint import mapping_of
from app.stores.catalog import Key, full_reads
from app.stores.catalog.diff import Diff
from app.stores.catalog.spool import Spool
from app.stores.guard import Batch, CountJudge, Judge, JudgedRow, ProductJudge, StockJudge, Zeros, holds, usual
from app.stores.guard.foreseen import NOTHING, Foreseen
from app.stores.guard.products import live_ids

MAX_ASKED = 200
"""Of the rows that vanished, at most this many are fetched by id."""

MAX_CALLS = 40
"""Calls that a proof may cost: where a call fetches only one item, fewer items are fetched."""

MAX_PROBED = 20
"""Of our products, at most this many are fetched when a batch brings many new ones."""

FEW_PLACES = 3
"""From this many counts at unknown places on, we ask the source whether the places exist."""

NEW_SHARE = 0.05
"""From this share of new rows on, we ask the source whether it knows our own."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Verdict:
    """What the guard says of a batch; ``judge`` knows which rows the findings hold."""

    findings: Sequence[Finding] = ()
    judge: Judge | None = None

    @property
    def reason(self) -> str | None:
        """Why the batch is implausible; ``None`` if it is plausible."""
        return reason_of(self.findings)

    @property
    def rules(self) -> list[str]:
        """The names of the rules that objected."""
        return [finding.rule for finding in self.findings]

    def held(self) -> Iterator[JudgedRow]:
        """The rows that must not be written."""
        traits = held_traits(self.findings)
        if self.judge is not None and traits:
            yield from (row for row in self.judge.rows() if row.traits & traits)


def learn(deps: Deps, connection: str, kind: Kind, verdict: Verdict) -> None:
    """Count what a plausible batch did as usual; rows that wait for a person count only when they are released."""
    if verdict.reason is None:
        _add_usual(deps, connection, kind, {} if verdict.judge is None else verdict.judge.changes())


def learn_released(deps: Deps, connection: str, batch: Batch) -> None:
    """Count what a person releases as usual; to be called before it is written."""
    _add_usual(deps, connection, batch.kind, _unproven(deps, connection, batch, RUN, NOTHING).changes())


def _add_usual(deps: Deps, connection: str, kind: Kind, changes: Mapping[str, int]) -> None:
    with deps.database.begin() as conn:
        usual.add(conn, connection, kind, changes, now=deps.now(), days=DAYS)


def batch_of(diff: Diff, scope: Scope | None, *, first: bool) -> Batch:
    """A diff as the guard sees it; ``scope`` is what the read was complete for, ``None`` if it was incomplete."""
    zero = scope is not None and scope.absent is MissingPolicy.ZERO
    return Batch(
        diff.kind,
        (diff.created, diff.changed),
        diff.vanished,
        None if scope is None else diff.read,
        zero=zero,
        first=first,
        zeros=Zeros(diff.zeros, diff.zeros_shown),
    )


def examine(
    deps: Deps, connection: str, batch: Batch, checks: Collection[str], foreseen: Foreseen = NOTHING
) -> Verdict:
    """Judge a batch by its content, by these ``checks`` (``rules.guard.guard``). Rules that a person has switched off for
    now find nothing. What is ``foreseen`` counts as if it were written."""
    if not checks or not (any(map(len, batch.records)) or batch.vanished):
        return Verdict()
    with deps.database.read() as conn:
        known = usual.days_before(conn, connection, batch.kind, now=deps.now(), days=DAYS)
        last = full_reads.get(conn, connection, batch.kind)
    remapped = last is not None and last.mapping != mapping_of(deps.bulk_sources[connection], batch.kind)
    batch = replace(batch, usual=usual_of(known), remapped=remapped)
    judge = _judge(deps, connection, batch, checks, foreseen)
    findings = judge.findings()
    if findings:
        now = deps.now()
        with deps.database.read() as conn:
            believed = holds.believed_rules(conn, connection, batch.kind, now)
        findings = [finding for finding in findings if finding.rule not in believed]
    return Verdict(findings, judge)


def _judge(deps: Deps, connection: str, batch: Batch, checks: Collection[str], foreseen: Foreseen) -> Judge:
    judge = _unproven(deps, connection, batch, checks, foreseen)
    if isinstance(judge, ProductJudge) and not batch.asked:
        _prove(deps, connection, batch, judge)
    if isinstance(judge, StockJudge) and judge.evidence.unknown_places >= FEW_PLACES:
        judge.opened(_ask(deps, connection, Kind.LOCATION, judge.new_places(MAX_PROBED)).living)
    if isinstance(judge, StockJudge) and not batch.asked:
        _prove_stock(deps, connection, batch, judge)
    return judge


def _unproven(deps: Deps, connection: str, batch: Batch, checks: Collection[str], foreseen: Foreseen) -> Judge:
    if batch.kind is Kind.PRODUCT:
        return ProductJudge(deps.database, connection, batch, deps.now())
    if batch.kind is not Kind.STOCK:
        return CountJudge(deps.database, connection, batch, deps.limits, frozenset(checks))
    with deps.database.read() as conn:
        hold = holds.open_of(conn, connection, Kind.PRODUCT)
        ending = holds.ending_items(conn, connection, Kind.PRODUCT) if hold else set()
    is_other = hold is not None and any(finding.rule == "account" for finding in hold.findings)
    return StockJudge(
        deps.database,
        connection,
        batch,
        deps.now(),
        held_products=ending,
        account_held=is_other,
        foreseen=foreseen,
    )


def _prove(deps: Deps, connection: str, batch: Batch, judge: ProductJudge) -> None:
    """Fetch some of what vanished; where much is new, also some of what we hold: an account that does not know it is
    another one."""
    seen = judge.evidence
    if batch.vanished and not held_traits(judge.findings()) & (Trait.VANISHED | Trait.ANY):
        answered = _ask(deps, connection, Kind.PRODUCT, _spread([key[0] for key in batch.vanished], MAX_ASKED))
        seen.asked, seen.living = len(answered.living | answered.gone), len(answered.living)
    if seen.created >= 3 and seen.created > NEW_SHARE * seen.total:
        shown = {key_of(record)[0] for record in batch} if batch.read is None else set()
        answered = _ask(
            deps, connection, Kind.PRODUCT, live_ids(deps.database, connection, MAX_PROBED, sorted(shown)[:500])
        )
        strange = answered.gone | answered.unknown
        seen.probed, seen.strange = len(answered.living | strange), len(strange)


def _prove_stock(deps: Deps, connection: str, batch: Batch, judge: StockJudge) -> None:
    """Fetch the products whose counts are left out, which may have ended, and those that we do not hold, which may be
    new."""
    seen = judge.evidence
    if batch.read != 0 and seen.omitted and judge.findings():
        judge.explain(_ask(deps, connection, Kind.PRODUCT, _spread(judge.omitted(), MAX_ASKED)).gone)
        seen = judge.evidence
    if seen.unknown_products >= 3 and seen.unknown_products > NEW_SHARE * seen.total:
        answered = _ask(deps, connection, Kind.PRODUCT, judge.strangers(MAX_PROBED))
        strangers = answered.gone | answered.unknown
        seen.strangers_asked, seen.strangers = len(answered.living | strangers), len(strangers)


class _Answered(NamedTuple):
    """Ids that live according to the source, ids that do not, and ids that it does not show: they ended unseen, or were
    never its own. Those that it shows unreadably are in none."""

    living: set[str]
    gone: set[str]
    unknown: set[str]


def _ask(deps: Deps, connection: str, kind: Kind, ids: Sequence[str]) -> _Answered:
    source = deps.bulk_sources[connection]
    size = source.batch_size(kind)
    answered = _Answered(set(), set(), set())
    for some in batches(_spread(ids, MAX_CALLS * size), size):
        try:
            answer = source.fetch([Ref(kind, id) for id in some])
        except AuthRejected:
            raise
        except (Permanent, Transient) as error:
            log.warning("not_proven", connection=connection, items=len(some), error=str(error))
            continue
        # An answer about an item shows its other variations and says nothing of one that is gone.
        living = {key_of(record)[0] for record in answer.records if not record.deleted} & set(some)
        unknown = {ref.external_id for ref in answer.not_yet}
        unread = {name for bad in answer.failed for name in (bad.external_id, bad.owner)}
        answered.living.update(living)
        answered.unknown.update(unknown)
        answered.gone.update(set(some) - living - unknown - unread)
    return answered


def _spread(ids: Sequence[str], limit: int) -> list[str]:
    """At most ``limit`` of the ids, evenly spread."""
    step = max(1, len(ids) // limit)
    return list(ids[::step][:limit])


def without(diff: Diff, keys: Set[Key]) -> Diff:
    """A diff without the rows that are held."""
    return _filtered(diff, lambda key: key not in keys)


def only(diff: Diff, keys: Set[Key]) -> Diff:
    """The rows of a diff that are held."""
    return _filtered(diff, lambda key: key in keys)


def _filtered(diff: Diff, wanted: Callable[[Key], bool]) -> Diff:
    return replace(
        diff,
        created=_of_spool(diff.kind, diff.created, wanted),
        changed=_of_spool(diff.kind, diff.changed, wanted),
        vanished=[key for key in diff.vanished if wanted(key)],
    )


def _of_spool(kind: Kind, spool: Spool, wanted: Callable[[Key], bool]) -> Spool:
    kept = Spool(kind)
    for at, record in enumerate(spool):
        if wanted(key_of(record)):
            kept.add(spool.keys[at], record, spool.hashes[at])
    return kept
