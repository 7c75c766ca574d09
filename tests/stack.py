"""The real processes of one installation, for the journeys; what they stand on is the proof's."""

from app.prove.real.stack import Stack, eventually, running, simulate
from app.prove.real.truth import difference, differences, lost

__all__ = ["Stack", "difference", "differences", "eventually", "lost", "running", "simulate"]
