"""The checks of a simulation once all is quiet: every table equals its source, and nothing is lost, doubled or owed."""

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, text

from app.domain import Kind
from app.prove.compare import differences, held_as_it_is, item_of, rows_here, rows_there, was_bad, wrong_rows
from app.prove.faults import Dial
from app.prove.shop import KINDS, Shop
from app.prove.town import Town
from app.rules.letters.retry import MAX_KILLS
from app.stores.runs import failed_items

UNWANTED = {
    "still owed: {connection} {kind} {id} after {attempts} attempts": """
        SELECT connection, kind, external_id AS id, attempts FROM owed_items WHERE external_id <> '*'""",
    "stored twice: {connection} {id}": """
        SELECT connection, event_id AS id FROM inbox_events GROUP BY 1, 2 HAVING count(*) > 1""",
    "drift told twice in one run: {connection} {run_id} {kind} {id}": """
        SELECT connection, run_id, kind, item AS id FROM drift
        WHERE run_id IS NOT NULL GROUP BY 1, 2, 3, 4 HAVING count(*) > 1""",
    "a foreign delivery was followed: {connection} {id}": """
        SELECT connection, external_id AS id FROM settlements WHERE kind = 'order' AND external_id LIKE 'X%'
        UNION SELECT connection, external_id FROM owed_items WHERE kind = 'order' AND external_id LIKE 'X%'""",
}
"""The sentence about a row that must not exist, and the question that finds such rows."""

MOST = 5
"""Rows of each question that are reported."""


class Finding(NamedTuple):
    """Something that must not be: a sentence, and the ids that it is about."""

    words: str
    ids: tuple[str, ...] = ()


