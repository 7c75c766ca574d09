"""Who acts: name, role, the connections that they may see, and where they act from."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do; each role includes the ones before it."""

    VIEWER = "viewer"
    """Look at everything of its connections."""

    OPERATOR = "operator"
    """Also start, stop, replay, discard."""

    ADMIN = "admin"
    """Also hand out access, and read the audit log."""

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what ``other`` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True)
class Principal:
    """On whose behalf something is done.

    ``name`` is for people and the audit log ("user anna", "token ci", "cli root", "clock"); ``connections`` are the
    slugs it may see, ``None`` for all; ``origin`` is a network address, or the host and process.
    """

    name: str
    role: Role
    connections: frozenset[str] | None = None
    origin: str = ""

    def can_see(self, connection: str | None) -> bool:
        """Whether a connection is within reach; ``None`` is only within reach of those who see all."""
        return self.connections is None or connection in self.connections


TALLYHOOK = Principal("tallyhook", Role.ADMIN)
"""Tallyhook itself: workers, the clock, and everything that no person or program requested."""
