"""How true the copy is after a complete read: rows equal in content, of all rows that live there or here."""

from app.flows.items.bulk_read import BulkResult
from app.rules.drift.agreement import Agreed


def agreed(absorbed: BulkResult, *, unseen: int = 0, written: bool = True) -> Agreed:
    """What a read says of the copy after its write, or (not ``written``) as it is.

    Unknown when the read was not believed, when we held nothing before it, and when it only named rows that are new to
    us (``unseen``): they are still to be asked for, and what they say is not known.
    """
    diff, wrote = absorbed.diff, absorbed.written
    found = len(diff.created) + len(diff.changed) + len(diff.vanished)
    passed_gone = sum(record.deleted for record in diff.passed)
    only_here = len(diff.unshown) + len(wrote.kept) + passed_gone + (0 if written else len(diff.vanished))
    rows = diff.read - diff.gone + only_here + len(absorbed.failures) - len(wrote.failed)
    if (unknown := _unknown(absorbed, unseen)) is not None:
        return Agreed(rows, None, found, unknown)
    left = only_here + len(diff.passed) - passed_gone + len(wrote.refused) + len(absorbed.failures)
    left += 0 if written else len(diff.created) + len(diff.changed)
    return Agreed(rows, max(0, rows - left), found)


def _unknown(absorbed: BulkResult, unseen: int) -> str | None:
    if absorbed.held:
        return f"the read was not believed: {absorbed.held}"
    if unseen:
        return f"{unseen} rows were only named, and are still to be asked for"
    return None if absorbed.diff.total_local else "nothing was stored before: there was nothing to compare"
