"""Judges a batch before it is written: gathers the evidence, asks the source where it can prove something, and parts
what is beyond doubt from what is held."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass, replace

import structlog

from app.domain import Kind, Ref, batches, key_of
from app.errors import AuthRejected, Permanent, Transient
from app.flows.deps import Deps
from app.rules.guard_findings import Finding, held_traits, reason_of
from app.stores.bulk import Diff
from app.stores.catalog import Key
from app.stores.guard import Batch, CountJudge, Judge, JudgedRow, ProductJudge, StockJudge
from app.stores.guard.products import live_ids
from app.stores.spool import Spool

ASKED = 200
"""Of what vanished, so many are asked for by id."""

CALLS = 40
"""Where a call fetches one item only, fewer are asked: proof must not eat the budget."""

PROBED = 20
"""Of our products, so many are asked for when a batch without an end brings many new ones."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Verdict:
    """What the guard says of a batch, and how it comes to a row's."""

    findings: Sequence[Finding] = ()
    judge: Judge | None = None

    @property
    def reason(self) -> str | None:
        """Why it is not to be believed, ``None`` when it is."""
        return reason_of(self.findings)

    def held(self) -> Iterator[JudgedRow]:
        """The rows that are not to be written."""
        traits = held_traits(self.findings)
        if self.judge is not None and traits:
            yield from (row for row in self.judge.rows() if row.traits & traits)


def batch_of(diff: Diff, *, complete: bool, zero: bool, first: bool) -> Batch:
    """A diff as the guard sees it."""
    read = diff.read if complete else None
    return Batch(diff.kind, (diff.created, diff.changed), diff.vanished, read, zero=zero, first=first)


def examine(deps: Deps, connection: str, batch: Batch, deeds: Collection[str]) -> Verdict:
    """Judge a batch by its content. Without ``deeds`` nothing is judged."""
    if not deeds or not (any(map(len, batch.records)) or batch.vanished):
        return Verdict()
    judge = _judge(deps, connection, batch, deeds)
    return Verdict(judge.findings(), judge)


def _judge(deps: Deps, connection: str, batch: Batch, deeds: Collection[str]) -> Judge:
    if batch.kind is Kind.PRODUCT:
        products = ProductJudge(deps.database, connection, batch, deps.now())
        _prove(deps, connection, batch, products)
        return products
    if batch.kind is Kind.STOCK:
        return StockJudge(deps.database, connection, batch, deps.now())
    return CountJudge(deps.database, connection, batch, deps.limits, frozenset(deeds))


def _prove(deps: Deps, connection: str, batch: Batch, judge: ProductJudge) -> None:
    """Ask for some of what vanished; where much is new, for some of what we hold: an account that does not know it is
    another one."""
    seen = judge.evidence
    if batch.vanished:
        asked = _spread([key[0] for key in batch.vanished], ASKED)
        answered, living = _living(deps, connection, asked)
        seen.asked, seen.living = answered, living
    if seen.created >= 3 and seen.created > 0.05 * seen.total:
        shown = {key_of(record)[0] for record in batch} if batch.read is None else set()
        ours = live_ids(deps.database, connection, PROBED, sorted(shown)[:500])
        seen.probed, living = _living(deps, connection, ours)
        seen.strange = seen.probed - living


def _spread(ids: Sequence[str], most: int) -> list[str]:
    step = max(1, len(ids) // most)
    return list(ids[::step][:most])


def _living(deps: Deps, connection: str, ids: Sequence[str]) -> tuple[int, int]:
    """How many of these products the source answered for, and how many of them live there."""
    source = deps.bulk_sources[connection]
    size = source.batch_size(Kind.PRODUCT)
    answered = living = 0
    for some in list(batches(_spread(ids, CALLS * size), size)):
        try:
            answer = source.fetch([Ref(Kind.PRODUCT, id) for id in some])
        except AuthRejected:
            raise
        except (Permanent, Transient) as error:
            log.warning("not_proven", connection=connection, items=len(some), error=str(error))
            continue
        gone = {ref.external_id for ref in answer.gone}
        dead = {key_of(record)[0] for record in answer.records if record.deleted}
        unknown = {ref.external_id for ref in answer.not_yet} | {bad.external_id for bad in answer.failed}
        answered += sum(id not in unknown for id in some)
        living += sum(id not in gone | dead | unknown for id in some)
    return answered, living


def beyond_doubt(diff: Diff, verdict: Verdict) -> Diff:
    """A diff without the rows that are held."""
    keys = {row.key for row in verdict.held()}
    if not keys:
        return diff
    return replace(
        diff,
        created=_without(diff.kind, diff.created, keys),
        changed=_without(diff.kind, diff.changed, keys),
        vanished=[key for key in diff.vanished if key not in keys],
    )


def _without(kind: Kind, spool: Spool, keys: Set[Key]) -> Spool:
    kept = Spool(kind)
    for at, record in enumerate(spool):
        if key_of(record) not in keys:
            kept.add(spool.keys[at], record, spool.hashes[at])
    return kept
