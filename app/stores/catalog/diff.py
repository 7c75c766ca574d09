"""The differences between a read and our rows, as ``stores.catalog.differ`` finds them."""

from dataclasses import dataclass, field
from typing import NamedTuple

from app.domain import Kind, Record
from app.stores.catalog import Key
from app.stores.catalog.spool import Spool


class Misfit(NamedTuple):
    """A record that cannot be compared or written, and what the attempt raised."""

    record: Record
    error: Exception


@dataclass
class Diff:
    """How a read differs from our rows. ``read`` counts distinct keys, ``total_local`` our live rows before.

    ``created`` records have no row here, ``changed`` ones differ from their row, ``touched`` ones have its content
    under a newer version. ``zeroed`` counts quantities that go from something to nothing, vanished rows of a scope
    where absent means zero included.

    Some differences are not written: ``passed`` are records whose row here is newer, or a tombstone concluded after this
    read began; ``unshown`` are live rows of the scope that the read did not show, but that were read later. ``gone``
    counts shown keys that are deleted at the source. The read showed ``zeros_shown`` of our ``zeros`` (rows of quantity
    zero): a source that lists them does not leave out what sells out.
    """

    kind: Kind
    total_local: int
    read: int
    unchanged: int
    created: Spool
    changed: Spool
    touched: Spool
    vanished: list[Key]
    zeroed: int
    passed: list[Record] = field(default_factory=list)
    unshown: list[Key] = field(default_factory=list)
    gone: int = 0
    zeros: int = 0
    zeros_shown: int = 0