class Checks:
    """All checks of one simulation, their findings, and the number of rows that were compared."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self.findings: list[Finding] = []
        self.compared = 0

    def find(self, words: str, connection: str = "", *ids: str) -> None:
        """Note a finding once; ``ids`` of a connection pick the lines of the trace that belong to it."""
        finding = Finding(words, tuple(f"{connection}/{id}" for id in ids))
        if finding not in self.findings:
            self.findings.append(finding)

    # before the last complete read

    def settled_is_right(self, *, polled: bool = True) -> None:
        """Every row whose change was announced and is no longer owed equals its source, before any complete read
        repairs it.

        ``polled`` says that every kind was polled after the last edit.
        """
        with self._town.database.read() as conn:
            for name, shop in self._town.shops.items():
                unread = _not_read(conn, name)
                for kind in KINDS:
                    is_told = polled or kind in shop.style.announced
                    if is_told and kind not in unread and not self._town.vendors[name].lied[kind]:
                        self._settled_rows_are_right(conn, shop, kind, polled=polled)

    def _settled_rows_are_right(self, conn: Connection, shop: Shop, kind: Kind, *, polled: bool) -> None:
        name, unsure = shop.style.name, self._unannounced(shop, polled=polled)
        has_replicas = not shop.style.seconds and self._town.faults.has(Dial.VENDOR_LAGS)
        for key, how in differences(conn, shop, kind):
            item = item_of(shop, kind, key)
            if has_replicas and not polled and (kind in shop.style.whole or not how.endswith("at the source")):
                continue  # a replica did not show it yet, or still did, or has no versions: the poll repairs that
            if has_replicas and (kind, item) in shop.ever_ahead:
                continue  # only a complete read repairs that
            if (kind, item) not in unsure and not was_bad(shop, kind, key):
                words = f"settled, but wrong until the next complete read: {name} {kind} {'/'.join(key)} {how}"
                self.find(words, name, item, key[0])

    def _unannounced(self, shop: Shop, *, polled: bool) -> set[tuple[Kind, str]]:
        """Items that we cannot know about yet: their last webhook has not arrived, and no delta has shown them."""
        last: dict[tuple[Kind, str], bool] = {}
        for hook in self._town.post.hooks:
            if hook.connection == shop.style.name:
                for change in hook.delivery.changes:
                    last[change.kind, change.external_id] = hook.acknowledged_at is None
        delta_shows_all = polled and not shop.style.seconds
        return {item for item, is_unknown in last.items() if is_unknown and not delta_shows_all}

    # in the end

    def all_equal(self) -> None:
        """Every table equals its source, except for bad records, which must be listed as a failed item or a dead
        letter."""
        with self._town.database.read() as conn:
            for name, shop in self._town.shops.items():
                failed = {(ref.kind, ref.external_id) for ref in failed_items.open_refs(conn, name)}
                listed = failed | _lettered(conn, name)
                for kind in KINDS:
                    self.compared += len(shop.rows[kind])
                    self._rows_equal(conn, shop, kind, listed)
                for kind, id in sorted(failed):
                    if not any(k is kind and id in (key[0], item_of(shop, k, key)) for k, key in shop.bad):
                        self.find(f"listed as failed though good: {name} {kind} {id}", name, id)

    def _rows_equal(self, conn: Connection, shop: Shop, kind: Kind, listed: set[tuple[Kind, str]]) -> None:
        name, here = shop.style.name, rows_here(conn, shop.style.name, kind)
        for key, how in differences(conn, shop, kind):
            item, harm, words = item_of(shop, kind, key), shop.bad.get((kind, key)), f"{name} {kind} {'/'.join(key)}"
            was_held = (kind, key) in shop.held_before and not self._town.vendors[name].lied[kind]
            if was_held and how == "is missing here":
                self.find(f"deleted though only unreadable: {words}", name, item)
            elif harm is None:
                self.find(f"{words} {how}", name, item, key[0])
            elif listed.isdisjoint({(kind, key[0]), (kind, item)}) and not held_as_it_is(
                here.get(key), shop.rows[kind][key], harm
            ):
                self.find(f"bad and not listed: {words} ({harm.field})", name, item, key[0])

    def nothing_lost(self) -> None:
        """Each acknowledged delivery is stored, and each item that it named was settled since."""
        with self._town.database.read() as conn:
            stored = {tuple(row) for row in conn.execute(text("SELECT connection, event_id FROM inbox_events"))}
            question = "SELECT DISTINCT connection, kind, external_id FROM settlements"
            settled = {tuple(row) for row in conn.execute(text(question))}
        for hook in self._town.post.hooks:
            if hook.acknowledged_at is None:
                continue
            id, name, changes = hook.delivery.event_id, hook.connection, hook.delivery.changes
            if (name, id) not in stored:
                self.find(f"acknowledged and not stored: {name} {id}", name, *(one.external_id for one in changes))
            for one in changes:
                if (name, one.kind, one.external_id) not in settled:
                    words = f"acknowledged and never looked at: {name} {one.kind} {one.external_id} ({id})"
                    self.find(words, name, one.external_id)

    def nothing_unwanted(self) -> None:
        """No item is owed, no delivery and no drift row exists twice, and a delivery about another account makes us
        fetch nothing."""
        with self._town.database.read() as conn:
            for sentence, question in UNWANTED.items():
                for row in conn.execute(text(question)).mappings().fetchmany(MOST):
                    self.find(sentence.format_map(row), row["connection"], row["id"])

    def no_letters(self) -> None:
        """A dead letter is for what a person must do: no fault of the database, outage, deploy or kill makes one."""
        with self._town.database.read() as conn:
            letters = conn.execute(
                text("SELECT connection, kind, external_id, actor, error_type, error FROM dead_letters ORDER BY id")
            )
            for row in letters:
                shop = self._town.shops.get(row.connection or "")
                if shop is not None and row.kind and was_bad(shop, Kind(row.kind), (row.external_id,)):
                    continue
                if row.error_type == "KilledWorker" and self._killed_thrice():
                    continue
                error = f"{row.error_type}: {row.error[:100]}"
                words = f"dead letter: {row.actor} {row.connection} {row.kind} {row.external_id}: {error}"
                self.find(words, row.connection or "", str(row.external_id))

    def _killed_thrice(self) -> bool:
        """Whether there were enough kills to suspect a message; a process that is stopped past its lease looks killed
        too."""
        seen = self._town.faults.seen
        return seen[Dial.KILLED] + seen[Dial.STOPPED] >= MAX_KILLS

    def no_failed_runs(self) -> None:
        """No fault, outage or deploy makes a run fail. A run may fail if it may read nothing, or if it killed
        workers."""
        with self._town.database.read() as conn:
            for row in conn.execute(
                text("SELECT id, connection, strategy, error FROM runs WHERE status = 'failed' ORDER BY id")
            ):
                error = row.error or ""
                killed = error.startswith("KilledWorker") and self._killed_thrice()
                forbidden = "was left out" in error and self._town.faults.has(Dial.VENDOR_403)
                if not killed and not forbidden:
                    words = f"failed run {row.id} ({row.strategy} of {row.connection}): {error[:140]}"
                    self.find(words, "run", str(row.id))

    def nobody_died(self) -> None:
        """No thread ended with an error, which would leave its work undone."""
        for words in sorted(set(self._town.stage.died)):
            self.find(f"a thread died: {words}")

    def budgets_kept(self) -> None:
        """No process exceeded a limit at any time."""
        for name, vendor in self._town.vendors.items():
            for over in vendor.overspent():
                self.find(f"budget exceeded: {name}: {over}")

    def no_call_in_a_transaction(self) -> None:
        """No process calls a vendor while it has a transaction open."""
        for name, vendor in self._town.vendors.items():
            for what in sorted(set(vendor.in_transaction)):
                self.find(f"{name} was asked ({what}) while a transaction was open")

    def agreement_is_true(self, run_id: int) -> None:
        """The agreement that a run reports is the one that a comparison gives."""
        with self._town.database.read() as conn:
            row = conn.execute(text("SELECT connection, counts FROM runs WHERE id = :id"), {"id": run_id}).one()
            shop = self._town.shops[row.connection]
            for kind, counts in msgspec.json.decode(row.counts).items():
                said = counts.get("agreement")
                here, there = rows_here(conn, row.connection, Kind(kind)), rows_there(shop, Kind(kind))
                wrong = wrong_rows(conn, shop, Kind(kind))
                gone = {key for key, row in here.items() if key not in there and row.get("quantity") == 0}
                total = len(here.keys() | there.keys()) - len(gone)
                if said is not None and total and abs(said - (1 - len(wrong) / total)) > 1e-5:
                    words = f"agreement reported is not agreement measured: {row.connection} {kind}: {said} in run {run_id}"
                    self.find(
                        f"{words}, and {len(wrong)} of {total} rows differ",
                        row.connection,
                        *(key[0] for key in wrong[:3]),
                    )


def _lettered(conn: Connection, connection: str) -> set[tuple[Kind, str]]:
    """The items whose dead letter waits for a person."""
    question = (
        "SELECT kind, external_id FROM dead_letters WHERE connection = :connection AND kind <> '' AND state = 'dead'"
    )
    return {(Kind(row.kind), row.external_id) for row in conn.execute(text(question), {"connection": connection})}


def _not_read(conn: Connection, connection: str) -> set[str]:
    """The kinds that were never read, that may not be read now (all of them where the connection does not work), or
    of which a held batch waits for a person."""
    question = """
        SELECT kind FROM connection_states WHERE connection = :connection AND state <> 'ok'
        UNION SELECT kind FROM holds WHERE connection = :connection AND state IN ('held', 'released')"""
    kinds = set(conn.execute(text(question), {"connection": connection}).scalars())
    read = "SELECT kind FROM watermarks WHERE connection = :connection"
    kinds |= set(KINDS) - set(conn.execute(text(read), {"connection": connection}).scalars())
    return set(KINDS) if kinds - set(KINDS) else kinds
